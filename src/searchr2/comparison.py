"""Evaluations side by side: EM per set, and what the first has over each of the others.

Differences are paired over the same questions, with a stratified bootstrap interval and an exact
McNemar p, of sets Holm-corrected too (``statistics``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from searchr2.config import SETS
from searchr2.plots import COLOURS
from searchr2.statistics import (
    Interval,
    bootstrap,
    macro_average,
    mcnemar,
    mcnemar_by_set,
    paired_bootstrap,
    seed_interval,
)
from searchr2.table_page import TITLES
from searchr2.tables import AVERAGE, paired, samples


@dataclass(frozen=True)
class Difference:
    """First minus other, in points: on one set, or on the average over sets; with McNemar's p.

    ``holm``: the same p corrected over the sets; the average has none. ``seeds``: of the average,
    with the t interval over training seeds, where there are several.
    """

    gap: Interval
    p: float
    holm: float | None = None
    seeds: Interval | None = None

    @property
    def significant(self) -> bool:
        """The 95 % interval leaves 0 out."""
        return self.gap.low > 0 or self.gap.high < 0


Differences = dict[str, Difference]
"""By set, and ``AVERAGE``."""


def differences(
    a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str], resamples: int
) -> Differences:
    """a - b, of frames that ``tables.row_scores`` made; raises as ``tables.paired``."""
    sets_a, sets_b = paired(*names, a, b)

    def difference(sets: Sequence[str], **more: Any) -> Difference:
        one, two = {s: sets_a[s] for s in sets}, {s: sets_b[s] for s in sets}
        gap = paired_bootstrap(one, two, resamples)
        return Difference(_percent(gap), mcnemar(one, two), **more)

    corrected = mcnemar_by_set(sets_a, sets_b)
    by_set = {name: difference([name], holm=p) for name, p in corrected.items()}
    seeds = seed_interval(sets_a, sets_b)
    whole = difference(list(sets_a), seeds=seeds and _percent(seeds))
    return {**by_set, AVERAGE: whole}


def page(
    scores: Mapping[str, pd.DataFrame], gaps: Mapping[str, Differences], resamples: int
) -> str:
    """The comparison in columns: EM of each, then what the first has over the others."""
    columns = [s for s in SETS if any(s in samples(frame) for frame in scores.values())]
    rows = [["EM, %", *(TITLES[s] for s in columns), "Average", "95 % interval"]]
    for name, frame in scores.items():
        sets = samples(frame)
        average = bootstrap(sets, resamples)
        means = [f"{100 * macro_average({s: sets[s]}):.1f}" if s in sets else "" for s in columns]
        interval = f"{100 * average.low:.1f} to {100 * average.high:.1f}"
        rows.append([name, *means, f"{100 * average.value:.1f}", interval])
    for other, found in gaps.items():
        cells = list(zip(*(_cells(found.get(s)) for s in (*columns, AVERAGE)), strict=True))
        titles = (f"minus {other}", "  from", "  to", "  McNemar p", "  Holm p")
        rows += [[], *([title, *row, ""] for title, row in zip(titles, cells, strict=True))]
    widths = [max(len(row[i]) for row in rows if row) for i in range(len(rows[0]))]
    told = ["* the 95 % interval, over questions, leaves 0 out"]
    for other, found in gaps.items():
        if over := found[AVERAGE].seeds:
            ends = f"{over.low:+.1f} to {over.high:+.1f}"
            told.append(f"minus {other}, average: {ends} over training seeds (95 % t interval)")
    return "\n".join([*(_line(row, widths) for row in rows), *told]) + "\n"


def draw(first: str, gaps: Mapping[str, Differences]) -> Figure:
    """The differences with their intervals, a panel for each of the others."""
    figure = Figure(figsize=(4.2 * len(gaps), 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(gaps), squeeze=False, sharey=True)[0]
    for panel, (other, found) in zip(panels, gaps.items(), strict=True):
        places, intervals = range(len(found)), [d.gap for d in found.values()]
        below, above = [i.value - i.low for i in intervals], [i.high - i.value for i in intervals]
        panel.axvline(0, color="#999999", linewidth=0.8)
        points = [i.value for i in intervals]
        panel.errorbar(points, places, xerr=[below, above], fmt="o", color=COLOURS[0], capsize=2)
        panel.set_yticks(places, [TITLES.get(name, "Average") for name in found])
        panel.set_title(f"{first} minus {other}", loc="left")
        panel.set_xlabel("EM, points (95 % interval)")
    panels[0].invert_yaxis()
    return figure


def _percent(share: Interval) -> Interval:
    return Interval(100 * share.value, 100 * share.low, 100 * share.high)


def _cells(difference: Difference | None) -> tuple[str, ...]:
    if difference is None:
        return ("",) * 5
    gap, mark = difference.gap, "*" if difference.significant else ""
    holm = "" if difference.holm is None else f"{difference.holm:.2g}"
    ends = f"{gap.low:+z.1f}", f"{gap.high:+z.1f}"
    return f"{gap.value:+z.1f}{mark}", *ends, f"{difference.p:.2g}", holm


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    if not row:
        return ""
    first, *rest = zip(row, widths, strict=True)
    cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in rest)]
    return "  ".join(cells).rstrip()
