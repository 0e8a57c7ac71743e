"""Files of rows in every container: found out by their bytes, streamed, refused with a reason."""

import gzip
import io
import json
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchr2 import formats
from searchr2.files import DataError
from searchr2.formats import is_json_lines, rows, unpack

ROWS = [{"id": "1", "contents": '"Ä"\na'}, {"id": "2", "contents": "b\tc"}]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def tar(files, name="x"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        folder = tarfile.TarInfo("some/folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(content)
            archive.addfile(about, io.BytesIO(content))
    return made.getvalue()


def parquet(made):
    import pyarrow
    from pyarrow import parquet

    sink = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(made), sink, row_group_size=1)
    return sink.getvalue()


CONTAINERS = {
    "lines": LINES,
    "with a byte order mark": b"\xef\xbb\xbf" + LINES,
    "blank lines": b"\n \r\n" + LINES.replace(b"\n", b"\r\n\n"),
    "array": json.dumps(ROWS).encode(),
    "indented array": b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=2, ensure_ascii=False).encode(),
    "gzip": gzip.compress(LINES),
    "gzipped array": gzip.compress(json.dumps(ROWS).encode()),
    "tar": tar({"a/b.jsonl": LINES}),
    "gzipped tar": gzip.compress(tar({"a/b.jsonl": LINES})),
    "parquet": parquet(ROWS),
    "tsv with names": 'ID\tcontents\n1\t"""Ä"" a"\n2\t"b\tc"\n'.encode(),
}


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_same_rows_come_out_of_every_container_whatever_the_file_is_called(tmp_path, container):
    path = tmp_path / "rows.bin"
    path.write_bytes(CONTAINERS[container])
    found = [row for _, row in rows(path)]
    assert [row["id"] for row in found] == ["1", "2"]
    assert [" ".join(row["contents"].split()) for row in found] == ['"Ä" a', "b c"]


@pytest.mark.parametrize(
    ("container", "place"),
    [("lines", ":2"), ("gzip", ":2"), ("array", ", item 2"), ("parquet", ", row 2")],
)
def test_rows_say_where_they_stand(tmp_path, container, place):
    path = tmp_path / "rows"
    path.write_bytes(CONTAINERS[container])
    assert [where for where, _ in rows(path)][1] == f"{path}{place}"


@pytest.mark.parametrize(
    ("content", "columns"),
    [
        (b"1\tone\n2\ttwo\n", {"id": "1", "contents": "one"}),
        (b"1\tone\tOne\n", {"id": "1", "text": "one", "title": "One"}),
        (b'id\ttext\ttitle\n1\t"o ""n"" e"\tOne\n', {"id": "1", "text": 'o "n" e', "title": "One"}),
        (b"title\tid\tcontents\nOne\t1\tone\n", {"title": "One", "id": "1", "contents": "one"}),
    ],
)
def test_the_columns_of_a_table_are_named_or_known(tmp_path, content, columns):
    path = tmp_path / "corpus.tsv"
    path.write_bytes(content)
    assert next(rows(path))[1] == columns


def test_a_cell_of_a_table_may_be_long(tmp_path):
    path = tmp_path / "corpus.tsv"
    path.write_text("1\t" + "word " * 50_000 + "\n")
    assert len(next(rows(path))[1]["contents"]) == 250_000


