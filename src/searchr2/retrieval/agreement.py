"""How much of an exact index's answers an approximate one finds."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from searchr2.retrieval.dense import Dense


def agreement(
    approximate: Dense, exact: Dense, queries: Sequence[str], ks: Sequence[int]
) -> dict[str, float]:
    """Recall of the exact top k in percent for each k, and milliseconds a query of both."""
    vectors = exact.encoder.queries(queries)
    rows, seconds = [], []
    for index in (exact, approximate):
        began = time.perf_counter()
        rows.append(index.nearest(vectors, max(ks))[1])
        seconds.append(time.perf_counter() - began)
    figures: dict[str, float] = {"queries": len(queries)}
    for k in ks:
        figures[f"recall_at_{k}"] = 100 * overlap(rows[0][:, :k], rows[1][:, :k])
    for name, spent in zip(("ms_exact", "ms_approximate"), seconds, strict=True):
        figures[name] = 1000 * spent / len(queries)
    return figures


def overlap(exact_Qk: NDArray[np.int64], found_Qk: NDArray[np.int64]) -> float:
    """Mean share of a query's exact rows that are among those found."""
    shared = [len(np.intersect1d(a, b)) for a, b in zip(exact_Qk, found_Qk, strict=True)]
    return float(np.mean(shared) / exact_Qk.shape[1])
