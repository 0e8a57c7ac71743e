"""Build a BM25 index and dense indexes of many synthetic passages: peak memory, seconds, latency.

Passages are random words of Zipf's frequencies, as many a passage as wiki-18 has. Vectors are
random: no encoder runs, all the rest is what `searchr2 index` does. Every part is a process of its
own, whose peak is the resident set the kernel saw, mapped file pages included. Then Flat is
compared with brute force, SQ8 with Flat, and the server is asked by 1, 8 and 32 clients at once.

  python benchmarks/retrieval.py                        # a million of each, about half an hour
  python benchmarks/retrieval.py --passages 10000 --vectors 10000 --folder /a/large/disk
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from table1 import machine

from searchr2.config import Encoding, Retrieval
from searchr2.corpus import join_contents
from searchr2.retrieval import building
from searchr2.retrieval.agreement import overlap
from searchr2.retrieval.dense import Dense
from searchr2.retrieval.encoder import Encoder
from searchr2.retrieval.vectors import read_rows
from searchr2.trajectory import Document

WORDS, WORDS_A_PASSAGE, DIMENSION, K = 200_000, 100, 768, 10
EXACT_ROWS = 100_000
"""Rows that brute force is asked about."""


class Random(Encoder):
    """Stands in for an encoder: the vector of "... 17" is the 17th of a random sequence."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding

    dimension = DIMENSION

    def passages(self, contents: Sequence[str]) -> NDArray[np.float32]:
        last = [text.rpartition(" ")[2] for text in contents]
        rows = [int(word) if word.isdigit() else 0 for word in last]  # 0: the probe
        drawn = [np.random.default_rng(row).standard_normal(DIMENSION, np.float32) for row in rows]
        vectors = np.stack(drawn)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors

    def queries(self, texts: Sequence[str]) -> NDArray[np.float32]:
        noise = np.random.default_rng(0).standard_normal((len(texts), DIMENSION), np.float32)
        return self.passages(texts) + 0.03 * noise


def passages(count: int, words: int) -> Iterator[Document]:
    """``count`` passages of random words, a function of both; the last word is the row."""
    vocabulary = np.array([f"w{number:x}" for number in range(WORDS)])
    rng = np.random.default_rng(0)
    for row in range(count):
        text = " ".join(vocabulary[rng.zipf(1.2, words) % WORDS])
        yield Document(str(row), f"Title {row}", f"{text} {row}", 0.0)


def corpus(folder: Path, count: int, words: int) -> Path:
    """``passages`` as a file beside ``folder``."""
    path = folder.with_name(f"{count}-{words}.jsonl")
    with path.open("w") as file:
        for one in passages(count, words):
            row = {"id": one.id, "contents": join_contents(one.title, one.text)}
            file.write(json.dumps(row) + "\n")
    return path


def bm25(folder: Path, count: int) -> dict[str, float]:
    from searchr2.retrieval.bm25 import Bm25, build

    given = corpus(folder, count, WORDS_A_PASSAGE)
    seconds = timed(lambda: build(folder, given, 1.5, 0.75))
    peak = peak_gib()
    index = Bm25.load(folder)
    asked = [one.text.split()[:8] for one in passages(200, 8)]
    queries = [" ".join(words) for words in asked]
    return {
        "build, s": seconds,
        "build, peak GiB": peak,
        "on disk, GiB": size_gib(folder),
        "one query, ms": 1000 * median(lambda query: index.search([query], K), queries),
    }


def flat(folder: Path, count: int) -> dict[str, float]:
    settings = Retrieval(kind="dense", encoder="random")
    given = corpus(folder, count, 1)
    seconds = timed(lambda: building.build(folder, given, settings))
    figures = {"build, s": seconds, "build, peak GiB": peak_gib(), "on disk, GiB": size_gib(folder)}
    index = Dense.load(folder)
    queries = index.encoder.queries([str(row) for row in range(256)])
    one = median(lambda query: index.nearest(query[None], K), list(queries[:20]))
    figures |= {"one query, ms": 1000 * one}
    figures["64 queries, ms"] = 1000 * timed(lambda: index.nearest(queries[:64], K))
    rows = read_rows(folder / "vectors.index")[:EXACT_ROWS]
    if len(rows) == count:
        scores = queries.astype(np.float64) @ rows.T.astype(np.float64)
        same = np.array_equal(np.argsort(-scores, axis=1)[:, :K], index.nearest(queries, K)[1])
        figures["rows as brute force, in order, %"] = 100.0 * same
    return figures