PACKED = gzip.compress(tar({"a.jsonl": LINES * 100}))
DEEP, LONG, HALF = b"[" * 100_000 + b"]" * 100_000, b"1" * 5000, b'"half \\ud800 a pair"'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"# a note\n", "not JSON, Parquet or tab-separated text"),
        (b"PK\x03\x04\x00", "not JSON, Parquet or tab-separated text"),
        (b"version https://git-lfs.github.com/spec/v1\n", "begins with b'version https://git-lfs"),
        (b"<!DOCTYPE html>\n<title>log in</title>", "begins with b'<!DOCTYPE html>"),
        ('{"a": 1}'.encode("utf-16"), "in UTF-8: it begins with b'\\xff\\xfe"),
        (b'{"a": 1}\n{"a": "caf\xe9"}\n', ":2: not a line of JSON: 'utf-8' codec can't decode"),
        (b'{"a": 1}\n{"a": "ca', ":2: not a line of JSON"),
        (b'{"a": 1}\n{"a": %b}\n' % DEEP, ":2: not a line of JSON: maximum recursion depth"),
        (b'{"a": 1}\n{"a": %b}\n' % LONG, ":2: not a line of JSON: Exceeds the limit"),
        (b'{"a": 1}\n{"a": %b}\n' % HALF, ":2: not a line of JSON: 'utf-8' codec can't encode"),
        (b'[{"a": 1}, {"a": %b}]' % DEEP, "item 2: maximum recursion depth"),
        (b'[{"a": 1}, {"a": %b}]' % LONG, "item 2: Exceeds the limit"),
        (b'[{"a": 1}, {"a": %b}]' % HALF, "item 2: 'utf-8' codec can't encode"),
        (b'[{"a": 1}, {"b"', "item 2: not JSON"),
        (b'[{"a": 1}', "item 2: not JSON"),
        (b'[{"a": 1}, 3]', "item 2: expected a JSON object"),
        (b'[{"a": "\xff"}]', "item 1: not JSON"),
        (b'{"a": 1}\n[2]\n', ":2: expected a JSON object"),
        (b"1\tone\n2\n", ":2: 1 columns instead of 2"),
        (b'1\t"one\n2\ttwo\n', "a quote that is not closed"),
        (b"1\t\xff\n", "can't decode"),
        (gzip.compress(LINES)[:-9], "cut short or damaged"),
        (gzip.compress(LINES * 50)[:-40] + bytes(40), "cut short or damaged"),
        (PACKED[: len(PACKED) // 2], "cut short or damaged"),
        (tar({"a": LINES * 20})[:1800], "cut short or damaged"),
        (tar({}), "no file in this archive"),
        (tar({"a": LINES, "b": LINES}), "more than one file"),
        (gzip.compress(parquet(ROWS)), "Parquet inside an archive"),
        (parquet(ROWS)[:-9], "not a whole Parquet file"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_file_and_a_reason(tmp_path, content, reason):
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        list(rows(path))
    assert str(error.value).startswith(str(path))
    assert reason in str(error.value)


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="nowhere: No such file"):
        list(rows(tmp_path / "nowhere"))
    with pytest.raises(DataError, match="Is a directory"):
        list(rows(tmp_path))


def test_an_empty_file_holds_no_row(tmp_path):
    path = tmp_path / "rows"
    for empty in (b"", b"\n", b"[]", gzip.compress(b"")):
        path.write_bytes(empty)
        assert list(rows(path)) == []


@given(
    made=st.lists(st.dictionaries(st.text(), st.text() | st.integers() | st.none())),
    block=st.integers(1, 40),
)
def test_an_array_is_read_alike_however_its_bytes_arrive(tmp_path_factory, made, block):
    path = tmp_path_factory.mktemp("array") / "rows.json"
    path.write_text(json.dumps(made, ensure_ascii=False), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_BLOCK", block)
        assert [row for _, row in rows(path)] == made


def test_only_bare_json_lines_are_read_by_row(tmp_path):
    path = tmp_path / "rows"
    for container, content in CONTAINERS.items():
        path.write_bytes(content)
        assert is_json_lines(path) == (
            container in {"lines", "with a byte order mark", "blank lines"}
        )


def test_an_archive_is_unpacked_byte_by_byte(tmp_path):
    path = tmp_path / "rows"
    for container in ("gzip", "tar", "gzipped tar"):
        path.write_bytes(CONTAINERS[container])
        unpacked = io.BytesIO()
        unpack(path, unpacked)
        assert unpacked.getvalue() == LINES
