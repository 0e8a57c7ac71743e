"""Reading passages: the layout, its quirks, and what is said of rows that cannot be used."""

import gzip
import json

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from searchr2.corpus import (
    import_corpus,
    join_contents,
    parse_passage,
    passage_row,
    read_corpus,
    split_contents,
)
from searchr2.files import DataError
from searchr2.trajectory import Document


def write(folder, *rows):
    path = folder / "corpus.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


@pytest.mark.parametrize(
    ("contents", "title", "text"),
    [
        ('"A B"\nIt is.', "A B", "It is."),
        ('"A B"\nIt is.\nIt was.', "A B", "It is.\nIt was."),
        ('"""A"" B"\nThe ""A"" is.', '"A" B', 'The ""A"" is.'),
        ('"Eddie "The Eagle" Edwards"\nHe is.', 'Eddie "The Eagle" Edwards', "He is."),
        ('"A B"', "A B", "A B"),
        ("No title. It is.", "No title. It is.", "No title. It is."),
        ("No title.\nIt is.", "No title.", "No title.\nIt is."),
        ('"\nIt is.', '"', '"\nIt is.'),
    ],
)
def test_title_and_text_are_parted(contents, title, text):
    assert split_contents(contents) == (title, text)


def test_ids_become_strings_and_order_is_kept(tmp_path):
    path = write(tmp_path, {"id": 7, "contents": '"A"\na'}, "", {"id": "x", "contents": '"B"\nb'})
    assert [(p.id, p.title, p.text, p.score) for p in read_corpus(path)] == [
        ("7", "A", "a", 0.0),
        ("x", "B", "b", 0.0),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not a line of JSON"),
        ("[1]", "expected a JSON object"),
        ({"contents": "c"}, '"id" must be'),
        ({"id": "", "contents": "c"}, '"id" must be'),
        ({"id": None, "contents": "c"}, '"id" must be'),
        ({"id": "b"}, '"contents" must be'),
        ({"id": "b", "contents": " \n"}, '"contents" must be'),
        ({"id": "b", "contents": ["c"]}, '"contents" must be'),
        ({"id": "a", "contents": "c"}, "id 'a' occurs twice"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, row, reason):
    path = write(tmp_path, {"id": "a", "contents": '"A"\na'}, row)
    with pytest.raises(DataError) as error:
        list(read_corpus(path))
    assert str(error.value).startswith(f"{path}:2: ")
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("row", "title", "text"),
    [
        ({"title": "A B", "text": "It is."}, "A B", "It is."),
        ({"title": " A\n\u00a0B ", "text": " It is. \n"}, "A B", "It is."),
        ({"title": "", "text": "It is."}, "", "It is."),
        ({"text": "It is.\nIt was."}, "It is.", "It is.\nIt was."),
        ({"title": "B", "contents": '"A"\nIt is.'}, "A", "It is."),
        ({"title": None, "text": '"A"\nIt is.'}, "A", "It is."),
    ],
)
def test_title_and_text_may_stand_in_columns_of_their_own(tmp_path, row, title, text):
    [passage] = read_corpus(write(tmp_path, {"id": 1} | row))
    assert (passage.title, passage.text) == (title, text)


@pytest.mark.parametrize(
    ("ids", "again"),
    [
        (["0", "1", "2", "1"], "1"),
        ([7, 8, 9, "x", 8], "8"),
        (["x", "0", "1", "x"], "x"),
        (["3", "1", "2", "1"], "1"),
        (["5", "7", "6", "7"], "7"),
        (["5", "7", "6", "6"], "6"),
        (["0", "00", "1", "00"], "00"),
    ],
)
def test_an_id_is_found_again_whatever_their_order(tmp_path, ids, again):
    path = write(tmp_path, *({"id": id_, "contents": "c"} for id_ in ids))
    with pytest.raises(DataError, match=f":{len(ids)}: id '{again}' occurs twice"):
        list(read_corpus(path))


@given(st.lists(st.integers(0, 12).map(str) | st.sampled_from(["01", "x", "-1", "²"])))
def test_ids_are_told_apart_as_a_set_tells_them(ids):
    from searchr2.corpus import _Ids

    seen, known = set(), _Ids()
    for id_ in ids:
        assert known.add(id_) == (id_ not in seen)
        seen.add(id_)
    assert bool(known) == bool(ids)


def test_ids_that_count_up_are_not_kept():
    from searchr2.corpus import _Ids

    known = _Ids()
    assert all(known.add(str(number)) for number in range(100, 1000))
    assert not known.others


line = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), min_size=1)


@given(line.map(str.strip).filter(bool), st.text(min_size=1).map(str.strip).filter(bool))
def test_what_was_joined_is_parted_again(title, text):
    parted = split_contents(join_contents(title, text))
    assert parted == (title, text)


words = line.map(str.split).map(" ".join)


@given(words, st.text(min_size=1).map(str.strip).filter(bool))
def test_any_passage_is_read_again_from_its_row(title, text):
    passage = Document("1", title, text, 0.0)
    assert parse_passage(passage_row(passage)) == passage


LAYOUTS = {
    "contents": {"contents": '"A ""B"" C"\nIt is.'},
    "title and text": {"title": 'A "B" C', "text": "It is."},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("container", ["jsonl", "jsonl.gz", "parquet"])
def test_each_layout_is_read_from_each_container(tmp_path, layout, container):
    made = [{"id": str(number), **LAYOUTS[layout]} for number in range(3)]
    path = write(tmp_path, *made)
    if container == "jsonl.gz":
        path.write_bytes(gzip.compress(path.read_bytes()))
    elif container == "parquet":
        parquet.write_table(pyarrow.Table.from_pylist(made), path)
    found = [(p.id, p.title, p.text) for p in read_corpus(path)]
    assert found == [(str(number), 'A "B" C', "It is.") for number in range(3)]


def test_every_corpus_is_imported_to_json_lines(tmp_path):
    table = tmp_path / "kilt.tsv"
    table.write_text('id\ttext\ttitle\n1\tIt is.\t"A ""B"""\n2\tIt was.\tC\n')
    import_corpus(table, tmp_path / "out" / "corpus.jsonl")
    found = [(p.id, p.title, p.text) for p in read_corpus(tmp_path / "out" / "corpus.jsonl")]
    assert found == [("1", 'A "B"', "It is."), ("2", "C", "It was.")]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["corpus.jsonl"]


def test_json_lines_in_an_archive_are_imported_byte_by_byte(tmp_path):
    plain = write(tmp_path, {"id": 1, "contents": '"A"\na', "more": 1.0}, "")
    packed = tmp_path / "corpus.jsonl.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    import_corpus(packed, tmp_path / "imported.jsonl")
    assert (tmp_path / "imported.jsonl").read_bytes() == plain.read_bytes()


def test_a_corpus_that_cannot_be_imported_leaves_nothing(tmp_path):
    table = tmp_path / "kilt.tsv"
    table.write_text("1\tIt is.\n1\tIt was.\n")
    with pytest.raises(DataError, match=r"kilt\.tsv:2: id '1' occurs twice"):
        import_corpus(table, tmp_path / "out" / "corpus.jsonl")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_empty_corpus_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no passage"):
        list(read_corpus(write(tmp_path, "")))


def test_a_corpus_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file"):
        list(read_corpus(tmp_path / "nowhere.jsonl"))


def test_real_passages_are_read(real):
    passages = list(read_corpus(real / "corpus.jsonl"))
    assert len(passages) == 33_457
    assert all(p.title and p.text for p in passages)
    assert sum(p.title.startswith('"') and p.title.endswith('"') for p in passages) == 0


@pytest.mark.parametrize("container", ["gzipped tar", "table", "parquet"])
def test_real_passages_come_out_of_every_container_as_they_went_in(real, tmp_path, container):
    import csv
    import io
    import tarfile

    lines = (real / "corpus.jsonl").read_bytes().splitlines(keepends=True)[::9]
    plain, packed = tmp_path / "plain.jsonl", tmp_path / "packed"
    plain.write_bytes(b"".join(lines))
    expected = list(read_corpus(plain))
    if container == "gzipped tar":
        with tarfile.open(packed, "w:gz") as archive:
            about = tarfile.TarInfo("somewhere/wiki_dump.jsonl")
            about.size = plain.stat().st_size
            archive.addfile(about, io.BytesIO(plain.read_bytes()))
    elif container == "table":
        with packed.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, delimiter="\t")
            table.writerow(["id", "text", "title"])
            table.writerows([p.id, p.text, p.title] for p in expected)
    else:
        parquet.write_table(pyarrow.Table.from_pylist([json.loads(row) for row in lines]), packed)
    assert list(read_corpus(packed)) == expected
    import_corpus(packed, tmp_path / "imported.jsonl")
    assert list(read_corpus(tmp_path / "imported.jsonl")) == expected