def sq8(folder: Path, count: int) -> dict[str, float]:
    exact = folder.with_name("flat")
    vectors = [str(exact / "vectors.index")]
    settings = Retrieval(kind="dense", encoder="random", vectors=vectors, factory="SQ8")
    given = corpus(folder, count, 1)
    seconds = timed(lambda: building.adopt(folder, given, settings))
    figures = {"build, s": seconds, "build, peak GiB": peak_gib(), "on disk, GiB": size_gib(folder)}
    index = Dense.load(folder)
    queries = index.encoder.queries([str(row) for row in range(256)])
    one = median(lambda query: index.nearest(query[None], K), list(queries[:20]))
    figures |= {"one query, ms": 1000 * one}
    found = [Dense.load(exact).nearest(queries, K)[1], index.nearest(queries, K)[1]]
    return figures | {f"recall of Flat's top {K}, %": 100 * overlap(*found)}


def server(folder: Path, count: int) -> dict[str, float]:
    """Questions a second, and how long one waits, over the BM25 index."""
    command = [sys.executable, "-m", "searchr2.cli.main", "serve", "--port", "0", "--index"]
    index = folder.with_name("bm25")
    queries = [" ".join(one.text.split()[:8]) for one in passages(200, 8)]
    figures = {}
    with subprocess.Popen([*command, index], stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        url = serving.stdout.readline().split()[-1]
        for clients in (1, 8, 32):
            with ThreadPoolExecutor(clients) as pool:
                began = time.perf_counter()
                waits = sorted(pool.map(lambda query: timed(lambda: ask(url, query)), queries))
            spent = time.perf_counter() - began
            figures[f"{clients} clients, queries/s"] = len(queries) / spent
            figures[f"{clients} clients, median ms"] = 1000 * statistics.median(waits)
            figures[f"{clients} clients, 95 % ms"] = 1000 * waits[int(0.95 * len(waits))]
        serving.terminate()
    return figures


def ask(url: str, query: str) -> Any:
    import urllib.request

    body = json.dumps({"queries": [query], "topk": 3, "return_scores": True}).encode()
    with urllib.request.urlopen(url, body, timeout=600) as reply:
        return json.load(reply)


PARTS = {"bm25": bm25, "flat": flat, "sq8": sq8, "exact": flat, "server": server}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=1_000_000, help="of BM25 (%(default)s)")
    parser.add_argument("--vectors", type=int, default=1_000_000, help="of Flat, SQ8 (%(default)s)")
    parser.add_argument("--folder", type=Path, help="where the disk has room")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), help="parts")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        vars(building)["Encoder"] = Dense.load.__globals__["Encoder"] = _Loader
        print(json.dumps(PARTS[options.part](options.folder, options.passages)))
        return
    print("\n".join(f"{name}: {value}" for name, value in machine().items()))
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for part in options.only:
            count = options.passages if part in ("bm25", "server") else options.vectors
            count = min(count, EXACT_ROWS) if part == "exact" else count
            command = [sys.executable, __file__, "--part", part, "--passages", str(count)]
            done = subprocess.run(
                [*command, "--folder", Path(folder, part)], stdout=subprocess.PIPE, check=True
            )
            figures = json.loads(done.stdout.splitlines()[-1])
            print(f"\n{part}, {count}\n" + "\n".join(f"  {k}: {v:.4g}" for k, v in figures.items()))


class _Loader:
    """In place of ``Encoder``: loads ``Random``."""

    load = staticmethod(lambda encoding, device=None: Random(encoding))


def timed(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median(work: Any, arguments: Sequence[Any]) -> float:
    return statistics.median(timed(lambda a=argument: work(a)) for argument in arguments)


def peak_gib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def size_gib(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.iterdir()) / 2**30  # the corpus is a link


if __name__ == "__main__":
    main()
