"""The paper's numbers beside ours, with verdicts by the rules of docs/replication.md.

At the paper's scale every cell has one. At any other scale, the mini one first of all, values are
not compared: each cell is "not run", and only orders and signs are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from searchr2.config import SETS, Data, TableConfig
from searchr2.files import DataError
from searchr2.ranks import Agreement, agreement
from searchr2.statistics import Interval, bootstrap, paired_bootstrap, wilson
from searchr2.tables import AVERAGE, paired, samples

MAIN = "table1"
"""Methods side by side; in every other table each line is a step from the one before."""
ROUNDING = 0.05
"""Half of the last digit the paper prints, in points."""
PRINTED = 0.1
"""How far a printed average and the mean of seven printed numbers can be apart by rounding."""
CHANCE = 0.05
"""An order agrees only where at most this share of all orders does so as well."""
COLUMNS = ["table", "kind", "row", "backbone", "step", "set", "paper", "ours", "ci_low", "ci_high"]
COLUMNS += ["n", "verdict", "note"]
NOT_RUN = "not run"
_KEYS = ["row", "method", "backbone", *SETS, AVERAGE]


@dataclass(frozen=True)
class Ours:
    """A table of ours: its settings, and the scores of each line (``tables.read_scores``)."""

    config: TableConfig
    scores: Mapping[str, pd.DataFrame]

    def line(self, row: str, step: float | None = None) -> pd.DataFrame | None:
        """The scores of ``row`` at its end, or at a step of its training where one is given."""
        if step is None:
            return self.scores.get(row)
        for name, of in self.config.lines.items():
            if name.partition("@")[0] == row and of.step == step:
                return self.scores[name]
        return None


def read_reference(path: Path) -> pd.DataFrame:
    """A table of the paper; raises ``DataError`` naming the file and what it lacks."""
    try:
        table = pd.read_csv(path, dtype={"row": str, "method": str, "backbone": str})
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table: {error}") from None
    if absent := [key for key in _KEYS if key not in table]:
        raise DataError(f"{path}: no column {', '.join(absent)}")
    return table


def comparable(config: TableConfig, paper: pd.DataFrame, data: Data) -> bool:
    """Is ``config`` at the paper's scale: its backbone, and passages that are not made up?"""
    return data.corpus is not None and plain(config.backbone) in set(map(plain, paper["backbone"]))


def plain(backbone: str) -> str:
    """A backbone as names are compared: "Qwen2.5-32B" and "Qwen2.5-32B-Instruct" are one."""
    return backbone.casefold().removesuffix("-instruct")


def compare(name: str, paper: pd.DataFrame, ours: Ours, data: Data) -> pd.DataFrame:
    """Cells, orders and signs of table ``name`` (``COLUMNS``), EM in percent, gaps in points."""
    at_scale = comparable(ours.config, paper, data)
    found = [*_cells(paper, ours, at_scale), *_orders(paper, ours), *_signs(name, paper, ours)]
    return frame({"table": name, **one} for one in found)


