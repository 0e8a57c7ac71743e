"""The terms of the Meta-Refiner's gain against the training step, one panel a quantity.

Read from the table of ``searchr2 gains``. Bars are 1.96 standard errors either way. What is taken
over all drafts, over rejected ones alone, and on other trajectories has a colour each.
"""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from searchr2.plots import COLOURS, MARKERS, STYLE, dress, key, new_figure, note

ALL, REJECTED, MEASURED, CORRECTED = COLOURS[:4]
ROWS, COLUMNS = 2, 4
_NOTES = (
    "Reward of trajectories sampled at the training temperature. Bars: 1.96 standard errors over "
    "questions; the steps share questions and random numbers.\nOver rejected drafts selection is "
    "in S_trim and Gbar already: A_prec belongs to the sum over all drafts alone."
)


@dataclass(frozen=True, slots=True)
class Curve:
    """A column of the table, what it is called beside others, and its colour."""

    key: str
    label: str = ""
    colour: str = ALL


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; ``signed`` ones may fall below 0, ``scale`` turns a column into what is shown."""

    title: str
    curves: tuple[Curve, ...]
    signed: bool = True
    scale: float = 1


PANELS = (
    Panel(
        "Expected reward, R and J_trim",
        (Curve("R", "drafts"), Curve("J_trim", "all cut", CORRECTED)),
        signed=False,
    ),
    Panel("Rejected drafts, V_inter, %", (Curve("V_inter"),), signed=False, scale=100),
    Panel("Selection precision, A_prec", (Curve("A_prec"),)),
    Panel(
        "Trimming skill, S_trim",
        (Curve("S_trim", "all drafts"), Curve("S_rej", "rejected", REJECTED)),
    ),
    Panel(
        "Baseline gain, Gbar",
        (Curve("Gbar", "all drafts"), Curve("Gbar_rej", "rejected", REJECTED)),
    ),
    Panel(
        "Gain, Delta J",
        (Curve("delta_J_sum", "sum"), Curve("delta_J", "measured", MEASURED)),
    ),
    Panel("Residual, measured less sum", (Curve("residual", "", MEASURED),)),
)


def gains(table: pd.DataFrame) -> Figure:
    """The figure of a table that has a line a step."""
    keys = [name for name in map(str, table) if name.startswith("V_") and name[2:].isdigit()]
    shades = mpl.colormaps["Blues"]([0.95 - 0.6 * at / len(keys) for at in range(len(keys))])
    values = tuple(
        Curve(name, name[2:], to_hex(shade)) for name, shade in zip(keys, shades, strict=True)
    )
    panels = (*PANELS, Panel("Value V_k of keeping k steps", values, signed=False))
    with mpl.rc_context(STYLE):
        figure = new_figure(0.4 + 1.75 * ROWS)
        axes = figure.subplots(ROWS, COLUMNS, sharex=True)
        for panel, ax in zip(panels, axes.flat, strict=True):
            _draw(ax, panel, table)
            ax.tick_params(labelbottom=True)
            ax.set_xlabel("training step")
        note(figure, _NOTES)
    return figure


def _draw(ax: Axes, panel: Panel, table: pd.DataFrame) -> None:
    """The curves of a panel; two in one stand a little beside each other, so that bars are seen."""
    entries = []
    apart = 0.008 * (table["step"].max() - table["step"].min())
    for at, curve in enumerate(panel.curves):
        rows = table[["step", curve.key, f"{curve.key}_se"]].dropna(subset=[curve.key])
        if rows.empty:
            continue
        value, error = rows[curve.key] * panel.scale, rows[f"{curve.key}_se"] * panel.scale
        ax.errorbar(
            rows["step"] + at * apart,
            value,
            yerr=1.96 * error.astype(float).fillna(0),
            color=curve.colour,
            linewidth=1.2,
            elinewidth=0.8,
            marker=MARKERS[at],
        )
        entries.append((curve.label, curve.colour, "none", MARKERS[at]))
    ax.margins(x=0.05)
    if len(panel.curves) > 1:
        key(ax, entries)
    dress(ax, panel.title, panel.signed, drawn=bool(entries))
