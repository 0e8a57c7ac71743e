"""The small model's tokenizer: small, whole words, and an ordinary transformers folder."""

import json
import shutil

import pytest
from transformers import AutoTokenizer, Qwen2Config
from worlds import FILES, passages, rows, tokenizer, world

from searchr2.codec import Codec
from searchr2.files import ArtifactError, verify_manifest
from searchr2.tags import ALL_TAGS
from searchr2.vocabulary import train_tokenizer


@pytest.fixture(scope="module")
def codec():
    return Codec.load(tokenizer())


def said():
    """Every text of the world that a model reads or writes."""
    yield from (text for _, text in passages().values())
    for file in FILES:
        for row in rows(file):
            yield row["question"]
            yield row["golden_answers"][0]
            yield from (f"{hop['subject']} {hop['keyword']}" for hop in row["metadata"]["hops"])


def test_every_word_of_the_world_but_a_year_is_one_token(codec):
    words = {word.strip(".,?") for text in said() for word in text.split()}
    assert 250 < len(words) < 350
    several = {word for word in words if len(codec.text(f" {word}")) != 1}
    assert {word for word in several if not word.isdigit()} == set()


def test_the_vocabulary_is_as_small_as_that_allows(codec):
    assert len(codec.tokenizer) < 1000


def test_tags_are_one_token_and_so_is_every_digit(codec):
    assert {len(codec.template(tag)) for tag in ALL_TAGS} == {1}
    assert {len(codec.template(str(digit))) for digit in range(10)} == {1}


def test_the_folder_is_an_ordinary_tokenizer_with_a_manifest(codec):
    plain = AutoTokenizer.from_pretrained(tokenizer())
    assert (plain.eos_token, plain.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert plain.eos_token_id == codec.eos_id
    assert plain("who directed it").input_ids == list(codec.text("who directed it"))
    manifest = verify_manifest(tokenizer(), "")
    assert manifest["vocab_size"] == len(plain)


def test_the_chat_template_is_chatml(codec):
    assert codec.chat() == ("<|im_start|>user\n", "<|im_end|>\n<|im_start|>assistant\n")
    assert len(codec.template("<|im_start|>")) == 1


def test_training_again_writes_the_same_tokenizer(tmp_path):
    texts = [world() / "demonstrations.jsonl", world() / "train.jsonl"]
    train_tokenizer([world() / "corpus.jsonl"], texts, 1536, tmp_path)
    for file in tokenizer().iterdir():
        assert (tmp_path / file.name).read_bytes() == file.read_bytes()


def test_the_vocabulary_ends_at_its_limit(tmp_path):
    assert train_tokenizer([world() / "corpus.jsonl"], [], 400, tmp_path) == 400
    assert Codec.load(tmp_path).decode(Codec.load(tmp_path).text(" Ünseen")) == " Ünseen"


def test_an_added_token_that_is_not_special_is_split_too(tmp_path):
    """Qwen3's ``<think>`` is such a one."""
    plain = AutoTokenizer.from_pretrained(tokenizer())
    plain.add_tokens(["<tool>"], special_tokens=False)
    plain.save_pretrained(tmp_path)
    codec = Codec.load(tmp_path)
    assert len(codec.template("<tool>")) == 1
    assert len(codec.text("<tool>")) > 1


def test_a_folder_without_a_tokenizer_is_an_error(tmp_path):
    with pytest.raises(ArtifactError, match="no tokenizer can be read"):
        Codec.load(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2"}))
    with pytest.raises(ArtifactError, match="no tokenizer here"):
        Codec.load(tmp_path)


def test_a_missing_folder_is_not_taken_for_a_hub_id(tmp_path):
    with pytest.raises(ArtifactError, match="no such folder"):
        Codec.load(tmp_path / "tokenizer")


def test_beside_a_qwen2_model_transformers_reads_the_same_ids(tmp_path):
    """It puts its own splitting in place of that of a tokenizer beside such a model."""
    beside = tmp_path / "model"
    shutil.copytree(tokenizer(), beside)
    Qwen2Config(hidden_size=8, num_attention_heads=1).save_pretrained(beside)
    text = " Kelmar Dovrin was released in 1963.\nStep 2: <search> it's (new)\n\n 0"
    alone = Codec.load(tokenizer())
    assert Codec.load(beside).template(text) == alone.template(text)
    assert Codec.load(beside).text(text) == alone.text(text)
    encoded = AutoTokenizer.from_pretrained(beside).encode(text, add_special_tokens=False)
    assert tuple(encoded) == alone.template(text)
