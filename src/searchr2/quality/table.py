"""Wins, ties and losses on each rubric, by set (Table 9), from the records of ``quality.judge``.

A pair is won on a rubric by the higher score and tied by equal ones. A pair without two scores, the
judge having given no verdict, is counted as such and is neither.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from searchr2.config import SETS
from searchr2.quality.pairs import RUBRICS
from searchr2.statistics import bootstrap, mcnemar

OUTCOMES = ("wins", "ties", "losses")
_GAP = ("average_difference", "average_difference_ci_low", "average_difference_ci_high")
RESAMPLES = 2000


def table(records: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> pd.DataFrame:
    """A line a rubric: wins, ties and losses of the first row by set, their mean over the seven.

    ``average_difference`` is the sets' mean of wins less losses, in percent of a set's pairs, with
    its stratified 95 % bootstrap interval over pairs. ``pairs`` have a score on the rubric in both
    rows, ``unjudged`` have not; ``sign_test_p`` is the exact two-sided sign test over the pairs of
    all sets. What a set has no score for is empty, and so is the average without all sets.
    """
    lines = []
    for rubric in RUBRICS:
        scored = {
            name: [
                tuple(record["scores"][row][rubric] for row in names)
                for record in records
                if record["dataset"] == name and _scored(record, rubric)
            ]
            for name in SETS
        }
        line: dict[str, Any] = {"rubric": rubric}
        counts = {name: outcomes(found) for name, found in scored.items() if found}
        for name in SETS:
            line |= {f"{name}_{o}": counts.get(name, {}).get(o) for o in OUTCOMES}
        whole = len(counts) == len(SETS)
        for outcome in OUTCOMES:
            mean = np.mean([found[outcome] for found in counts.values()]) if whole else None
            line[f"average_{outcome}"] = mean
        line |= _difference(scored) if whole else dict.fromkeys(_GAP)
        found = [pair for pairs in scored.values() for pair in pairs]
        line |= {"pairs": len(found), "unjudged": len(records) - len(found)}
        a, b = ([pair[side] for pair in found] for side in (0, 1))
        line["sign_test_p"] = f"{mcnemar({'all': a}, {'all': b}):.3g}" if found else None
        lines.append(line)
    frame = pd.DataFrame(lines)
    counted = [f"{name}_{outcome}" for name in SETS for outcome in OUTCOMES]
    return frame.astype(dict.fromkeys(counted, "Int64"))


def _difference(scored: Mapping[str, Sequence[tuple[int, int]]]) -> dict[str, float]:
    signs = {name: [_sign(*pair) for pair in pairs] for name, pairs in scored.items()}
    gap = bootstrap(signs, RESAMPLES)
    return dict(zip(_GAP, (100 * x + 0.0 for x in (gap.value, gap.low, gap.high)), strict=True))


def outcomes(scored: Sequence[tuple[int, int]]) -> dict[str, int]:
    """``outcomes([(2, 1), (1, 1), (2, 0)]) == {"wins": 2, "ties": 1, "losses": 0}``."""
    signs = [_sign(one, other) for one, other in scored]
    return {"wins": signs.count(1), "ties": signs.count(0), "losses": signs.count(-1)}


def _sign(one: int, other: int) -> int:
    return (one > other) - (one < other)


def _scored(record: Mapping[str, Any], rubric: str) -> bool:
    by_row = record["scores"]
    return by_row is not None and None not in [scores[rubric] for scores in by_row.values()]


def page(table: pd.DataFrame, first: str, second: str) -> str:
    """The averages in columns, for a terminal; ``first`` and ``second`` are the rows' labels."""
    lines = [f"{first} against {second}: mean pairs of a set; wins less losses in percent,"]
    lines += ["with its 95 % interval; exact sign test over all pairs", ""]
    header = f"{'wins':>7}{'ties':>7}{'losses':>8}{'difference':>22}{'p':>11}{'unjudged':>10}"
    lines.append(f"{'':27}{header}")
    for line in table.to_dict("records"):
        figures = [line[f"average_{outcome}"] for outcome in OUTCOMES]
        wins, ties, losses = ("" if pd.isna(figure) else f"{figure:.1f}" for figure in figures)
        test = "" if pd.isna(line["sign_test_p"]) else line["sign_test_p"]
        value, low, high = (line[key] for key in _GAP)
        gap = "" if pd.isna(value) else f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
        counts = f"{wins:>7}{ties:>7}{losses:>8}{gap:>22}"
        lines.append(f"{line['rubric']:27}{counts}{test:>11}{line['unjudged']:>10}")
    return "\n".join(lines) + "\n"
