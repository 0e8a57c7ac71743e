"""The BM25 index folder: whole or absent, verified when opened, deterministic when asked."""

import gzip
import json
import subprocess
import sys

import bm25s
import pytest

from searchr2.cli.main import main
from searchr2.files import ArtifactError, DataError, read_json, sha256, write_manifest
from searchr2.retrieval import bm25, folders
from searchr2.trajectory import Document
from tests.corpora import write_corpus

PASSAGES = [
    Document("p1", "Arvane", "Arvane is a city of towers — \U0001f3f0 and “bridges”.", 0.0),
    Document("p2", "Bolt", "A bolt of lightning.", 0.0),
    Document("p3", "Twin", "Twin towers stand in Arvane.", 0.0),
    Document("p4", "Twin", "Twin towers stand in Arvane.", 0.0),
]


def build(folder, passages=PASSAGES):
    corpus = write_corpus(folder.parent / "corpora" / f"{len(passages)}.jsonl", passages)
    return bm25.build(folder, corpus, k1=1.5, b=0.75)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_equal_scores_come_in_corpus_order(tmp_path):
    build(tmp_path / "i")
    [found] = bm25.Bm25.load(tmp_path / "i").search(["twin towers"], k=1)
    assert [d.id for d in found] == ["p3"]


def test_two_builds_write_the_same_bytes(tmp_path):
    build(tmp_path / "a")
    build(tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_the_manifest_says_what_was_indexed(tmp_path):
    build(tmp_path / "i")
    manifest = read_json(tmp_path / "i" / "manifest.json")
    corpus = tmp_path / "corpora" / "4.jsonl"
    about = {"kind": "bm25", "k1": 1.5, "b": 0.75, "passages": 4, "corpus_sha256": sha256(corpus)}
    assert {key: manifest[key] for key in about} == about


@pytest.mark.parametrize("name", ["passages.jsonl", "data.csc.index.npy", "manifest.json"])
def test_a_missing_file_is_named_with_the_rule_that_rebuilds_it(tmp_path, name):
    build(tmp_path / "world")
    (tmp_path / "world" / name).unlink()
    with pytest.raises(ArtifactError, match=f"{name}.*snakemake --forcerun index_world"):
        bm25.Bm25.load(tmp_path / "world")


def test_a_flipped_byte_is_noticed(tmp_path):
    build(tmp_path / "i")
    path = tmp_path / "i" / "vocab.index.json"
    content = bytearray(path.read_bytes())
    content[5] ^= 1
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match=r"vocab\.index\.json: does not match"):
        bm25.Bm25.load(tmp_path / "i")


def test_above_the_limit_sizes_alone_are_compared(tmp_path, monkeypatch):
    build(tmp_path / "i")
    path = tmp_path / "i" / "passages.jsonl"
    path.write_bytes(path.read_bytes().replace(b"lightning", b"Lightning"))
    monkeypatch.setattr(folders, "HASH_LIMIT", 10)
    assert len(bm25.Bm25.load(tmp_path / "i")) == 4
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ArtifactError, match="does not match"):
        bm25.Bm25.load(tmp_path / "i")


def test_a_build_that_dies_leaves_the_old_index_and_the_next_one_replaces_it(tmp_path, monkeypatch):
    def dying(*_, **__):
        raise KeyboardInterrupt

    build(tmp_path / "i")
    before = files(tmp_path / "i")
    with monkeypatch.context() as patch:
        patch.setattr(bm25s, "tokenize", dying)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "i", PASSAGES[:3])
    assert files(tmp_path / "i") == before
    assert build(tmp_path / "i", PASSAGES[:2]) == 2
    assert len(bm25.Bm25.load(tmp_path / "i")) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"i", "corpora"}


def test_a_corpus_of_json_lines_is_linked_to_and_may_move_with_its_index(tmp_path):
    build(tmp_path / "a" / "i")
    link = tmp_path / "a" / "i" / "passages.jsonl"
    assert link.is_symlink()
    assert link.resolve() == tmp_path / "a" / "corpora" / "4.jsonl"
    (tmp_path / "a").rename(tmp_path / "b")
    [[found]] = bm25.Bm25.load(tmp_path / "b" / "i").search(["lightning"], 1)
    assert found.id == "p2"


