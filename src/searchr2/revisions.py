"""What more revisions buy and cost (Table 4, Fig. 3): EM, and trajectories generated for a prompt.

Read from the table of the runs and from their ledgers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from searchr2.curves import read_ledger
from searchr2.files import DataError
from searchr2.plots import COLOURS, GRID, INK, MARKERS, STYLE, new_figure, note

GENERATED = "rollout/generated"


def generated(ledgers: Mapping[int, Sequence[Path]]) -> pd.DataFrame:
    """Trajectories generated of a prompt, drafts that were cut included, by step.

    ``ledgers`` are those of the seeds by the revisions they allow; a column each.
    """
    columns = {}
    for allowed, paths in ledgers.items():
        frames = [read_ledger(path) for path in paths]
        if any(GENERATED not in frame for frame in frames):
            raise DataError(f"{paths[0]}: no {GENERATED} in it")
        columns[allowed] = pd.concat([frame[GENERATED] for frame in frames], axis=1).mean(axis=1)
    return pd.DataFrame(columns).dropna()


def draw(table: pd.DataFrame, generated: pd.DataFrame) -> Figure:
    """EM with its interval against the revisions allowed, and trajectories a prompt over steps.

    ``table`` has a line for each column of ``generated``, in order.
    """
    allowed = list(generated)
    if len(table) != len(allowed):
        raise DataError(f"{len(table)} lines in the table, {len(allowed)} runs")
    with mpl.rc_context(STYLE):
        figure = new_figure(2.5)
        left, right = figure.subplots(1, 2)
        low = table["average"] - table["average_ci_low"]
        high = table["average_ci_high"] - table["average"]
        left.errorbar(
            allowed, table["average"], yerr=[low, high], color=INK, fmt="o-", linewidth=1, capsize=2
        )
        left.margins(x=0.08)
        left.set_title("Test EM, average of the seven sets, %")
        left.set_xlabel("revisions allowed")
        left.set_xticks(allowed)
        for at, run in enumerate(allowed):
            right.plot(
                generated.index,
                generated[run],
                color=COLOURS[at % len(COLOURS)],
                marker=MARKERS[at % len(MARKERS)],
                markevery=max(1, len(generated) // 5),
                linewidth=1.2,
                label=f"{run} allowed, mean {generated[run].mean():.2f}",
            )
        right.set_title("Trajectories generated for a prompt")
        right.set_xlabel("training step")
        right.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        figure.legend(loc="outside upper right", ncols=2, fontsize=6.5)
        for ax in (left, right):
            ax.grid(color=GRID, linewidth=0.6)
            ax.set_axisbelow(True)
        note(
            figure,
            "Bars: 95 % interval over questions. Trajectories: drafts that were cut included.",
        )
    return figure
