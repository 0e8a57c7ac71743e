"""Signs against the paper's tables that are not of exact match: step times and rubrics.

Seconds belong to a machine and wins to a judge, so that at no scale a value is set beside a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from searchr2.files import DataError
from searchr2.reference.verdicts import NOT_RUN, sign
from searchr2.statistics import Interval, holm
from searchr2.tables import read_table

ALPHA = 0.05
Line = dict[str, Any]


def compare(name: str, paper: Path, ours: Path) -> list[Line]:
    """The signs of table ``name``, one of ``TABLES`` (``reference.COLUMNS``).

    ``ours`` may be absent: then nothing of it was run. Raises ``DataError`` for a file that is not
    such a table.
    """
    if name not in TABLES:
        raise DataError(f"{ours}: --others takes {' and '.join(f'{of}.csv' for of in TABLES)}")
    theirs = read_table(paper)
    mine = read_table(ours) if ours.is_file() else pd.DataFrame()
    try:
        found = list(TABLES[name](theirs, mine))
    except KeyError as error:
        raise DataError(f"{ours}: no column {error} as {paper} needs it") from None
    return [{"table": name, "kind": "sign", **line} for line in found]


def step_time(paper: pd.DataFrame, ours: pd.DataFrame) -> Iterator[Line]:
    """How much longer a training step of Search-R2 is, in percent, with our interval."""
    measured = ours.dropna(subset=["relative_change_percent"]) if len(ours) else ours
    for line in paper.to_dict("records"):
        found = {"row": "Search-R1 to Search-R2", "backbone": line["backbone"]}
        found |= {"paper": line["change_percent"], "verdict": NOT_RUN, "note": "% of time"}
        if len(measured):
            last = measured.iloc[-1]
            gap = Interval(last["relative_change_percent"], last["ci_low"], last["ci_high"])
            found |= {"ours": gap.value, "ci_low": gap.low, "ci_high": gap.high}
            found |= {"n": int(last["steps"]), "verdict": sign(line["change_percent"], gap)}
        yield found


def quality(paper: pd.DataFrame, ours: pd.DataFrame) -> Iterator[Line]:
    """Wins less losses of Search-R2 on each rubric, of 100 pairs, by Holm's sign test."""
    judged = {line["rubric"]: line for line in ours.to_dict("records") if line["pairs"]}
    p = holm({rubric: float(line["sign_test_p"]) for rubric, line in judged.items()})
    for line in paper.to_dict("records"):
        theirs = round(line["average_wins"] - line["average_losses"], 1)
        found = {"row": title(line["rubric"]), "paper": theirs, "verdict": NOT_RUN}
        found |= {"backbone": "", "note": "of 100 pairs"}
        if line["rubric"] in judged:
            mine = judged[line["rubric"]]
            gap = 100 * _balance(mine) / mine["pairs"]
            seen = "same" if (gap > 0) == (theirs > 0) else "opposite"
            found |= {"ours": round(gap, 1), "n": int(mine["pairs"])}
            if not pd.isna(mine["average_difference"]):
                found |= {end: mine[f"average_difference_{end}"] for end in ("ci_low", "ci_high")}
            found["verdict"] = seen if p[line["rubric"]] < ALPHA and gap else "open"
            found["note"] += f"; Holm p = {p[line['rubric']]:.2g}"
        yield found


TABLES: Mapping[str, Callable[[pd.DataFrame, pd.DataFrame], Iterator[Line]]] = {
    "table_step_time": step_time,
    "table_quality": quality,
}


def title(rubric: str) -> str:
    return rubric.replace("_", " ").capitalize()


def _balance(line: Mapping[Any, Any]) -> float:
    """Wins less losses over all sets that have any."""
    sides = {"_wins": 1, "_losses": -1}
    return sum(
        weight * float(count)
        for key, count in line.items()
        for end, weight in sides.items()
        if str(key).endswith(end) and not str(key).startswith("average") and not pd.isna(count)
    )
