"""Wins and losses on each rubric as bars around zero, a panel a set and one for their mean.

Wins of the first row grow from zero to the right, its losses to the left; the rest are ties. All
panels have one scale. Same table, same bytes.
"""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from searchr2.config import SETS
from searchr2.plots import COLOURS, STYLE, new_figure, note
from searchr2.quality.table import OUTCOMES
from searchr2.table_page import TITLES

_COLUMNS = 4
_SIDES = (("wins", 1, COLOURS[0]), ("losses", -1, COLOURS[1]))


def draw(table: pd.DataFrame, first: str, second: str) -> Figure:
    """The figure of ``quality.table.table``; ``first`` and ``second`` label its two rows."""
    shown = {"average": "Average", **{name: TITLES[name] for name in SETS}}
    panels = {name: title for name, title in shown.items() if table[f"{name}_wins"].notna().any()}
    rows = max(1, -(-len(panels) // _COLUMNS))
    shares = {name: _shares(table, name) for name in panels}
    widest = max((of.max().max() for of in shares.values()), default=0.0)
    with mpl.rc_context(STYLE):
        figure = new_figure(0.5 + 1.5 * rows)
        axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
        for ax, (name, title) in zip(axes, panels.items(), strict=False):
            _panel(ax, shares[name], title, 1.35 * max(widest, 5.0))
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        axes[0].set_yticks(range(len(table)), [_named(r) for r in table["rubric"]])
        axes[0].invert_yaxis()
        figure.legend(
            handles=[mpl.patches.Patch(color=colour) for _, _, colour in reversed(_SIDES)],
            labels=[f"{second} better", f"{first} better"],
            loc="outside upper left",
            ncols=2,
        )
        note(figure, "Percent of the judged pairs; the rest are ties.")
    return figure


def _shares(table: pd.DataFrame, name: str) -> pd.DataFrame:
    """Wins and losses of a set in percent of its judged pairs, a line a rubric."""
    counts = table[[f"{name}_{outcome}" for outcome in OUTCOMES]].astype(float)
    shares = 100 * counts.div(counts.sum(axis=1, min_count=1), axis=0)
    return shares.set_axis(list(OUTCOMES), axis=1)[[outcome for outcome, *_ in _SIDES]]


def _panel(ax: Axes, shares: pd.DataFrame, title: str, limit: float) -> None:
    for place, line in enumerate(shares.to_dict("records")):
        if any(pd.isna(share) for share in line.values()):
            ax.text(0, place, "not judged", ha="center", va="center", color="#999999")
            continue
        for outcome, sign, colour in _SIDES:
            end = sign * line[outcome]
            ax.barh(place, end, height=0.72, color=colour)
            side = "left" if sign > 0 else "right"
            told = f"{line[outcome]:.0f}"
            ax.text(end + 0.03 * sign * limit, place, told, ha=side, va="center", fontsize=6)
    ax.set_title(title)
    ax.set_xlim(-limit, limit)
    ax.axvline(0, color="#999999", linewidth=0.6)
    ax.xaxis.set_major_locator(MaxNLocator(4, symmetric=True, steps=[1, 2, 5, 10]))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda at, _: f"{abs(at):g}"))
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", length=2)
    ax.spines["left"].set_visible(False)


def _named(rubric: str) -> str:
    return rubric.replace("non_", "non-").replace("_", " ")
