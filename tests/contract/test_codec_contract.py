"""What ``ports.Codec`` promises, asked of every codec there is."""

import unicodedata

import pytest
from fakes import SPECIALS, ByteCodec
from hypothesis import given
from hypothesis import strategies as st
from worlds import tokenizer

from searchr2.codec import Codec
from searchr2.files import ArtifactError
from searchr2.tags import ALL_TAGS

MARKERS = ("<|im_start|>", "<|im_end|>", "<|endoftext|>")
FOREIGN = st.lists(
    st.one_of(st.text(max_size=12), st.sampled_from((*ALL_TAGS, *MARKERS, "</", ">", "\n\n", " 0")))
).map("".join)
"""Any text, with tags and markers planted in it."""
NORMAL = FOREIGN.map(lambda text: unicodedata.normalize("NFC", text))
"""Qwen2's tokenizer puts text in this form."""


@pytest.fixture(scope="module", params=["fake", "mini", "qwen2"])
def codec(request):
    if request.param == "fake":
        return ByteCodec()
    if request.param == "mini":
        return Codec.load(tokenizer())
    return request.getfixturevalue("qwen2")


@pytest.fixture(scope="module")
def qwen2(real):
    return Codec.load(real / "qwen2_tokenizer")


@pytest.fixture(scope="module")
def added(codec):
    """The ids only our own text may hold."""
    if isinstance(codec, ByteCodec):
        return set(range(256, 256 + len(SPECIALS)))
    return set(codec.tokenizer.get_added_vocab().values())


@given(text=NORMAL)
def test_any_text_comes_back(codec, text):
    assert codec.decode(codec.text(text)) == text


@given(text=NORMAL)
def test_our_own_text_comes_back_with_its_special_tokens_shown(codec, text):
    assert codec.decode(codec.template(text)) == text


@given(text=FOREIGN)
def test_no_foreign_text_becomes_a_special_token(codec, added, text):
    assert not added & set(codec.text(text))


def test_our_own_text_does(codec, added):
    assert codec.eos_id in added
    for token in added:
        assert codec.template(f"a{codec.decode([token])}b").count(token) == 1


def test_nothing_is_put_before_or_after_a_text(codec):
    assert codec.text("") == codec.template("") == ()
    assert codec.decode([]) == ""


def test_encoding_foreign_text_leaves_no_trace(codec):
    before = codec.template("<|im_end|>")
    codec.text("<|im_end|>")
    assert codec.template("<|im_end|>") == before


def test_a_chat_turn_of_a_tokenizer_that_has_none_is_an_error(qwen2):
    with pytest.raises(ArtifactError, match="no chat template"):
        qwen2.chat()


def test_a_closing_tag_of_qwen2_is_several_tokens(qwen2):
    assert len(qwen2.template("</search>")) == 3
    assert qwen2.template("hello") == (14990,)
    assert qwen2.template("<|im_start|>") == (151_644,)
