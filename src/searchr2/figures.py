"""Training curves: reward and EM against the step, what the Meta-Refiner did, EM on the seven sets.

Read from the ledgers of runs (``metrics.jsonl``) and from the table of their snapshots (Fig. 5).
Each run has a colour that colour-blind readers can tell apart and stands beside its curve by name;
with several seeds each is a faint line, their mean a strong one over the steps all of them have.
Nothing is smoothed. Same ledgers, same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator

from searchr2.table_page import TITLES

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette; runs beyond it begin anew."""
_INK, _GRID = "#333333", "#E4E4E4"
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.6,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "axes.xmargin": 0.01,
    "pdf.fonttype": 42,
}


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric drawn in a panel; ``note`` follows the run's name where a panel holds two."""

    key: str
    note: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; ``scale`` turns what is logged into what is shown, ``signed`` may fall below 0."""

    title: str
    curves: tuple[Curve, ...]
    scale: float = 100
    signed: bool = False
    marker: str | None = None


PANELS = (
    Panel("Validation EM, %", (Curve("validation/em"),), marker="o"),
    Panel("Mean reward of a training step (each run's own)", (Curve("reward/mean"),), scale=1),
    Panel(
        "EM of training rollouts, %",
        (Curve("rollout/em"), Curve("rollout/em_draft", "drafts", dashed=True)),
    ),
)
REFINER_PANELS = (
    Panel("Meta-Refiner: drafts revised, %", (Curve("refiner/revised"),)),
    Panel(
        "Meta-Refiner: drafts accepted, %",
        (
            Curve("refiner/accept_right", "right"),
            Curve("refiner/accept_wrong", "wrong", dashed=True),
        ),
    ),
    Panel("Meta-Refiner: EM regained by a cut, points", (Curve("refiner/regain"),), signed=True),
)
SET_PANELS = tuple(
    Panel(f"Test EM, {title}, %", (Curve(key),), scale=1, marker="o")
    for key, title in (*TITLES.items(), ("average", "average"))
)

Runs = Mapping[str, Sequence[pd.DataFrame]]
"""Run -> one frame a seed: index the step, a column a metric, absent values NaN."""


def training_dynamics(runs: Runs, curves: Mapping[str, pd.DataFrame] | None = None) -> Figure:
    """The figure: training, the Meta-Refiner where a run has one, EM on the sets where evaluated.

    ``curves`` are those of ``read_curves``.
    """
    refined = {name: seeds for name, seeds in runs.items() if _has(seeds, "refiner/revised")}
    training = (PANELS, REFINER_PANELS) if refined else (PANELS,)
    tested = (SET_PANELS[:4], SET_PANELS[4:]) if curves else ()
    rows: list[tuple[tuple[Panel, ...], Runs]] = [(panels, runs) for panels in training]
    rows += [
        (panels, {name: [frame] for name, frame in (curves or {}).items()}) for panels in tested
    ]
    colours = {name: COLOURS[at % len(COLOURS)] for at, name in enumerate(runs)}
    with mpl.rc_context(STYLE):
        figure = Figure(
            figsize=(13, 2.9 * len(rows)), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.1)
        )
        FigureCanvasAgg(figure)
        parts = figure.subfigures(len(rows), 1, squeeze=False)[:, 0]
        for part, (panels, shown) in zip(parts, rows, strict=True):
            axes = part.subplots(1, len(panels), sharex=True, squeeze=False)[0]
            for panel, ax in zip(panels, axes, strict=True):
                _draw(ax, panel, shown, refined, colours)
                ax.set_xlabel("training step")
        parts[-1].supxlabel(_notes(runs), x=0.008, ha="left", fontsize=7.5, color="#666666")
    return figure


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem``.png and ``stem``.pdf, without the date that would make every file differ."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(f"{stem}.png", dpi=200, metadata={"Software": None})
        figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None})


def _notes(runs: Runs) -> str:
    several = any(len(seeds) > 1 for seeds in runs.values())
    return (
        "Validation is greedy, rollouts are sampled. The reward is EM, times 1 + the density of "
        "useful evidence where the process reward is on."
        + (" Thick lines: mean of the seeds; thin lines: each seed." if several else "")
    )


def _has(seeds: Sequence[pd.DataFrame], key: str) -> bool:
    return any(key in frame for frame in seeds)


def _draw(ax: Axes, panel: Panel, runs: Runs, refined: Runs, colours: Mapping[str, str]) -> None:
    labels: list[tuple[float, str, str]] = []
    for name, seeds in runs.items():
        for curve in panel.curves:
            measured = [frame[curve.key].dropna() for frame in seeds if curve.key in frame]
            # Without a Meta-Refiner the rollouts are their own drafts.
            if not measured or (curve.dashed and name not in refined):
                continue
            end = _curve(ax, measured, panel, curve, colours[name])
            note = curve.note if name in refined else ""
            labels.append((end, f"{name}, {note}" if note else name, colours[name]))
    dress(ax, panel.title, panel.signed, labels)


def dress(ax: Axes, title: str, signed: bool, labels: Sequence[tuple[float, str, str]]) -> None:
    """Title, grid and ticks of a panel over training steps; ``labels`` are (end, name, colour)."""
    ax.set_title(title)
    ax.grid(color=_GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=2.5, labelbottom=True)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    if signed:
        ax.axhline(0, color="#999999", linewidth=0.6)
    else:
        ax.set_ylim(bottom=0)
    if not labels:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color="#999999")
    _label(ax, labels)


def _curve(
    ax: Axes, seeds: Sequence[pd.Series[float]], panel: Panel, curve: Curve, colour: str
) -> float:
    """Draw the seeds' mean, and each seed where there are several; returns where the mean ends."""
    style: dict[str, Any] = {
        "color": colour,
        "linestyle": (0, (4, 1.5)) if curve.dashed else "solid",
    }
    if len(seeds) > 1:
        for seed in seeds:
            ax.plot(seed.index, seed * panel.scale, **style, linewidth=0.7, alpha=0.35)
    mean = pd.concat(seeds, axis=1, join="inner").mean(axis=1) * panel.scale
    ax.plot(mean.index, mean, **style, linewidth=1.6, marker=panel.marker, markersize=3)
    return float(mean.iloc[-1])


def _label(ax: Axes, labels: Sequence[tuple[float, str, str]]) -> None:
    """Name each curve right of its end, moved up where two names would touch."""
    low, high = ax.get_ylim()
    floor = -1.0
    for end, text, colour in sorted(labels):
        height = max((end - low) / (high - low), floor + 0.08)
        floor = height
        ax.annotate(
            text, (1.015, height), xycoords="axes fraction", va="center", color=colour, fontsize=8
        )
