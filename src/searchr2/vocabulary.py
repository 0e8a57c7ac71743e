"""Train the small model's tokenizer: byte-level BPE, so that any text can be encoded.

Trained until every word of a small world is one token, or ``vocab_size`` is reached. Every text is
shown with a leading space, since that is how its words stand in prompts and passages. Text is split
as Qwen2 splits it (digits stand alone): beside a Qwen2 model, transformers loads any tokenizer so.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Tokenizer

from searchr2.corpus import read_corpus
from searchr2.demonstrations import FIRST_THOUGHT, RECALL
from searchr2.files import write_manifest
from searchr2.questions import read_questions
from searchr2.tags import ALL_TAGS

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHATML = (
    "{% for message in messages %}"
    "<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def train_tokenizer(
    corpora: Sequence[Path], questions: Sequence[Path], vocab_size: int, out: Path
) -> int:
    """Write a transformers tokenizer and its manifest under ``out``; returns its number of ids."""
    like = Qwen2Tokenizer().backend_tokenizer
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer, tokenizer.pre_tokenizer = like.normalizer, like.pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[PAD, START, END, *ALL_TAGS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpora, questions), trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=[START, *ALL_TAGS],
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )
    fast.save_pretrained(str(out))
    write_manifest(out, {"kind": "byte-level BPE", "vocab_size": len(fast)})
    return len(fast)


def _texts(corpora: Sequence[Path], questions: Sequence[Path]) -> Iterator[str]:
    for path in corpora:
        for passage in read_corpus(path):
            yield f" {passage.title} {passage.text}"
    for path in questions:
        for question in read_questions(path):
            yield from (f" {text}" for text in (question.text, *question.golden_answers))
    yield f" {FIRST_THOUGHT} {RECALL}"
    yield from (f" {digit}" for digit in range(10))
    yield from _templates()


def _templates() -> Iterator[str]:
    """The small model's prompts; the long ones would fill its vocabulary with rare words."""
    for file in (resources.files("searchr2") / "prompts" / "brief").iterdir():
        yield from re.split(r" ?\{\w+\}", file.read_text(encoding="utf-8"))