@pytest.mark.parametrize("kind", ["gz", "tsv"])
def test_a_corpus_in_another_container_is_decoded_into_its_index(tmp_path, kind):
    corpus = write_corpus(tmp_path / "corpus", PASSAGES)
    content = gzip.compress(corpus.read_bytes())
    if kind == "tsv":
        content = "".join(f"{d.id}\t{d.text}\t{d.title}\n" for d in PASSAGES).encode()
    corpus.write_bytes(content)
    bm25.build(tmp_path / "i", corpus, 1.5, 0.75)
    corpus.unlink()
    assert not (tmp_path / "i" / "passages.jsonl").is_symlink()
    [[found]] = bm25.Bm25.load(tmp_path / "i").search(["lightning"], 1)
    assert (found.id, found.title, found.text) == ("p2", "Bolt", PASSAGES[1].text)


def spoil(corpus, old, new):
    corpus.write_bytes(corpus.read_bytes().replace(old, new))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda corpus: corpus.unlink(), "missing"),
        (lambda corpus: spoil(corpus, b"lightning", b"thunder"), "does not match"),
        (lambda corpus: spoil(corpus, b"lightning", b"Lightning"), "does not match"),
    ],
)
def test_a_corpus_that_is_gone_or_another_one_is_named_with_the_rule(tmp_path, change, told):
    build(tmp_path / "task")
    change(tmp_path / "corpora" / "4.jsonl")
    with pytest.raises(ArtifactError) as error:
        bm25.Bm25.load(tmp_path / "task")
    place = f"passages.jsonl (a link to {tmp_path / 'corpora' / '4.jsonl'})"
    assert f"{place}: {told}" in str(error.value)
    assert "index_task" in str(error.value)


def test_a_large_corpus_of_the_same_size_with_other_rows_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(folders, "HASH_LIMIT", 10)
    build(tmp_path / "i")
    offsets = (tmp_path / "i" / "passages.jsonl.offsets").read_bytes()
    write_corpus(tmp_path / "corpora" / "4.jsonl", PASSAGES[::-1])
    with pytest.raises(DataError, match=r"4\.jsonl: not the corpus that .*offsets is of; bring"):
        bm25.Bm25.load(tmp_path / "i")
    assert (tmp_path / "i" / "passages.jsonl.offsets").read_bytes() == offsets


def test_a_corpus_that_changes_while_it_is_indexed_is_refused(tmp_path, monkeypatch):
    tokenize = bm25s.tokenize

    def changing(contents, **options):
        tokens = tokenize(contents, **options)
        spoil(tmp_path / "corpora" / "4.jsonl", b"lightning", b"Lightning")
        return tokens

    monkeypatch.setattr(bm25s, "tokenize", changing)
    with pytest.raises(DataError, match=r"4\.jsonl: it changed while it was indexed"):
        build(tmp_path / "i")
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize(
    ("changes", "spoiled", "told"),
    [
        ({"passages": 3}, None, "not of these passages"),
        ({"passages": None}, None, r"manifest\.json: no passages in it"),
        ({"kind": "dense"}, None, "not an index of kind bm25"),
        ({}, "data.csc.index.npy", "bm25s cannot read it"),
        ({}, "vocab.index.json", "bm25s cannot read it"),
    ],
)
def test_an_index_that_does_not_fit_its_manifest_is_refused(tmp_path, changes, spoiled, told):
    build(tmp_path / "task")
    if spoiled:
        (tmp_path / "task" / spoiled).write_bytes(b"\x93NUMPY")
    known = read_json(tmp_path / "task" / "manifest.json") | changes | {"digest": None}
    write_manifest(tmp_path / "task", {k: v for k, v in known.items() if v is not None})
    with pytest.raises(ArtifactError, match=told) as error:
        bm25.Bm25.load(tmp_path / "task")
    assert "index_task" in str(error.value)


