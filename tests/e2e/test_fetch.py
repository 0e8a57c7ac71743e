"""`searchr2 fetch` as a person types it: killed in a file, and the recipe of wiki-18."""

import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time

import pytest
from fakes.hub import Fault

from searchr2.cli.main import main
from searchr2.config import Retrieval
from searchr2.retrieval import building
from searchr2.trajectory import Document
from tests.corpora import write_corpus
from tests.encoders import make_encoder

CONTENT = bytes(range(256)) * 4000
CATALOGUE = """
[x]
what = "a large file"
repo = "org/name"
type = "dataset"
revision = "{commit}"
folder = "f"
licence = "none"
files = {{ "large.bin" = {{ size = {size}, sha256 = "{sha256}" }} }}
"""


@pytest.fixture
def typed(hub, tmp_path):
    """Starts `searchr2 fetch` with more arguments, a large file being on the hub."""
    commit = hub.commit("org/name", {"large.bin": CONTENT})
    about = {"commit": commit, "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    (tmp_path / "mine.toml").write_text(CATALOGUE.format(**about))
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}

    def typed(*arguments, within=()):
        words = [*within, sys.executable, "-m", "searchr2.cli.main", "fetch", *arguments]
        words += ["--catalogue", "mine.toml", "--out", "data"]
        return subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    return typed


@pytest.mark.e2e
def test_a_disk_that_fills_up_meanwhile_is_named_and_what_has_come_kept(tmp_path, typed):
    small = typed("x", within=["bash", "-c", 'ulimit -f 500; exec "$@"', "small"])  # KiB a file
    _, errors = small.communicate(timeout=60)
    assert errors.endswith(b"org/name, large.bin: File too large; what has come is kept\n")
    [part] = (tmp_path / "data" / "f").glob(".large.bin.*.part")
    assert part.read_bytes() == CONTENT[:512_000]


@pytest.mark.e2e
def test_a_fetch_that_is_killed_goes_on_where_it_was(hub, tmp_path, typed):
    hub.faults["large.bin"] = [Fault(cut=700_000), Fault(drip=0.01)]
    running = typed("x")
    until = time.monotonic() + 60
    while len(hub.ranges("large.bin")) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.communicate(timeout=60)
    [part] = (tmp_path / "data" / "f").glob(".large.bin.*.part")
    kept = part.stat().st_size
    assert kept >= 700_000

    done = typed("x")
    told, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors.decode()
    assert (tmp_path / "data" / "f" / "large.bin").read_bytes() == CONTENT
    assert hub.ranges("large.bin")[-1] == f"bytes={kept}-"
    assert b"data/f/large.bin: 1.02 MB, sha256 " in told

    listed, _ = typed().communicate(timeout=60)
    assert b"1 of 1 files" in listed
    (tmp_path / "data" / "f" / "large.bin").write_bytes(CONTENT[::-1])
    refused = typed("x", "--verify")
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert errors.startswith(b"searchr2 fetch: data/f/large.bin: wrong checksum")
    assert errors.count(b"\n") == 1


RECIPE = """
[corpus]
what = "passages"
repo = "org/corpus"
type = "dataset"
folder = "wiki"
licence = "none"
files = { "wiki.jsonl.gz" = {} }
makes = { name = "wiki.jsonl", how = "unpack" }

[index]
what = "their vectors"
repo = "org/index"
type = "dataset"
folder = "vectors"
licence = "none"
files = { "part_aa" = {}, "part_ab" = {} }

[encoder]
what = "their encoder"
repo = "org/encoder"
type = "model"
folder = "encoder"
licence = "none"
files = { "*.json" = {}, "*.safetensors" = {} }
"""
TOWNS = [
    Document(str(i), name, f"{name} is a town with {i} towers.", 0.0)
    for i, name in enumerate(["Arvane", "Bolt", "Curin", "Delmos", "Evolt", "Farrin"])
]


@pytest.mark.e2e
def test_fetched_passages_vectors_and_encoder_become_an_index(hub, tmp_path, monkeypatch, capsys):
    """docs/retrieval.md, "wiki-18 with its E5 index", word by word on six passages."""
    there = tmp_path / "there"
    corpus = write_corpus(there / "wiki_dump.jsonl", TOWNS)
    encoder = make_encoder(there / "encoder", [town.text for town in TOWNS])
    building.build(there / "i", corpus, Retrieval(kind="dense", encoder=str(encoder)))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(corpus, "data00/somebody/wiki_dump.jsonl")
    vectors = (there / "i" / "vectors.index").read_bytes()
    hub.commit("org/corpus", {"wiki.jsonl.gz": packed.getvalue()})
    hub.commit("org/index", {"part_aa": vectors[:300], "part_ab": vectors[300:]})
    hub.commit("org/encoder", {f.name: f.read_bytes() for f in encoder.iterdir()}, "model")

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(RECIPE)
    fetch = ["fetch", "corpus", "index", "encoder", "--prepare", "--catalogue", "mine.toml"]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
    command = [sys.executable, "-m", "searchr2.cli.main", *fetch, "--out", "data"]
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert (tmp_path / "data" / "wiki" / "wiki.jsonl").read_bytes() == corpus.read_bytes()
    locked = json.loads((tmp_path / "data" / "fetch.lock.json").read_text())
    assert set(locked) == {"org/corpus", "org/index", "org/encoder"}

    index = [
        "index",
        "--kind",
        "dense",
        "--corpus",
        "data/wiki/wiki.jsonl",
        "--out",
        "indexes/wiki",
    ]
    index += ["--encoder", "data/encoder", "--vectors", "data/vectors/part_aa"]
    assert main([*index, "data/vectors/part_ab"]) == 0
    link = tmp_path / "indexes" / "wiki" / "passages.jsonl"
    assert str(link.readlink()) == "../../data/wiki/wiki.jsonl"
    capsys.readouterr()
    assert main(["search", "--index", "indexes/wiki", "--k", "1", TOWNS[3].text]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Delmos"
