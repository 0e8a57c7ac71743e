"""How far two orders of the same methods agree, where their values cannot be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from searchr2.randomness import generator, stage_key
from searchr2.statistics import Interval, Samples, macro_average, resampled_averages

_PERMUTATIONS = 50_000  # up to eight methods every order is tried (8! = 40,320)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Spearman's rho of ``methods`` methods, its interval over questions, and chance.

    ``chance``: the share of all orders that agree as well or better.
    """

    rho: Interval
    chance: float
    methods: int


def agreement(
    samples: Mapping[str, Samples], reference: Mapping[str, float], resamples: int
) -> Agreement | None:
    """The order of our macro averages against that of ``reference``, method by method.

    Over the methods both have; ``None`` below three of them, or where either side has all equal:
    two methods are a sign, not an order. Our questions are resampled, the same for all methods.
    """
    names = [name for name in reference if name in samples]
    theirs_M = [reference[name] for name in names]
    ours_M = [macro_average(samples[name]) for name in names]
    if len(names) < 3 or 1 in (len(set(theirs_M)), len(set(ours_M))):
        return None
    drawn_RM = np.stack([resampled_averages(samples[name], resamples) for name in names], axis=1)
    rhos = spearman(drawn_RM, theirs_M)
    low, high = np.nanquantile(rhos, [0.025, 0.975])
    rho = float(spearman(np.array(ours_M), theirs_M))
    return Agreement(Interval(rho, float(low), float(high)), _chance(ours_M, theirs_M), len(names))


def spearman(ours: NDArray[Any], theirs_M: Sequence[float]) -> NDArray[np.float64]:
    """Spearman's rho of the last axis of ``ours``, M long, with ``theirs_M``; ties share a rank.

    ``spearman([[1, 2, 4, 3]], [1, 2, 3, 4])`` is [0.8]; a line of equal values has none (NaN).
    """
    ranks, theirs = stats.rankdata(ours, axis=-1), stats.rankdata(theirs_M)
    ranks, theirs = ranks - ranks.mean(axis=-1, keepdims=True), theirs - theirs.mean()
    scale = np.sqrt((ranks**2).sum(axis=-1) * (theirs**2).sum())
    none = np.full(scale.shape, np.nan)
    return np.asarray(np.divide(ranks @ theirs, scale, out=none, where=scale > 0))


def _chance(ours_M: Sequence[float], theirs_M: Sequence[float]) -> float:
    test = stats.permutation_test(
        (ours_M,),
        lambda values, axis: spearman(values, theirs_M),  # scipy's axis is the last one
        permutation_type="pairings",
        alternative="greater",
        n_resamples=_PERMUTATIONS,
        vectorized=True,
        rng=generator(*stage_key(0, "permutations")),
    )
    return float(test.pvalue)
