"""Dense retrieval: a sentence encoder and a FAISS index, in a folder that says how it was made.

    passages.jsonl, its offsets   the passages (``folders``)
    vectors.index                 a FAISS index of their vectors, in corpus order
    probe.npy                     the vector of a fixed query: the encoder must still give it
    manifest.json                 kind, encoding (model, prefixes, pooling, ...), dimension, metric,
                                  factory, passages, sha256 of every file

The conventions are the manifest's, never the config's of the day: whoever opens the folder encodes
queries as its passages were encoded, or is told what does not fit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from searchr2.config import Encoding, load
from searchr2.files import MANIFEST, ArtifactError
from searchr2.passages import PassageFile
from searchr2.retrieval import vectors
from searchr2.retrieval.encoder import PROBE, Encoder
from searchr2.retrieval.folders import (
    PROBE_VECTOR,
    VECTORS,
    open_passages,
    read_manifest,
    rebuilt_by,
)
from searchr2.retrieval.vectors import Vectors
from searchr2.trajectory import Collection

METRIC = "inner product"
KNOWN = ("encoding", "dimension", "metric", "passages", "search_parameters")
"""What opening an index takes from its manifest."""
ALIKE = 0.99
"""Cosine from which on two vectors are of one text under one encoding, apart from rounding; a
missing prefix or another pooling comes out below."""


class Dense:
    """The ``Retriever`` over an index folder (``load``)."""

    def __init__(self, encoder: Encoder, index: Any, passages: PassageFile) -> None:
        self.encoder = encoder
        self.index = index
        self._passages = passages

    @classmethod
    def load(cls, folder: Path, encoder: Encoder | None = None) -> Dense:
        """Open an index, with ``encoder`` where one is there already.

        Raises ``ArtifactError`` where a file is missing or damaged, or does not fit the manifest;
        ``ConfigError`` where its encoder is gone.
        """
        remedy = rebuilt_by(folder)
        manifest = read_manifest(folder, "dense", KNOWN)
        encoding = load(Encoding, manifest["encoding"], folder / MANIFEST)
        index, passages = vectors.open_index(folder / VECTORS), open_passages(folder)
        check(folder / VECTORS, index, manifest["dimension"], len(passages), remedy)
        if manifest["passages"] != len(passages) or manifest["metric"] != METRIC:
            raise ArtifactError(f"{folder / MANIFEST}: not of these passages; {remedy}")
        if manifest["search_parameters"]:
            vectors.tune(index, manifest["search_parameters"])
        encoder = encoder or Encoder.load(encoding)
        _recognise(folder, encoder, encoding, remedy)
        return cls(encoder, index, passages)

    def __len__(self) -> int:
        return len(self._passages)

    def search(self, queries: Sequence[str], k: int) -> list[Collection]:
        """Top-k passages by inner product, best first; equal scores in corpus order."""
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        if not queries:
            return []
        scores, rows = self.nearest(self.encoder.queries(queries), k)
        return [
            tuple(replace(self._passages[row], score=score) for score, row in best if row >= 0)
            for best in map(_in_order, scores, rows)
        ]

    def nearest(self, queries: Vectors, k: int) -> tuple[Vectors, NDArray[np.int64]]:
        """Scores and rows (queries, k) of encoded queries; row -1 where the index found fewer."""
        scores, rows = self.index.search(queries, min(k, self.index.ntotal))
        return scores, rows

    def titles(self) -> Iterator[str]:
        """The title of every passage, in corpus order; reads all of them."""
        return (passage.title for passage in self._passages)


def _in_order(scores: Vectors, rows: NDArray[np.int64]) -> list[tuple[float, int]]:
    order = np.lexsort((rows, -scores))
    return [(float(scores[i]), int(rows[i])) for i in order]


def check(path: Path, index: Any, dimension: int, passages: int, remedy: str) -> None:
    """Whether an index is one of these passages; raises ``ArtifactError`` saying what differs."""
    if not vectors.inner_product(index):
        raise ArtifactError(f"{path}: measures distances, not the {METRIC}; {remedy}")
    if index.d != dimension:
        raise ArtifactError(
            f"{path}: vectors of {index.d} dimensions where {dimension} are wanted; {remedy}"
        )
    if index.ntotal != passages:
        raise ArtifactError(f"{path}: {index.ntotal} vectors for {passages} passages; {remedy}")


def _recognise(folder: Path, encoder: Encoder, encoding: Encoding, remedy: str) -> None:
    """The encoder still is the one the passages were encoded with."""
    try:
        known = np.load(folder / PROBE_VECTOR)
    except (OSError, ValueError):
        raise ArtifactError(f"{folder / PROBE_VECTOR}: not a vector; {remedy}") from None
    [now] = encoder.queries([PROBE])
    same = encoder.encoding == encoding and now.shape == known.shape
    if not (same and cosine(now, known) >= ALIKE):
        raise ArtifactError(
            f"{folder}: {encoding.encoder} no longer encodes as it did when this index was built; "
            f"bring that model back, or {remedy}"
        )


def cosine(one: Vectors, other: Vectors) -> float:
    """Between two vectors; 0 where one is zero."""
    norms = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / norms if norms else 0.0
