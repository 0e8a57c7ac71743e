"""Files that are whole or absent, JSON lines that name their line, manifests that notice damage."""

import contextlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchr2.files import (
    MANIFEST,
    PROVENANCE,
    ArtifactError,
    DataError,
    digest,
    read_json,
    read_jsonl,
    verify_manifest,
    write_json,
    write_jsonl,
    write_manifest,
    write_text,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.fixture
def folder(tmp_path):
    write_text(tmp_path / "art" / "weights.bin", "0123456789" * 20)
    write_text(tmp_path / "art" / "sub" / "names.txt", "Arvane\nOstra\n")
    write_manifest(tmp_path / "art", {"step": 12, "identity": "abc"})
    return tmp_path / "art"


def test_a_text_is_written_with_its_folders_and_nothing_beside_it(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "eins\r\nzwei ü\n")
    assert (tmp_path / "a" / "b" / "c.txt").read_bytes() == "eins\r\nzwei ü\n".encode()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    write_text(tmp_path / "c.txt", "old")
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "c.txt", "new \ud800")
    assert (tmp_path / "c.txt").read_text() == "old"


def test_a_reader_sees_the_old_file_or_the_new_one(tmp_path):
    path = tmp_path / "c.txt"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


@given(value=JSON)
def test_json_comes_back(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.json"
    write_json(path, value)
    assert read_json(path) == value


@given(rows=st.lists(st.dictionaries(st.text(st.characters(codec="utf-8")), JSON, max_size=3)))
def test_json_lines_come_back_with_their_numbers(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "rows.jsonl"
    write_jsonl(path, rows)
    assert list(read_jsonl(path)) == list(enumerate(rows, start=1))


@pytest.mark.parametrize("content", [b"{", b"", b"\xff\xfe", b"[1,"])
def test_a_file_that_is_not_json_is_named(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(DataError, match=r"x\.json: not JSON"):
        read_json(tmp_path / "x.json")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=r"x\.json: No such file"):
        read_json(tmp_path / "x.json")
    with pytest.raises(DataError, match=r"x\.jsonl: No such file"):
        list(read_jsonl(tmp_path / "x.jsonl"))


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not a line of JSON"),
        (b"[1]", "expected a JSON object, found list"),
        (b"null", "expected a JSON object, found NoneType"),
        (b'"x"', "expected a JSON object, found str"),
        (b'{"x": "\xff"}', "not a line of JSON"),
        (b'{"x": "\\ud800"}', "not a line of JSON"),
    ],
)
def test_a_line_that_cannot_be_used_is_named_with_its_number(tmp_path, line, reason):
    (tmp_path / "x.jsonl").write_bytes(b'{"fine": 1}\n\n' + line + b"\n")
    with pytest.raises(DataError, match=rf"x\.jsonl:3: {reason}"):
        list(read_jsonl(tmp_path / "x.jsonl"))


def test_blank_lines_and_a_byte_order_mark_are_passed_over(tmp_path):
    (tmp_path / "x.jsonl").write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n  \n{"b": 2}')
    assert list(read_jsonl(tmp_path / "x.jsonl")) == [(1, {"a": 1}), (3, {"b": 2})]


def test_a_digest_knows_no_order_of_keys():
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert len(digest(None)) == 16


def test_a_whole_folder_verifies_and_tells_what_it_is(folder):
    manifest = verify_manifest(folder, "make it")
    assert (manifest["step"], manifest["identity"]) == (12, "abc")
    assert list(manifest["files"]) == ["sub/names.txt", "weights.bin"]


@pytest.mark.parametrize("name", ["weights.bin", "sub/names.txt"])
@pytest.mark.parametrize("damage", ["truncated", "grown", "flipped", "missing"])
def test_damage_is_noticed_and_the_file_named(folder, name, damage):
    path = folder / name
    content = bytearray(path.read_bytes())
    if damage == "missing":
        path.unlink()
    else:
        content[len(content) // 2] ^= damage == "flipped"
        changed = {"truncated": content[:-1], "grown": content + b"x", "flipped": content}[damage]
        path.write_bytes(changed)
    with pytest.raises(ArtifactError, match=f"{name}: .*; make it"):
        verify_manifest(folder, "make it")


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_of_a_manifest_passes_for_another_truth(tmp_path_factory, place, bit):
    folder = tmp_path_factory.getbasetemp() / "flipped"
    write_text(folder / "weights.bin", "0123456789")
    write_manifest(folder, {"step": 12, "identity": "abc"})
    whole = verify_manifest(folder, "make it")
    path = folder / MANIFEST
    content = bytearray(path.read_bytes())
    content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    with contextlib.suppress(ArtifactError):  # noticed; else it was white space, or the seal's name
        read = verify_manifest(folder, "make it")
        assert {key: read[key] for key in whole} == whole


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"files": 3}', '{"files": {"a": 1}}', "null"]
)
def test_a_manifest_that_cannot_be_read_is_damage_too(folder, content):
    (folder / MANIFEST).write_text(content)
    with pytest.raises(ArtifactError, match=r"manifest\.json: .*; make it"):
        verify_manifest(folder, "make it")


def test_a_missing_manifest_or_folder_is_named(folder, tmp_path):
    (folder / MANIFEST).unlink()
    for place in (folder, tmp_path / "nowhere"):
        with pytest.raises(ArtifactError, match=f"{place.name}: no manifest.json here; make it"):
            verify_manifest(place, "make it")


def test_above_the_limit_sizes_alone_are_compared(folder):
    path = folder / "weights.bin"
    path.write_bytes(path.read_bytes().replace(b"5", b"6"))
    assert verify_manifest(folder, "make it", hash_limit=100)["step"] == 12
    with pytest.raises(ArtifactError, match=r"weights\.bin"):
        verify_manifest(folder, "make it", hash_limit=1000)


def test_a_manifest_may_cover_one_folder_below(folder):
    write_manifest(folder, {}, below="sub")
    assert list(verify_manifest(folder, "")["files"]) == ["sub/names.txt"]


def test_nobody_else_can_be_writing_under_the_same_name_aside(tmp_path):
    write_text(tmp_path / f".c.txt.{os.getpid() + 1}.tmp", "another process, dead half-way")
    write_text(tmp_path / "c.txt", json.dumps(1))
    assert (tmp_path / "c.txt").read_text() == "1"


def test_a_manifest_leaves_the_provenance_out_so_that_making_a_folder_again_holds(tmp_path):
    (tmp_path / "weights").write_text("w")
    (tmp_path / PROVENANCE).write_text("of the first time")
    write_manifest(tmp_path, {})
    (tmp_path / PROVENANCE).write_text("of the second time")
    assert list(verify_manifest(tmp_path, "")["files"]) == ["weights"]
