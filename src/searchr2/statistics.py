"""Intervals of macro averages and paired comparisons of two methods.

A *sample* is one data set under one method: an array ``scores_SQ`` of S seeds by Q questions, or of
Q questions. Questions are what generalises, so only they are resampled, inside each set
(stratified): once, the same for all seeds, whose scores are averaged per question first. What
another training seed would change is a noise of its own, kept apart as ``seed_deviation``. Two
methods are compared over the same questions, pair by pair. Draws depend on the name of the set
alone, so every method meets the same resamples. Where the seven sets are tested one by one, their
p values are Holm's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from searchr2.randomness import generator, stage_key

Samples = Mapping[str, ArrayLike]
"""Data set -> scores, (seeds, questions) or (questions,)."""
_CHUNK = 1 << 22  # draws held at once; 14,267 questions x 2,000 resamples would need 230 MB


_Z = 1.959964  # 97.5 % of a normal distribution lie below


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def macro_average(samples: Samples) -> float:
    """The mean of the sets' means: ``macro_average({"a": [1, 1, 0, 0], "b": [1]}) == 0.75``."""
    return float(np.mean([_by_question(scores).mean() for scores in samples.values()]))


def seed_deviation(samples: Samples) -> float | None:
    """The standard deviation (n - 1) of the macro average between seeds; ``None`` with one seed.

    ``seed_deviation({"a": [[1, 0], [1, 1]]})`` is that of 0.5 and 1.0: about 0.354.
    """
    averages_S = _by_seed(samples)
    return float(averages_S.std(ddof=1)) if len(averages_S) > 1 else None


def seed_interval(a: Samples, b: Samples) -> Interval | None:
    """The difference a - b of macro averages with the t interval over training seeds.

    Seed by seed, the same seeds in the same order; of one method there may be one alone. ``None``
    with one seed. Differences of 1, 2 and 3 points: 2, from -0.48 to 4.48.
    """
    gaps_S = np.asarray(_by_seed(a) - _by_seed(b))
    return t_interval(gaps_S) if len(gaps_S) > 1 else None


def t_interval(values: ArrayLike) -> Interval:
    """The mean of independent values with Student's interval, whose ends are NaN of one value.

    Of 1, 2 and 3: 2, from -0.48 to 4.48.
    """
    from scipy.stats import t

    values_S = np.asarray(values, dtype=float)
    mean, count = float(values_S.mean()), len(values_S)
    if count < 2:
        return Interval(mean, math.nan, math.nan)
    half = float(t.ppf(0.975, count - 1) * values_S.std(ddof=1) / math.sqrt(count))
    return Interval(mean, mean - half, mean + half)


def wilson(scores: ArrayLike) -> Interval:
    """The mean of one set with Wilson's interval: of 100 questions half right, 0.404 to 0.596.

    Unlike a bootstrap it has a width where all or none are right: 0 of 100 is 0 to 0.037. Scores
    averaged over seeds spread less than 0 and 1 with their mean, so that it is never too narrow.
    """
    scores_Q = _by_question(scores)
    return wilson_of(float(scores_Q.mean()), len(scores_Q))


def wilson_of(share: float, questions: int) -> Interval:
    """Wilson's interval of a share of ``questions``; 0.5 of 125 is 0.414 to 0.586."""
    weight = _Z**2 / questions
    centre = (share + weight / 2) / (1 + weight)
    half = math.sqrt(share * (1 - share) * weight + weight**2 / 4) / (1 + weight)
    return Interval(share, max(0.0, centre - half), min(1.0, centre + half))


def bootstrap(samples: Samples, resamples: int) -> Interval:
    """The macro average with its stratified bootstrap interval.

    ``bootstrap({"a": [1, 1, 1]}, 100) == Interval(1.0, 1.0, 1.0)``; of 100 questions half right,
    the interval is about 0.40 to 0.60.
    """
    low, high = np.quantile(resampled_averages(samples, resamples), [0.025, 0.975])
    return Interval(macro_average(samples), float(low), float(high))


