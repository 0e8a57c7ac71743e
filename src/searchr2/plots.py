"""How every figure looks: as wide as a page's text, in colours that all readers can tell apart.

A figure is drawn inside ``mpl.rc_context(STYLE)`` and written by ``save``: same data, same bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
"""Okabe and Ito's palette; runs beyond it begin anew."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
"""One more than colours, so that runs beyond the palette differ from those before."""
WIDTH = 7.2
"""Inches: the text of a page. Type is 6 to 8 points, as in a caption."""
INK, PALE, GRID = "#333333", "#666666", "#E4E4E4"
DASHED = (0, (3, 1.4))
STYLE: Any = {
    "font.family": "DejaVu Sans",
    "font.size": 7,
    "axes.edgecolor": "#999999",
    "axes.linewidth": 0.6,
    "axes.titlesize": 7.5,
    "axes.titlelocation": "left",
    "axes.titlecolor": INK,
    "axes.titlepad": 4,
    "axes.labelsize": 7,
    "axes.labelpad": 2,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.4,
    "legend.borderaxespad": 0.2,
    "text.color": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.pad": 2,
    "ytick.major.pad": 2,
    "lines.markersize": 3,
    "pdf.fonttype": 42,
}


def new_figure(height: float) -> Figure:
    """A figure as wide as a page, ``height`` inches high, its parts kept from touching."""
    layout = ConstrainedLayoutEngine(w_pad=0.05, h_pad=0.05)
    figure = Figure(figsize=(WIDTH, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def note(figure: Figure, text: str) -> None:
    """What a reader must know, in small type under all panels."""
    figure.supxlabel(text, x=0.008, ha="left", fontsize=6, color=PALE)


def save(figure: Figure, stem: Path) -> None:
    """Write ``stem``.png and ``stem``.pdf, without the date that would make every file differ."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        figure.savefig(f"{stem}.png", dpi=300, metadata={"Software": None})
        figure.savefig(f"{stem}.pdf", metadata={"CreationDate": None})


def key(ax: Axes, entries: Sequence[tuple[str, str, Any, str]]) -> None:
    """What the lines of a panel are, between its title and its plot: (name, colour, style, marker).

    There it hides no curve, whatever they do.
    """
    handles = [
        Line2D([], [], color=colour, linestyle=style, marker=marker, label=name)
        for name, colour, style, marker in entries
    ]
    ax.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(-0.02, 0.985),
        ncols=len(handles),
        fontsize=6.5,
        handlelength=1.0 if len(handles) > 2 else 1.6,
        columnspacing=0.9,
    )


def dress(ax: Axes, title: str, signed: bool, *, drawn: bool) -> None:
    """Title, grid and ticks of a panel over training steps; ``drawn``: does it hold anything?"""
    ax.set_title(title, pad=13 if ax.get_legend() else None)
    ax.grid(color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.tick_params(length=2)
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    if signed:
        ax.axhline(0, color="#999999", linewidth=0.6)
    else:
        top = ax.get_ylim()[1]
        ax.set_ylim(0, top if ax.dataLim.y1 > 0 else 1)  # all at 0: no scale to be had from them
    if not drawn:
        ax.text(0.5, 0.5, "not measured", transform=ax.transAxes, ha="center", color="#999999")