def frame(found: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """What was found, a line each (``COLUMNS``); what a line does not have is absent."""
    return pd.DataFrame([dict(line) for line in found], columns=COLUMNS).astype(
        {"step": "Int64", "n": "Int64"}
    )


def value(line: Mapping[Any, Any], sets: Sequence[str] = SETS) -> float:
    """The mean of a line's printed numbers, which orders and signs are taken from."""
    return sum(float(line[name]) for name in sets) / len(sets)


def average(line: Mapping[Any, Any]) -> tuple[float, str]:
    """The paper's average to compare with, and what is to say about it."""
    printed, mean = float(line[AVERAGE]), value(line)
    if abs(printed - mean) <= PRINTED:
        return printed, ""
    return round(mean, 1), f"printed {printed}, its seven numbers average {mean:.1f}"


def verdict(paper: float, ours: Interval) -> str:
    """Of a cell, both in percent."""
    return "inside" if ours.low - ROUNDING <= paper <= ours.high + ROUNDING else "outside"


def order(found: Agreement) -> str:
    """Of a table's methods: more than chance would often bring?"""
    if found.rho.low > 0 and found.chance <= CHANCE:
        return "agrees"
    return "reversed" if found.rho.high < 0 else "open"


def sign(paper: float, gap: Interval) -> str:
    """Of a step: does ours go where the paper's goes?"""
    if gap.low <= 0 <= gap.high or not paper:
        return "open"
    return "same" if (gap.value > 0) == (paper > 0) else "opposite"


def _cells(paper: pd.DataFrame, ours: Ours, at_scale: bool) -> Iterator[dict[str, Any]]:
    for line in _lines(paper):
        step = line.get("step")
        same = at_scale and plain(line["backbone"]) == plain(ours.config.backbone)
        scores = ours.line(line["row"], step) if same else None
        sets = samples(scores) if scores is not None else {}
        for name in (*SETS, AVERAGE):
            printed, note = average(line) if name == AVERAGE else (float(line[name]), "")
            cell = {"kind": "cell", "row": line["method"], "backbone": line["backbone"]}
            cell |= {"step": step, "set": name, "paper": printed, "verdict": NOT_RUN, "note": note}
            if name in sets:
                cell |= _figures(wilson(sets[name]), sets[name].shape[-1])
            elif name == AVERAGE and len(sets) == len(SETS):
                cell |= _figures(bootstrap(sets, ours.config.evaluation.bootstrap), _size(sets))
            if "ours" in cell:
                cell["verdict"] = verdict(printed, _shown(cell))
            yield cell


def _orders(paper: pd.DataFrame, ours: Ours) -> Iterator[dict[str, Any]]:
    """Spearman's rho of the table's methods, for each backbone that has three or more of ours."""
    for backbone, found in _by_backbone(paper):
        scores = {row: ours.line(row) for row in found}
        have = {row: samples(frame) for row, frame in scores.items() if frame is not None}
        sets = [name for name in SETS if have and all(name in of for of in have.values())]
        if not sets:
            continue
        theirs = {row: value(found[row], sets) for row in have}
        shared = {row: {name: of[name] for name in sets} for row, of in have.items()}
        ordered = agreement(shared, theirs, ours.config.evaluation.bootstrap)
        if ordered is None:
            continue
        rho, chance = ordered.rho, f"{100 * ordered.chance:.2g} %"
        yield {
            "kind": "order",
            "row": " < ".join(found[row]["method"] for row in sorted(have, key=theirs.__getitem__)),
            "backbone": backbone,
            "set": AVERAGE,
            "ours": round(rho.value, 3),
            "ci_low": round(rho.low, 3),
            "ci_high": round(rho.high, 3),
            "verdict": order(ordered),
            "note": f"{ordered.methods} methods; {chance} of all orders agree as well",
        }


def _signs(name: str, paper: pd.DataFrame, ours: Ours) -> Iterator[dict[str, Any]]:
    """The steps of the paper's table, and the pairs that ours compares, for each backbone."""
    for backbone, found in _by_backbone(paper):
        steps = [(b, a) for a, b in pairwise(found)] if name != MAIN else []
        compared = [pair for pair in ours.config.compare if set(pair) <= set(found)]
        for a, b in dict.fromkeys([*steps, *compared]):
            one, two = ours.line(a), ours.line(b)
            sets_a, sets_b = ({}, {}) if one is None or two is None else paired(a, b, one, two)
            shared = list(sets_a) or SETS
            step: dict[str, Any] = {
                "kind": "sign",
                "row": f"{found[b]['method']} to {found[a]['method']}",
                "backbone": backbone,
                "set": AVERAGE,
                "paper": round(value(found[a], shared) - value(found[b], shared), 1) + 0.0,
                "verdict": NOT_RUN,
                "note": "points",
            }
            if sets_a:
                gap = paired_bootstrap(sets_a, sets_b, ours.config.evaluation.bootstrap)
                step |= _figures(gap, _size(sets_a))
                step["verdict"] = sign(step["paper"], _shown(step))
            yield step


def _by_backbone(paper: pd.DataFrame) -> Iterator[tuple[str, dict[str, dict[str, Any]]]]:
    """Each backbone and its lines by row, those at the end of training where a table has steps."""
    ends = paper[paper["step"] == paper["step"].max()] if "step" in paper else paper
    for backbone, lines in ends.groupby("backbone", sort=False):
        yield str(backbone), {line["row"]: line for line in _lines(lines)}


def _lines(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(key): cell for key, cell in line.items()} for line in table.to_dict("records")]


def _size(sets: Mapping[str, Any]) -> int:
    return sum(scores_SQ.shape[-1] for scores_SQ in sets.values())


def _shown(line: Mapping[str, Any]) -> Interval:
    """An interval as it is printed, so that a verdict can be checked by eye."""
    return Interval(line["ours"], line["ci_low"], line["ci_high"])


def _figures(interval: Interval, questions: int) -> dict[str, Any]:
    figures = {"ours": interval.value, "ci_low": interval.low, "ci_high": interval.high}
    return {key: round(100 * share, 1) + 0.0 for key, share in figures.items()} | {"n": questions}