def resampled_averages(samples: Samples, resamples: int) -> NDArray[np.float64]:
    """The macro average of each resample, (resamples,): resample r draws alike for every method."""
    means_CR = [
        _resampled_means(name, _by_question(scores), resamples) for name, scores in samples.items()
    ]
    return np.asarray(np.mean(means_CR, axis=0))


def paired_bootstrap(a: Samples, b: Samples, resamples: int) -> Interval:
    """The difference a - b of two macro averages over the same questions, in the same order.

    Both meet the same draws, so the spread of difficulty between questions cancels:
    ``paired_bootstrap({"s": [1, 0]}, {"s": [1, 0]}, 100) == Interval(0.0, 0.0, 0.0)``.
    """
    return bootstrap(_differences(a, b), resamples)


def mcnemar(a: Samples, b: Samples) -> float:
    """Exact two-sided McNemar p of "neither method is right more often", over all questions.

    Of the questions that tell a from b, each should fall to either side with probability 1/2: with
    a ahead on 5 and b on 1, p = 2 (C(6,0) + C(6,1)) / 2^6 = 0.21875. With several seeds a question
    falls to the method with the higher mean over seeds (the sign test); without any, p is 1.
    """
    difference = np.concatenate(list(_differences(a, b).values()))
    wins, losses = int((difference > 0).sum()), int((difference < 0).sum())
    total, term, tail = wins + losses, 1, 0
    for i in range(min(wins, losses) + 1):
        tail += term
        term = term * (total - i) // (i + 1)
    return min(1.0, 2 * tail / (1 << total))


def mcnemar_by_set(a: Samples, b: Samples) -> dict[str, float]:
    """McNemar's p of each set, corrected over the sets (``holm``)."""
    return holm({name: mcnemar({name: a[name]}, {name: b[name]}) for name in _differences(a, b)})


def holm(p: Mapping[str, float]) -> dict[str, float]:
    """Holm's step-down correction: below 0.05, one false alarm in 20 families at most.

    The smallest of n is multiplied by n, the next by n - 1 and so on; none falls below the one
    before it, none exceeds 1: ``holm({"a": 0.01, "b": 0.04, "c": 0.03})`` is a 0.03, b 0.06,
    c 0.06.
    """
    corrected, floor = {}, 0.0
    for at, name in enumerate(sorted(p, key=lambda name: p[name])):
        floor = max(floor, min(1.0, (len(p) - at) * p[name]))
        corrected[name] = floor
    return {name: corrected[name] for name in p}


def _by_seed(samples: Samples) -> NDArray[np.float64]:
    """The macro average of each seed."""
    by_set = [np.atleast_2d(np.asarray(scores, dtype=float)) for scores in samples.values()]
    return np.asarray(np.mean([scores_SQ.mean(axis=1) for scores_SQ in by_set], axis=0))


def _by_question(scores: ArrayLike) -> NDArray[np.float64]:
    """Scores averaged over seeds, one a question."""
    scores_SQ = np.atleast_2d(np.asarray(scores, dtype=float))
    if not scores_SQ.size:
        raise ValueError("a set without questions has no mean")
    return np.asarray(scores_SQ.mean(axis=0))


def _differences(a: Samples, b: Samples) -> dict[str, NDArray[np.float64]]:
    if a.keys() != b.keys():
        raise ValueError(f"not the same sets: {sorted(a)} and {sorted(b)}")
    return {name: _paired(name, _by_question(a[name]), _by_question(b[name])) for name in a}


def _paired(name: str, a_Q: NDArray[np.float64], b_Q: NDArray[np.float64]) -> NDArray[np.float64]:
    if a_Q.shape != b_Q.shape:
        raise ValueError(f"{name}: {len(a_Q)} questions cannot be paired with {len(b_Q)}")
    return a_Q - b_Q


def _resampled_means(
    name: str, scores_Q: NDArray[np.float64], resamples: int
) -> NDArray[np.float64]:
    """The mean score of each of ``resamples`` draws of Q questions with replacement."""
    draws = generator(*stage_key(0, f"bootstrap {name}"))
    questions = len(scores_Q)
    means_R = np.empty(resamples)
    step = max(1, _CHUNK // questions)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = draws.integers(questions, size=(rows, questions))
        means_R[start : start + rows] = scores_Q[drawn].mean(axis=1)
    return means_R
