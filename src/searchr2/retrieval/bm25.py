"""BM25 over a corpus: an index folder, built whole or not at all and asked without loading texts.

Scoring is bm25s' (Lucene's BM25, eager and sparse). A passage is indexed as its title and text
together: lower case, words of two letters or more, English stop words out, no stemming. Queries are
cut alike; a word that a query repeats counts each time. The folder is self-contained:

    *.npy, *.index.json   bm25s' own files (term scores by column, vocabulary, parameters)
    passages.jsonl        {"id", "title", "text"} in corpus order
    offsets.npy           int64 (passages + 1): where each row of passages.jsonl begins; its end
    manifest.json         kind, parameters, passages, sha256 of the corpus and of every file

Arrays and passages are memory-mapped, so what a search touches is read and nothing else.
"""

from __future__ import annotations

import json
import logging
import mmap
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import bm25s
import numpy as np
from numpy.typing import NDArray

from searchr2.files import (
    MANIFEST,
    PROVENANCE,
    ArtifactError,
    DataError,
    verify_manifest,
    write_manifest,
)
from searchr2.trajectory import Collection, Document

logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets DEBUG on import

HASH_LIMIT = 1 << 30
"""Bytes up to which opening an index verifies sha256; above it, sizes alone."""
_PASSAGES, _OFFSETS = "passages.jsonl", "offsets.npy"


def build(
    folder: Path, passages: Iterable[Document], k1: float, b: float, about: dict[str, Any]
) -> int:
    """Index ``passages`` into ``folder``; returns their number.

    ``about`` is recorded in the manifest. The index is made in a folder beside and renamed, so a
    killed build leaves ``folder`` as it was. Raises ``DataError`` where there is nothing to index,
    or where ``folder`` holds files that are not an index.
    """
    _refuse_strangers(folder)
    aside = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        count = _fill(aside, passages, k1, b)
        write_manifest(aside, {"kind": "bm25", "k1": k1, "b": b, "passages": count, **about})
    except BaseException:
        shutil.rmtree(aside)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)
    return count


def _refuse_strangers(folder: Path) -> None:
    """A rebuilt index replaces its folder, so the folder must hold nothing else."""
    if not folder.exists():
        return
    known = {_PASSAGES, _OFFSETS, MANIFEST, PROVENANCE}
    for path in folder.iterdir() if folder.is_dir() else [folder]:
        if path.name not in known and not path.name.endswith((".index.npy", ".index.json")):
            raise DataError(f"{path}: not part of an index; give --out a folder of its own")


def _fill(folder: Path, passages: Iterable[Document], k1: float, b: float) -> int:
    contents = _write_passages(folder, passages)
    tokens = bm25s.tokenize(contents, stopwords="en", show_progress=False)
    if not tokens.vocab:
        raise DataError("the corpus holds no word to index")
    scorer = bm25s.BM25(k1=k1, b=b, method="lucene")
    scorer.index(tokens, create_empty_token=False, show_progress=sys.stderr.isatty())
    scorer.save(folder, show_progress=False)
    return len(tokens.ids)


def _write_passages(folder: Path, passages: Iterable[Document]) -> Iterator[str]:
    """Yield the words to index of each passage; when all are consumed, both files are on disk."""
    offsets = [0]
    with (folder / _PASSAGES).open("wb") as file:
        for passage in passages:
            row = {"id": passage.id, "title": passage.title, "text": passage.text}
            line = json.dumps(row, ensure_ascii=False) + "\n"
            offsets.append(offsets[-1] + file.write(line.encode()))
            yield f"{passage.title}\n{passage.text}"
    np.save(folder / _OFFSETS, np.asarray(offsets, dtype=np.int64))


class Bm25:
    """The ``Retriever`` over an index folder (``load``)."""

    def __init__(self, scorer: Any, passages: mmap.mmap, offsets: NDArray[np.int64]) -> None:
        self._scorer = scorer
        self._passages = passages
        self._offsets = offsets

    @classmethod
    def load(cls, folder: Path) -> Bm25:
        """Open an index; raises ``ArtifactError`` where a file is missing or damaged."""
        name = folder.resolve().name  # results/index/<name> is made by the rule index_<name>
        rebuilt_by = f"`snakemake --forcerun index_{name}` or `searchr2 index` rebuilds it"
        manifest = verify_manifest(folder, rebuilt_by, hash_limit=HASH_LIMIT)
        if manifest.get("kind") != "bm25":
            raise ArtifactError(f"{folder / MANIFEST}: not a BM25 index; {rebuilt_by}")
        scorer = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        # Views that page in lazily all the same, without np.memmap's cost on every slice.
        scorer.scores |= {
            name: np.asarray(scorer.scores[name]) for name in ("data", "indices", "indptr")
        }
        with (folder / _PASSAGES).open("rb") as file:
            passages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(scorer, passages, np.asarray(np.load(folder / _OFFSETS, mmap_mode="r")))

    def __len__(self) -> int:
        return len(self._offsets) - 1

    def search(self, queries: Sequence[str], k: int) -> list[Collection]:
        """Top-k passages that share a word with the query, best first; ties in corpus order."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        tokens = bm25s.tokenize(
            list(queries), stopwords="en", return_ids=False, show_progress=False
        )
        return [self._top(self._scorer.get_tokens_ids(words), k) for words in tokens]

    def titles(self) -> Iterator[str]:
        """The title of every passage, in corpus order; reads all of them."""
        return (self._row(position)["title"] for position in range(len(self)))

    def _top(self, tokens: list[int], k: int) -> Collection:
        if not tokens:
            return ()
        scores = self._scorer.get_scores_from_ids(tokens)
        floor = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
        # Lucene's idf is positive, so a passage without any word of the query scores exactly 0.
        found = np.flatnonzero(scores >= floor if floor > 0 else scores > 0)
        best = found[np.argsort(-scores[found], kind="stable")[:k]]
        return tuple(Document(**self._row(at), score=float(scores[at])) for at in best)

    def _row(self, position: int) -> dict[str, str]:
        start, end = self._offsets[position : position + 2]
        row: dict[str, str] = json.loads(self._passages[start:end])
        return row
