"""What is sampled is what is trained on, whatever the architecture; and Qwen's own conventions."""

from __future__ import annotations

import json

import pytest
from rollouts import CODEC
from worlds import tokenizer

torch = pytest.importorskip("torch")

from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from searchr2.build import load_model  # noqa: E402
from searchr2.codec import Codec  # noqa: E402
from searchr2.config import Prompts  # noqa: E402
from searchr2.engines.local import LocalEngine  # noqa: E402
from searchr2.files import ArtifactError  # noqa: E402
from searchr2.packing import Row, collate  # noqa: E402
from searchr2.ports import Generate  # noqa: E402
from searchr2.prompts import load_prompts  # noqa: E402
from searchr2.tags import ALL_TAGS, STOPS  # noqa: E402
from searchr2.training.logprobs import tensors, token_logprobs  # noqa: E402
from searchr2.trajectory import Author  # noqa: E402

SHAPE = {
    "vocab_size": CODEC.vocab_size,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "initializer_range": 0.2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": CODEC.eos_id,
}
FAMILIES = {
    "qwen2": {},
    "qwen3": {},
    "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32},
    "llama": {},
    "mistral": {},
    "phi3": {},
    "gemma2": {},  # attention that adds its mask, and every second layer a window
    "gpt_neox": {"num_key_value_heads": 4},
}


def model(family):
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, **(SHAPE | FAMILIES.get(family, {})))
    return AutoModelForCausalLM.from_config(config).float().eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_trainer_finds_the_log_probabilities_that_were_sampled_at(family):
    policy = model(family)
    engine = LocalEngine(policy, CODEC)
    prompts = [tuple(range(40, 60)), (*range(40, 60), 99, 98), tuple(range(100, 107))]
    for turn in range(2):  # the second goes on from cached prefixes
        asked = [Generate(p, 24, STOPS, 1.0, (turn, i)) for i, p in enumerate(prompts)]
        written = engine.generate(asked)
        rows = [
            Row(
                (*request.ids, *reply.ids),
                (False,) * len(request.ids) + (True,) * len(reply.ids),
                (0.0,) * len(request.ids) + reply.logprobs,
                1.0,
                Author.ACTOR,
            )
            for request, reply in zip(asked, written, strict=True)
        ]
        batch = tensors(collate(rows), torch.device("cpu"))
        with torch.no_grad():
            logp_BT, _ = token_logprobs(policy, batch)
        torch.testing.assert_close(logp_BT, batch.old_logp_BT, atol=1e-4, rtol=0)
        prompts = [row.ids for row in rows]


def test_layers_that_are_no_attention_are_refused():
    with pytest.raises(ArtifactError, match="layers of kind linear_attention"):
        LocalEngine(model("qwen3_next"), CODEC)


def test_code_that_comes_with_a_model_is_not_run(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('run')")
    auto = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": auto}))
    with pytest.raises(ArtifactError, match="no language model can be read here"):
        load_model(str(tmp_path))


QWEN3 = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and not enable_thinking %}<think>\n\n</think>\n\n{% endif %}"
    "{% endif %}"
)
"""What Qwen3's chat template does; the 2507 thinking models begin thoughts whatever one asks."""
ALWAYS = QWEN3.replace("{% if enable_thinking is defined", "<think>\n{% if 0").replace("\n\n</", "")


@pytest.fixture
def thinker(tmp_path):
    """A codec whose chat template is like Qwen3's, or another one."""

    def of(template):
        made = AutoTokenizer.from_pretrained(tokenizer())
        made.chat_template = template
        made.save_pretrained(tmp_path)
        return Codec.load(tmp_path)

    return of


def test_qwen3_thinks_as_the_actor_and_not_as_the_meta_refiner(thinker):
    codec = thinker(QWEN3)
    book = load_prompts(Prompts(chat=True), codec)
    asks, answers_at_once = codec.template("assistant\n"), codec.template("<think>\n\n</think>\n\n")
    for prompt in (book.actor("why?"), book.cot("why?")):
        assert prompt.ids[-len(asks) :] == asks
    assert book.direct("why?").ids[-len(answers_at_once) :] == answers_at_once
    assert book.terse[1].endswith("</think>\n\n")


def test_thoughts_that_are_always_begun_are_ended_before_a_verdict(thinker):
    codec = thinker(ALWAYS)
    assert codec.chat()[1] == "<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert codec.chat(thinking=False)[1].endswith("assistant\n<think>\n\n</think>\n\n")


def test_a_template_without_thoughts_is_the_same_either_way():
    codec = Codec.load(tokenizer())
    assert codec.chat() == codec.chat(thinking=False)


def test_a_template_that_shows_no_user_is_named(thinker):
    with pytest.raises(ArtifactError, match="shows no user"):
        thinker("always the same").chat()


def test_what_a_tokenizer_puts_before_a_text_stands_before_a_prompt_that_is_no_chat(tmp_path):
    from tokenizers.processors import TemplateProcessing

    made = AutoTokenizer.from_pretrained(tokenizer())
    first = ("<|endoftext|>", made.convert_tokens_to_ids("<|endoftext|>"))
    made.backend_tokenizer.post_processor = TemplateProcessing("<|endoftext|> $0", None, [first])
    made.save_pretrained(tmp_path)
    codec = Codec.load(tmp_path)
    assert codec.opening() == "<|endoftext|>"
    prompt = load_prompts(Prompts(), codec).actor("why?").ids
    assert prompt[0] == first[1]
    assert prompt[1:] == load_prompts(Prompts(), Codec.load(tokenizer())).actor("why?").ids


@pytest.fixture(scope="module")
def qwen2(real):
    return Codec.load(real / "qwen2_tokenizer")


def test_qwen2s_tokenizer_puts_nothing_before_a_text(qwen2):
    assert qwen2.opening() == ""
    assert Codec.load(tokenizer()).opening() == ""


def test_qwen2_has_an_id_to_end_with_and_writes_digits_one_by_one(qwen2):
    assert qwen2.decode([qwen2.eos_id]) in ("<|endoftext|>", "<|im_end|>")
    assert [len(qwen2.template(f" {n}")) for n in (0, 9, 10)] == [2, 2, 3]
    assert qwen2.template(" 1")[0] == qwen2.template(" 7")[0]  # the space stands apart


@pytest.mark.parametrize("tag", ALL_TAGS)
def test_qwen2_reads_back_every_tag_it_can_write(qwen2, tag):
    for around in ("a{}b", "a{}\n\nb", "{}{}", " {} "):
        text = around.replace("{}", tag)
        assert qwen2.decode(qwen2.template(text)) == text
        assert qwen2.template(text) == qwen2.text(text)  # no tag is special to it
