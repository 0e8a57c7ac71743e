"""Wins, ties and losses on each rubric as bars around zero, a panel a set and one for their mean.

Wins of the first row grow from zero to the right, its losses to the left; ties are the pale rest,
half on either side. Same table, same bytes.
"""

from __future__ import annotations

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from searchr2.config import SETS
from searchr2.figures import COLOURS, STYLE
from searchr2.quality.table import OUTCOMES
from searchr2.table_page import TITLES

_COLUMNS = 4
_FILLS = {"wins": COLOURS[0], "ties": "#E4E4E4", "losses": COLOURS[1]}


def draw(table: pd.DataFrame, first: str, second: str) -> Figure:
    """The figure of ``quality_table.table``; ``first`` and ``second`` label its two rows."""
    shown = {"average": "Average", **{name: TITLES[name] for name in SETS}}
    panels = {name: title for name, title in shown.items() if table[f"{name}_wins"].notna().any()}
    rows = max(1, -(-len(panels) // _COLUMNS))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(11, 0.6 + 2.5 * rows), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
        for ax, (name, title) in zip(axes, panels.items(), strict=False):
            _panel(ax, table, name, title)
        for ax in axes[len(panels) :]:
            ax.set_visible(False)
        axes[0].set_yticks(range(len(table)), [_named(r) for r in table["rubric"]])
        axes[0].invert_yaxis()
        figure.legend(
            handles=[mpl.patches.Patch(color=_FILLS[outcome]) for outcome in reversed(OUTCOMES)],
            labels=[f"{second} better", "equal", f"{first} better"],
            loc="outside upper left",
            ncols=3,
            frameon=False,
        )
        figure.supxlabel(
            "Percent of the judged pairs. Ties, pale, stand half on either side.",
            x=0.008,
            ha="left",
            fontsize=7.5,
            color="#666666",
        )
    return figure


def _panel(ax: Axes, table: pd.DataFrame, name: str, title: str) -> None:
    for place, line in enumerate(table.to_dict("records")):
        counts = {outcome: line[f"{name}_{outcome}"] for outcome in OUTCOMES}
        if any(pd.isna(count) for count in counts.values()):
            ax.text(0, place, "not judged", ha="center", va="center", color="#999999")
            continue
        share = {o: 100 * float(count) / sum(counts.values()) for o, count in counts.items()}
        for sign, outcome, side in ((1, "wins", "left"), (-1, "losses", "right")):
            end = sign * share[outcome]
            ax.barh(place, end, height=0.72, color=_FILLS[outcome])
            ax.barh(place, sign * share["ties"] / 2, left=end, height=0.72, color=_FILLS["ties"])
            told = f"{share[outcome]:.0f}"
            ax.text(end + 3 * sign, place, told, ha=side, va="center", fontsize=7.5)
    ax.set_title(title)
    ax.set_xlim(-100, 100)
    ax.axvline(0, color="#999999", linewidth=0.6)
    ax.set_xticks([-50, 0, 50], ["50", "0", "50"])
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", length=2.5)
    ax.spines["left"].set_visible(False)


def _named(rubric: str) -> str:
    return rubric.replace("non_", "non-").replace("_", " ")