def test_a_corpus_in_the_folder_that_is_written_is_refused(tmp_path, capsys):
    build(tmp_path / "i")
    below = write_corpus(tmp_path / "i" / "below" / "corpus.jsonl", PASSAGES)
    for own in (tmp_path / "i" / "passages.jsonl", below):
        for command in ("index", "encode"):
            assert main([command, "--corpus", str(own), "--out", str(tmp_path / "i")]) == 2
            assert f"{own} stands in --out, which is written anew" in capsys.readouterr().err
    assert len(bm25.Bm25.load(tmp_path / "i")) == 4


def test_verify_says_which_corpus_an_index_no_longer_has(tmp_path, capsys):
    corpus = write_corpus(tmp_path / "corpus.jsonl", PASSAGES)
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "r" / "i")]) == 0
    assert main(["verify", "--results", str(tmp_path / "r")]) == 0
    spoil(corpus, b"lightning", b"thunder")
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["verify", "--results", str(tmp_path / "r")])
    told = capsys.readouterr().out
    assert f"(a link to {corpus}): does not match" in told
    assert "was made from ../corpus.jsonl, which is another one now" in told


def test_the_command_replaces_what_it_made(tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    for text in ("thunder", "lightning"):
        corpus.write_text(json.dumps({"id": "1", "contents": f'"Weather"\n{text}'}) + "\n")
        assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 0
    [[found]] = bm25.Bm25.load(tmp_path / "i").search(["lightning"], 1)
    assert found.text == "lightning"


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.tex: not part of an index"):
        build(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_passages_without_a_word_cannot_be_indexed(tmp_path):
    with pytest.raises(DataError, match="no word to index"):
        build(tmp_path / "i", [Document("p", "!", "?", 0.0)])
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"id": "p2"}', "contents"),
        ('{"id": "p2", "contents": 3}', "contents"),
        ("{", "not a line of JSON"),
        ("[]", "expected a JSON object"),
        ('{"id": "p2", "contents": "half \\ud800 a pair"}', "surrogates not allowed"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_reason(tmp_path, capsys, line, reason):
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text('{"id": "p1", "contents": "\\"A\\"\\nsome text"}\n' + line + "\n")
    assert main(["index", "--corpus", str(corpus), "--out", str(tmp_path / "i")]) == 2
    said = capsys.readouterr().err
    assert f"{corpus}:2:" in said
    assert reason in said
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.jsonl"]


def test_an_empty_or_missing_corpus_is_an_error(tmp_path, capsys):
    (tmp_path / "corpus.jsonl").touch()
    for name in ("corpus.jsonl", "nowhere.jsonl"):
        arguments = ["--corpus", str(tmp_path / name), "--out", str(tmp_path / "i")]
        assert main(["index", *arguments]) == 2
        assert name in capsys.readouterr().err


def test_index_and_search_as_commands(tmp_path, capsys):
    rows = [{"id": d.id, "contents": f'"{d.title}"\n{d.text}'} for d in PASSAGES]
    corpus = tmp_path / "corpus.jsonl"
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = str(tmp_path / "i")
    assert main(["index", "--corpus", str(corpus), "--kind", "bm25", "--out", out]) == 0
    capsys.readouterr()
    assert main(["search", "--index", out, "--k", "2", "City of towers, Arvane"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert list(first) == ["rank", "id", "title", "score", "text"]
    assert (first["rank"], first["id"], first["title"]) == (1, "p1", "Arvane")
    assert first["text"] == PASSAGES[0].text
    assert second["rank"] == 2
    assert second["score"] < first["score"]
    assert main(["search", "--index", out, "zebra"]) == 0
    assert capsys.readouterr().out == ""


def test_the_library_says_nothing_of_its_own(tmp_path):
    code = (
        "import logging, pathlib, sys; logging.basicConfig(level=0)\n"
        "from searchr2.retrieval import bm25\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "bm25.build(folder, pathlib.Path(sys.argv[2]), 1.5, 0.75)\n"
        "bm25.Bm25.load(folder).search(['text', ''], 3)"
    )
    corpus = write_corpus(tmp_path / "corpus.jsonl", PASSAGES)
    command = [sys.executable, "-c", code, str(tmp_path / "i"), str(corpus)]
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    assert ran.stdout + ran.stderr == ""
