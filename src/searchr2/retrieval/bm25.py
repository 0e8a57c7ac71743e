"""BM25 over a corpus: an index folder, built whole or not at all and asked without loading texts.

Scoring is bm25s' (Lucene's BM25, eager and sparse). A passage is indexed as its title and text
together: lower case, words of two letters or more, English stop words out, no stemming. Queries are
cut alike; a word that a query repeats counts each time.

    *.npy, *.index.json           bm25s' own files (term scores by column, vocabulary, parameters)
    passages.jsonl, its offsets   the passages (``folders``)
    manifest.json                 kind, parameters, passages, sha256 of the corpus and of every file

Arrays and passages are memory-mapped, so what a search touches is read and nothing else.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import bm25s
import numpy as np

from searchr2.files import MANIFEST, ArtifactError, DataError
from searchr2.passages import PassageFile
from searchr2.retrieval.folders import (
    corpus_digest,
    open_passages,
    read_manifest,
    rebuilt_by,
    replacing_folder,
    seal,
    take_passages,
)
from searchr2.trajectory import Collection

logging.getLogger("bm25s").setLevel(logging.WARNING)  # the library sets DEBUG on import


def build(folder: Path, corpus: Path, k1: float, b: float) -> int:
    """Index the passages of ``corpus`` into ``folder``; returns their number.

    A build that is killed leaves ``folder`` as it was. Raises ``DataError`` at a row that cannot be
    used, where there is nothing to index, or where ``folder`` holds files that are not an index.
    """
    about = {"kind": "bm25", "k1": k1, "b": b, "corpus_sha256": corpus_digest(corpus)}
    with replacing_folder(folder) as aside:
        count = _fill(aside, corpus, k1, b)
        seal(aside, {**about, "passages": count})
    return count


def _fill(folder: Path, corpus: Path, k1: float, b: float) -> int:
    contents = (f"{one.title}\n{one.text}" for one in take_passages(folder, corpus))
    tokens = bm25s.tokenize(contents, stopwords="en", show_progress=False)
    if not tokens.vocab:
        raise DataError("the corpus holds no word to index")
    scorer = bm25s.BM25(k1=k1, b=b, method="lucene")
    scorer.index(tokens, create_empty_token=False, show_progress=sys.stderr.isatty())
    scorer.save(folder, show_progress=False)
    return len(tokens.ids)


class Bm25:
    """The ``Retriever`` over an index folder (``load``)."""

    def __init__(self, scorer: Any, passages: PassageFile) -> None:
        self._scorer = scorer
        self._passages = passages

    @classmethod
    def load(cls, folder: Path) -> Bm25:
        """Open an index; raises ``ArtifactError`` where a file is missing or damaged."""
        remedy = rebuilt_by(folder)
        manifest = read_manifest(folder, "bm25", ["passages"])
        try:
            scorer = bm25s.BM25.load(folder, mmap=True, show_progress=False)
        except (OSError, ValueError, KeyError) as error:
            raise ArtifactError(f"{folder}: bm25s cannot read it ({error}); {remedy}") from None
        # Views that page in lazily all the same, without np.memmap's cost on every slice.
        scorer.scores |= {
            name: np.asarray(scorer.scores[name]) for name in ("data", "indices", "indptr")
        }
        passages = open_passages(folder)
        if not manifest["passages"] == scorer.scores["num_docs"] == len(passages):
            raise ArtifactError(f"{folder / MANIFEST}: not of these passages; {remedy}")
        return cls(scorer, passages)

    def __len__(self) -> int:
        return len(self._passages)

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
        return (passage.title for passage in self._passages)

    def _top(self, tokens: list[int], k: int) -> Collection:
        if not tokens:
            return ()
        scores = self._scorer.get_scores_from_ids(tokens)
        floor = np.partition(scores, -k)[-k] if k < len(scores) else 0.0
        # Lucene's idf is positive, so a passage without any word of the query scores exactly 0.
        found = np.flatnonzero(scores >= floor if floor > 0 else scores > 0)
        best = found[np.argsort(-scores[found], kind="stable")[:k]]
        return tuple(replace(self._passages[at], score=float(scores[at])) for at in best)
