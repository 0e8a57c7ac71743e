"""`searchr2 serve` as a process: ready when it says so, asked by commands, gone when told to."""

import json
import signal
import socket
import subprocess
import sys

import pytest

from searchr2.cli.main import main
from searchr2.retrieval import bm25
from searchr2.trajectory import Document
from tests.corpora import write_corpus
from tests.e2e.stages import finish
from tests.servers import serving

pytestmark = pytest.mark.e2e
PASSAGES = [
    Document("p1", "Arvane", "Arvane is a city of towers.", 0.0),
    Document("p2", "Bolt", "A bolt of lightning.", 0.0),
]


@pytest.fixture
def index(tmp_path):
    corpus = write_corpus(tmp_path / "corpus.jsonl", PASSAGES)
    bm25.build(tmp_path / "index", corpus, 1.5, 0.75)
    return tmp_path / "index"


def serve(index, *options):
    command = [sys.executable, "-m", "searchr2.cli.main", "serve", "--index", index, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_served_index_is_searched_like_the_index_itself(index, tmp_path, capsys):
    with serve(index, "--port", "0") as server:
        try:
            assert server.stdout is not None
            url = server.stdout.readline().split()[-1]
            assert url.startswith("http://127.0.0.1:")
            there = str(tmp_path / "there")
            assert main(["index", "--kind", "http", "--urls", url, "--out", there]) == 0
            capsys.readouterr()
            for folder in (there, str(index)):
                assert main(["search", "--index", folder, "a city of towers"]) == 0
            served, own = map(json.loads, capsys.readouterr().out.splitlines())
            assert served == own
        finally:
            server.send_signal(signal.SIGTERM)
            _, said = server.communicate(timeout=30)
    assert said == ""


class Failing:
    """A retriever that breaks down after so many searches."""

    def __init__(self, retriever, searches):
        self.retriever, self.searches = retriever, searches

    def search(self, queries, k):
        self.searches -= 1
        if self.searches < 0:
            raise OSError("the disk is gone")
        return self.retriever.search(queries, k)


def test_an_evaluation_whose_server_breaks_down_scores_nothing_and_goes_on_once_it_is_back(
    stages, trained, evaluated
):
    out, addresses = stages.results / "evaluate-served" / "seed1", stages.results / "addresses"
    retriever = Failing(bm25.Bm25.load(stages.index), 1000)
    with serving(retriever) as url:
        stages.run("index", "--kind", "http", "--urls", url, "--retries", 1, "--out", addresses)
        ask = [str(addresses) if word == str(stages.index) else word
               for word in stages.evaluate(trained, out)]  # fmt: skip
        retriever.searches = 1  # what who opens the index asks for
        said = finish(ask, status=2)
        assert f"{url}: status 500" in said
        assert "the disk is gone" in said
        assert "tried 2 times" in said
        assert "Traceback" not in said
        assert not (out / "predictions.jsonl").exists()
        retriever.searches = 1000
        finish(ask)
    for name in ("predictions.jsonl", "metrics.json"):
        assert (out / name).read_bytes() == (evaluated / name).read_bytes()


def test_an_address_that_is_taken_is_said_before_anything_is_loaded(index, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", "--index", str(index), "--port", port]) == 2
    assert f"127.0.0.1:{port}: Address already in use; take another" in capsys.readouterr().err


def test_an_index_that_is_not_there_ends_the_server(tmp_path, capsys):
    assert main(["serve", "--index", str(tmp_path), "--port", "0"]) == 2
    assert "no manifest.json here" in capsys.readouterr().err
