"""Build a retrieval index over a corpus.

The corpus is JSON lines of {"id": ..., "contents": "\\"Title\\"\\ntext"}. The index folder holds a
copy of the passages, so it can be moved; it appears whole or not at all.

example: searchr2 index --corpus results/world/corpus.jsonl --kind bm25 --out results/index/world
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.config import Retrieval


def arguments(parser: argparse.ArgumentParser) -> None:
    default = Retrieval()
    parser.add_argument("--corpus", type=Path, required=True, help="passages, JSON lines")
    parser.add_argument("--kind", choices=["bm25"], default=default.kind)
    parser.add_argument(
        "--out", type=Path, required=True, help="the index folder; replaced if there"
    )
    parser.add_argument(
        "--k1", type=float, default=default.k1, help="BM25 term saturation (%(default)s)"
    )
    parser.add_argument(
        "--b", type=float, default=default.b, help="BM25 length normalisation (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    from collections.abc import Iterator

    from searchr2 import progress
    from searchr2.corpus import read_corpus
    from searchr2.files import DataError, sha256
    from searchr2.retrieval import bm25
    from searchr2.tracking.provenance import made
    from searchr2.trajectory import Document

    if not options.corpus.is_file():
        raise DataError(f"{options.corpus}: no such file")

    def passages() -> Iterator[Document]:
        with options.corpus.open("rb") as file:
            bar = progress.bar(sum(1 for _ in file), "index", "passages")
        for passage in read_corpus(options.corpus):
            bar.update()
            yield passage
        bar.close()

    about = {"corpus_sha256": sha256(options.corpus)}
    config = {"kind": options.kind, "k1": options.k1, "b": options.b}
    with made(options.out, stage="index", config=config, inputs={"corpus": options.corpus}):
        count = bm25.build(options.out, passages(), options.k1, options.b, about)
    print(f"{options.out}: {count} passages")
