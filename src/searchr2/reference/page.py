"""The comparison with the paper as a Markdown page (``reference`` makes what it shows)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from searchr2.config import SETS, Data
from searchr2.markdown import grid
from searchr2.reference.verdicts import NOT_RUN, Ours
from searchr2.statistics import wilson_of
from searchr2.table_page import TITLES
from searchr2.tables import AVERAGE

CELLS = ("inside", "outside", NOT_RUN)
STEPS = ("same", "opposite", "open", NOT_RUN)
_COLUMNS = [*SETS, AVERAGE]


def markdown(
    found: pd.DataFrame, tables: Mapping[str, Ours], sizes: pd.DataFrame, data: Data
) -> str:
    """The page: scale, verdicts in short, orders, signs, cells, and how fine the sets are.

    ``found`` is what ``reference.compare`` returned for all tables; ``sizes`` the questions the
    paper's sets have.
    """
    parts = [
        f"# Against the paper ({next(iter(tables.values())).config.name})",
        _scale(found, tables, data),
        "Rules, written down before any result: docs/replication.md, *Verdicts*.",
        "## In short",
        _summary(summary(found)),
        "## Order of the methods",
        _orders(found[found["kind"] == "order"]),
        "## Sign of each step",
        _signs(steps(found)),
        *(_cells(name, of) for name, of in found[found["kind"] == "cell"].groupby("table")),
        "## How fine the sets are",
        _sizes(tables, sizes),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _scale(found: pd.DataFrame, tables: Mapping[str, Ours], data: Data) -> str:
    config = next(iter(tables.values())).config
    cells = found[found["kind"] == "cell"]
    ran = cells[cells["verdict"] != NOT_RUN]
    passages = "made up (the generated world)" if data.corpus is None else data.corpus
    scale = f"Scale {config.name}: backbone {config.backbone}, passages {passages}."
    if ran.empty:
        backbones = ", ".join(dict.fromkeys(cells["backbone"]))
        return (
            f"**This is not a reproduction of the paper's numbers.** {scale} The paper: "
            f"{backbones}, Wikipedia of 2018. None of its {len(cells)} cells was run, so no value "
            "is set beside a value: only the order of the methods and the sign of each step are."
        )
    outside = int((ran["verdict"] == "outside").sum())
    return (
        f"{scale} {len(ran)} of the paper's {len(cells)} cells were run; {outside} are outside our "
        f"95 % interval, where about {round(0.05 * len(ran))} would be if all agreed in truth."
    )


def summary(found: pd.DataFrame) -> pd.DataFrame:
    """The verdicts of each table, counted: cells, the order, steps."""
    lines = []
    for name, of in found.groupby("table", sort=False):
        cells = of[of["kind"] == "cell"]["verdict"].value_counts()
        signs = steps(of)["verdict"].value_counts()
        orders = dict.fromkeys(of[of["kind"] == "order"]["verdict"])
        lines.append(
            {
                "table": name,
                **{f"cells {key}": str(cells.get(key, 0)) for key in CELLS},
                "order": ", ".join(orders),
                **{f"steps {key}": str(signs.get(key, 0)) for key in STEPS},
            }
        )
    return pd.DataFrame(lines)


def steps(found: pd.DataFrame) -> pd.DataFrame:
    """The signs, a line a step: the paper's differences of all its backbones side by side.

    ``found`` has numbers or, read back from its file, text.
    """
    lines = []
    signs = found[found["kind"] == "sign"]
    for (table, step), of in signs.groupby(["table", "row"], sort=False):
        first, theirs = of.iloc[0], pd.to_numeric(of["paper"])
        line = {"table": table, "step": step, "paper": ", ".join(f"{gap:+.1f}" for gap in theirs)}
        if first["verdict"] != NOT_RUN:
            figures = pd.to_numeric(first[["ours", "ci_low", "ci_high"]]).dropna()
            line |= {str(key): f"{figure:+.1f}" for key, figure in figures.items()}
            line["n"] = f"{float(first['n']):.0f}"
        verdicts = " / ".join(dict.fromkeys(of["verdict"]))
        lines.append({**line, "in": first["note"], "verdict": verdicts})
    columns = ["table", "step", "paper", "ours", "ci_low", "ci_high", "in", "n", "verdict"]
    return pd.DataFrame(lines, columns=columns).fillna("")


def _summary(counts: pd.DataFrame) -> str:
    header = [str(name).capitalize() for name in counts]
    return grid(header, [list(line) for line in counts.replace("", "-").to_numpy()])


def _orders(orders: pd.DataFrame) -> str:
    if orders.empty:
        return "Fewer than three methods of any table were run."
    header = ["Table", "Backbone of the paper", "Spearman's rho", "95 % interval", "Verdict"]
    lines, orderings = [], []
    for order in orders.to_dict("records"):
        interval = f"{order['ci_low']:.2f} to {order['ci_high']:.2f}"
        cells = [order["table"], order["backbone"], f"{order['ours']:.2f}", interval]
        lines.append([*cells, f"{order['verdict']} ({order['note']})"])
        orderings.append(f"- {order['table']}, {order['backbone']}: {order['row']}")
    told = "The paper's order of what was run on both sides:\n\n" + "\n".join(orderings)
    return f"{grid(header, lines, words=2)}\n\n{told}"


def _signs(steps: pd.DataFrame) -> str:
    if steps.empty:
        return "No step of the paper's tables was run."
    header = ["Table", "Step", "Paper, by backbone", "Ours", "95 % interval", "In", "Verdict"]
    lines = [
        [
            *(step[key] for key in ("table", "step", "paper", "ours")),
            f"{step['ci_low']} to {step['ci_high']}" if step["ci_low"] else "",
            step["in"],
            step["verdict"],
        ]
        for step in steps.to_dict("records")
    ]
    return (
        "Of exact match: differences of averages. At another scale than the paper's only signs "
        "are to be compared, of times and of judged trajectories at every scale.\n\n"
        f"{grid(header, lines, words=2)}"
    )


def _cells(name: Any, cells: pd.DataFrame) -> str:
    stepped = cells["step"].notna().any()
    steps = ["Step"] if stepped else []
    header = ["Method", "Whose", *steps, *(TITLES.get(key, "Average") for key in _COLUMNS)]
    lines = []
    for keys, of in cells.groupby(["row", "backbone", "step"], sort=False, dropna=False):
        row = {cell["set"]: cell for cell in of.to_dict("records")}
        step = [f"{keys[2]:.0f}"] if stepped else []
        paper = [f"{row[key]['paper']:.1f}" for key in _COLUMNS]
        ours = [_cell(row[key]) for key in _COLUMNS]
        lines.append([str(keys[0]), f"paper, {keys[1]}", *step, *paper])
        if set(ours) == {NOT_RUN}:
            lines[-1].append(NOT_RUN)
        else:
            lines.append([str(keys[0]), "ours", *step, *ours])
            lines[-2].append("")
            lines[-1].append(_tally(of))
    notes = cells[cells["note"] != ""].drop_duplicates("row").to_dict("records")
    told = [f"{cell['row']}, average: {cell['note']}." for cell in notes]
    title = f"## Cell by cell: {name}"
    return "\n\n".join([title, grid([*header, "Verdict"], lines, words=2), *told])


def _cell(cell: Mapping[Any, Any]) -> str:
    if cell["verdict"] == NOT_RUN:
        return NOT_RUN
    mark = "" if cell["verdict"] == "inside" else " !"
    return f"{cell['ours']:.1f} ({cell['ci_low']:.1f} to {cell['ci_high']:.1f}){mark}"


def _tally(cells: pd.DataFrame) -> str:
    counts = cells["verdict"].value_counts()
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items())


def _sizes(tables: Mapping[str, Ours], sizes: pd.DataFrame) -> str:
    frames = [frame for of in tables.values() for frame in of.scores.values()]
    counts = [frame.index.get_level_values("dataset").value_counts() for frame in frames]
    here = pd.concat(counts, axis=1).max(axis=1)
    paper = dict(zip(sizes["set"], sizes["questions"], strict=True))
    lines = [
        [
            TITLES[name],
            str(paper[name]),
            _half_width(paper[name]),
            str(int(here[name])) if name in here else "",
            _half_width(int(here[name])) if name in here else "",
        ]
        for name in SETS
    ]
    told = (
        "Half of a 95 % interval, in points, where half of the answers are right: no cell can be "
        "known better from one run."
    )
    header = ["Set", "Questions, paper", "+-", "Questions, here", "+-"]
    return f"{told}\n\n{grid(header, lines)}"


def _half_width(questions: int) -> str:
    interval = wilson_of(0.5, questions)
    return f"{50 * (interval.high - interval.low):.1f}"
