"""Training curves: reward and EM against the step, what the Meta-Refiner did, EM on the seven sets.

Read from the ledgers of runs (``metrics.jsonl``) and from the table of their snapshots (Fig. 5).
Each run has a colour that colour-blind readers can tell apart and a marker of its own, named above
all panels; with several seeds each is a faint line, their mean a strong one over the steps all of
them have. Of a supervised run, whose steps are others, the end is a level: a thin line without
markers. Nothing is smoothed. Same ledgers, same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from searchr2.plots import COLOURS, DASHED, INK, MARKERS, STYLE, dress, key, new_figure, note
from searchr2.table_page import TITLES


@dataclass(frozen=True, slots=True)
class Curve:
    """A metric drawn in a panel; ``note`` tells it from the panel's other one."""

    key: str
    note: str = ""
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """How a run is drawn; ``width`` in points, and a level has no marker."""

    colour: str
    marker: str
    width: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot; ``scale`` turns what is logged into what is shown, ``signed`` may fall below 0."""

    title: str
    curves: tuple[Curve, ...]
    scale: float = 100
    signed: bool = False
    marked: bool = False
    """Every point has a marker; else some, to tell the runs apart."""


PANELS = (
    Panel("Validation EM, %", (Curve("validation/em"),), marked=True),
    Panel("Mean reward of rollouts (each run's own)", (Curve("reward/mean"),), scale=1),
    Panel(
        "EM of training rollouts, %",
        (Curve("rollout/em", "final"), Curve("rollout/em_draft", "drafts", dashed=True)),
    ),
)
REFINER_PANELS = (
    Panel("Meta-Refiner: drafts revised, %", (Curve("refiner/revised"),)),
    Panel(
        "Meta-Refiner: drafts accepted, %",
        (
            Curve("refiner/accept_right", "right ones"),
            Curve("refiner/accept_wrong", "wrong ones", dashed=True),
        ),
    ),
    Panel("Meta-Refiner: EM a cut regains, points", (Curve("refiner/regain"),), signed=True),
)
SET_PANELS = tuple(
    Panel(f"Test EM, {title}, %", (Curve(key),), scale=1, marked=True)
    for key, title in (*TITLES.items(), ("average", "average"))
)

Runs = Mapping[str, Sequence[pd.DataFrame]]
"""Run -> one frame a seed: index the step, a column a metric, absent values NaN."""
Levels = Mapping[str, "pd.Series[Any]"]
"""Run -> its EM, by set and on average, whatever the step."""


def training_dynamics(
    runs: Runs, curves: Mapping[str, pd.DataFrame] | None = None, levels: Levels | None = None
) -> Figure:
    """The figure: training, the Meta-Refiner where a run has one, EM on the sets where evaluated.

    ``curves`` are those of ``read_curves``, ``levels`` those of ``read_levels``.
    """
    curves, levels = curves or {}, levels or {}
    refined = {name: seeds for name, seeds in runs.items() if _has(seeds, "refiner/revised")}
    training = (PANELS, REFINER_PANELS) if refined else (PANELS,)
    tested = (SET_PANELS[:4], SET_PANELS[4:]) if curves or levels else ()
    rows: list[tuple[tuple[Panel, ...], Runs]] = [(panels, runs) for panels in training]
    rows += [(panels, {name: [frame] for name, frame in curves.items()}) for panels in tested]
    looks = {
        name: _look(at, level=name in levels)
        for at, name in enumerate(dict.fromkeys([*runs, *curves, *levels]))
    }
    last = max(int(frame.index.max()) for _, shown in rows for of in shown.values() for frame in of)
    with mpl.rc_context(STYLE):
        figure = new_figure(0.5 + 1.62 * len(rows))
        places = figure.add_gridspec(len(rows), 12)  # rows of three panels or of four
        for at, (panels, shown) in enumerate(rows):
            width = 12 // len(panels)
            for column, panel in enumerate(panels):
                ax = figure.add_subplot(places[at, column * width : (column + 1) * width])
                _draw(ax, panel, shown, refined, looks, levels)
                ax.set_xlim(-0.02 * last, 1.02 * last)
                ax.set_xlabel("training step")
        figure.legend(
            handles=[
                Line2D([], [], color=of.colour, marker=of.marker, linewidth=of.width, label=name)
                for name, of in looks.items()
            ],
            loc="outside upper left",
            ncols=math.ceil(len(looks) / math.ceil(len(looks) / 6)),  # rows of six, evened out
        )
        note(figure, _notes(runs, curves, levels))
    return figure


def _look(at: int, level: bool) -> Look:
    marker, width = ("", 0.8) if level else (MARKERS[at % len(MARKERS)], 1.3)
    return Look(COLOURS[at % len(COLOURS)], marker, width)


def _notes(runs: Runs, curves: Mapping[str, pd.DataFrame], levels: Levels) -> str:
    several = any(len(seeds) > 1 for seeds in runs.values())
    parts = [
        "Validation and test are greedy, rollouts are sampled. The reward is EM, times 1 + the "
        "density of useful evidence where the process reward is on.",
    ]
    if curves:
        parts.append("Band: 95 % interval of the average over questions.")
    if levels:
        parts.append("Thin level lines: the end of supervised training, which has no such steps.")
    if several:
        parts.append("Strong lines: mean of the seeds; faint lines: each seed.")
    return parts[0] + "".join(("\n" if at == 0 else " ") + of for at, of in enumerate(parts[1:]))


def _has(seeds: Sequence[pd.DataFrame], key: str) -> bool:
    return any(key in frame for frame in seeds)


def _draw(
    ax: Axes, panel: Panel, runs: Runs, refined: Runs, looks: Mapping[str, Look], levels: Levels
) -> None:
    drawn = set()
    for name, level in levels.items():
        for curve in panel.curves:
            if curve.key in level.dropna():
                height, look = level[curve.key] * panel.scale, looks[name]
                ax.axhline(height, color=look.colour, linewidth=look.width)
                drawn.add(curve)
    for name, seeds in runs.items():
        for curve in panel.curves:
            measured = [frame[curve.key].dropna() for frame in seeds if curve.key in frame]
            # Without a Meta-Refiner the rollouts are their own drafts.
            if not measured or (curve.dashed and name not in refined):
                continue
            _curve(ax, measured, panel, curve, looks[name])
            drawn.add(curve)
        if _has(seeds, f"{panel.curves[0].key}_ci_low"):
            low, high = (seeds[0][f"{panel.curves[0].key}_ci_{end}"] for end in ("low", "high"))
            ax.fill_between(low.index, low, high, color=looks[name].colour, alpha=0.15, linewidth=0)
    if len(drawn) > 1:
        key(ax, [(of.note, INK, DASHED if of.dashed else "solid", "") for of in panel.curves])
    dress(ax, panel.title, panel.signed, drawn=bool(drawn))


def _curve(
    ax: Axes, seeds: Sequence[pd.Series[float]], panel: Panel, curve: Curve, look: Look
) -> None:
    """Draw the seeds' mean, and each seed where there are several."""
    style: dict[str, Any] = {"color": look.colour, "linestyle": DASHED if curve.dashed else "solid"}
    if len(seeds) > 1:
        for seed in seeds:
            ax.plot(seed.index, seed * panel.scale, **style, linewidth=0.6, alpha=0.35)
    mean = pd.concat(seeds, axis=1, join="inner").mean(axis=1) * panel.scale
    every = 1 if panel.marked else max(1, len(mean) // 5)
    ax.plot(mean.index, mean, **style, linewidth=look.width, marker=look.marker, markevery=every)
