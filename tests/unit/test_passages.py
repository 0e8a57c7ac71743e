"""Passages by row: the offsets are right, made once, resumed after a kill, and never another's."""

import json
import os
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchr2 import passages
from searchr2.corpus import read_corpus
from searchr2.files import DataError
from searchr2.passages import PassageFile


def lines(count, text="It is."):
    return [
        json.dumps({"id": str(i), "contents": f'"T{i}"\n{text * (i % 3 + 1)}'}) + "\n"
        for i in range(count)
    ]


def write(path, made):
    path.write_text("".join(made), encoding="utf-8")
    return path


@pytest.fixture
def corpus(tmp_path):
    return write(tmp_path / "corpus.jsonl", lines(20_000))


@pytest.mark.parametrize("block", [1 << 25, 1000, 97])
def test_twenty_thousand_passages_are_found_by_row(corpus, monkeypatch, block):
    monkeypatch.setattr(passages, "_BLOCK", block)
    with PassageFile(corpus) as found:
        assert len(found) == 20_000
        assert found[:] == list(read_corpus(corpus))
        assert found[-1].title == "T19999"
        assert [p.id for p in found[19_998:]] == ["19998", "19999"]
        with pytest.raises(IndexError):
            found[20_000]


def test_opening_again_reads_neither_file(corpus, monkeypatch):
    PassageFile(corpus)
    monkeypatch.setattr(passages, "_make_offsets", None)
    before = corpus.with_name("corpus.jsonl.offsets").stat().st_mtime_ns
    tracemalloc.start()
    with PassageFile(corpus) as found:
        assert found[12_345].title == "T12345"
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 100_000 < corpus.stat().st_size
    assert corpus.with_name("corpus.jsonl.offsets").stat().st_mtime_ns == before


@given(
    st.lists(st.sampled_from(["", " ", "\r", "\t ", "row", "  row", "long"]), max_size=12),
    st.booleans(),
    st.sampled_from([1, 2, 5, 64, 1 << 20]),
)
def test_blank_lines_are_no_passages_wherever_a_block_ends(tmp_path_factory, kinds, ended, block):
    made = []
    for number, kind in enumerate(kinds):
        row = json.dumps({"id": number, "contents": "c" * (300 if kind == "long" else 1)})
        made.append(kind.replace("row", row).replace("long", row))
    text = "\n".join(made) + ("\n" if ended else "")
    corpus = write(tmp_path_factory.mktemp("blank") / "corpus.jsonl", [text])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passages, "_BLOCK", block)
        try:
            expected = list(read_corpus(corpus))
        except DataError:
            with pytest.raises(DataError, match="no passage"):
                PassageFile(corpus)
        else:
            assert PassageFile(corpus)[:] == expected


def test_a_byte_order_mark_and_a_missing_last_line_break_are_no_harm(tmp_path):
    corpus = write(tmp_path / "corpus.jsonl", ["\ufeff", "".join(lines(3)).rstrip("\n")])
    assert [passage.id for passage in PassageFile(corpus)] == ["0", "1", "2"]


@pytest.mark.parametrize("torn", [0, 3])
def test_a_killed_attempt_is_gone_on_with(corpus, monkeypatch, torn):
    """The attempt dies after some blocks; the next begins at the last row it had found."""
    monkeypatch.setattr(passages, "_BLOCK", 10_000)
    real, asked = passages._line_starts, []

    def dying(file, at):
        for number, starts in enumerate(real(file, at)):
            if number == 5:
                raise KeyboardInterrupt
            yield starts

    monkeypatch.setattr(passages, "_line_starts", dying)
    with pytest.raises(KeyboardInterrupt):
        PassageFile(corpus)
    part = corpus.with_name(".corpus.jsonl.offsets.part")
    assert not corpus.with_name("corpus.jsonl.offsets").exists()
    assert part.stat().st_size > 100 * 8
    with part.open("ab") as file:
        file.write(b"\1" * torn)

    def watched(file, at):
        asked.append(at)
        return real(file, at)

    monkeypatch.setattr(passages, "_line_starts", watched)
    assert PassageFile(corpus)[:] == list(read_corpus(corpus))
    assert asked[0] > 40_000
    assert not part.exists()


def test_a_part_of_another_corpus_is_thrown_away(corpus):
    part = corpus.with_name(".corpus.jsonl.offsets.part")
    part.write_bytes(np.arange(5, 50_000, 7, dtype="<u8").tobytes())
    assert PassageFile(corpus)[:] == list(read_corpus(corpus))


def test_offsets_that_do_not_fit_are_made_anew(corpus, tmp_path):
    PassageFile(corpus)
    offsets = corpus.with_name("corpus.jsonl.offsets")
    for content in (offsets.read_bytes()[:-8], offsets.read_bytes()[:-3], b"", os.urandom(800)):
        offsets.write_bytes(content)
        assert PassageFile(corpus)[7].title == "T7"
    write(corpus, lines(20_000, "It was a little more."))
    assert PassageFile(corpus)[:] == list(read_corpus(corpus))


def test_a_corpus_of_the_same_size_with_other_rows_is_noticed(tmp_path):
    corpus = write(tmp_path / "corpus.jsonl", lines(300))
    PassageFile(corpus)
    write(corpus, lines(300)[1:] + lines(1))
    assert [passage.id for passage in PassageFile(corpus)][:2] == ["1", "2"]


def test_a_row_that_is_no_passage_is_named(tmp_path):
    corpus = write(tmp_path / "corpus.jsonl", [*lines(2), '{"id": 2}\n'])
    with pytest.raises(DataError, match=r'corpus\.jsonl, row 2: "contents" must be .* delete'):
        PassageFile(corpus)[2]


def test_offsets_may_stand_elsewhere(corpus, tmp_path):
    there = tmp_path / "index" / "offsets"
    there.parent.mkdir()
    assert PassageFile(corpus, there)[3].title == "T3"
    assert there.exists()
    assert not corpus.with_name("corpus.jsonl.offsets").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "no passage"), (b"[]", "plain JSON lines only"), (b"\x1f\x8b", "damaged")],
)
def test_what_is_no_corpus_of_json_lines_is_refused(tmp_path, content, reason):
    path = tmp_path / "corpus.jsonl"
    path.write_bytes(content)
    with pytest.raises(DataError, match=reason):
        PassageFile(path)


def test_threads_share_a_corpus_and_make_its_offsets_once(corpus, monkeypatch):
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(PassageFile, [corpus] * 4))
        rows = list(pool.map(lambda at: opened[at % 4][at].title, range(0, 20_000, 37)))
    assert rows == [f"T{at}" for at in range(0, 20_000, 37)]
