"""What the report shows: the tables, the comparison and the figures of a results folder."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from searchr2.files import PROVENANCE, read_json
from searchr2.reference.page import steps, summary
from searchr2.reference.verdicts import NOT_RUN
from searchr2.report.grid import Grid, differences, grid, read_frame
from searchr2.table_page import line_name
from searchr2.tables import AVERAGE, STEP

TABLES = {
    "table1": "Main results",
    "table_ablation": "Ablation",
    "table_revisions": "Number of revisions",
    "table_double_rollouts": "Twice the rollouts",
    "table_curves": "Over training",
    "table_gains": "Gain of the Meta-Refiner",
    "table_quality": "Quality of trajectories",
    "table_step_time": "Time of a training step",
    "retrieval": "Retrieval",
}
"""Tables a whole workflow writes, as NAME.csv, in the page's order; others follow."""
COMPARISON = "comparison"
PAIRED = "Paired differences, in points (p: McNemar's of the average, Holm's over the sets)"
DIFFERENCES, CELLS, COST = "_differences", "_cells", "_cost"


@dataclass(frozen=True)
class Block:
    """A table or a figure with its caption and where it came from (a ``provenance.json``)."""

    name: str
    title: str
    caption: str
    grids: Mapping[str, Grid] = field(default_factory=dict)
    """Heading -> table; a heading may be empty."""
    image: str = ""
    """A data URI."""
    made: Mapping[str, Any] | None = None
    files: tuple[str, ...] = ()

    @property
    def listed(self) -> str:
        """The title in the contents."""
        of = self.name.removesuffix(COST)
        return (
            f"{TABLES[of]}: cost"
            if of in TABLES and of != self.name
            else TABLES.get(of, self.title)
        )


def titles(results: Path) -> dict[str, str]:
    """Name -> title of every table that a whole workflow writes."""
    configs = sorted(results.glob("config/tables/*.json"))
    own = {path.stem: str(read_json(path)["title"]) for path in configs}
    found = {}
    for name, title in (TABLES | own).items():
        found[name] = title
        if (results / f"{name}{COST}.csv").is_file():
            found[f"{name}{COST}"] = f"{title}: what it cost"
    return found


def tables(results: Path, captions: Path) -> Iterator[Block]:
    """Every CSV file of ``results``, with the differences that belong to it."""
    wanted = titles(results)
    known = [name for name in wanted if (results / f"{name}.csv").is_file()]
    others = sorted(
        path.stem
        for path in results.glob("*.csv")
        if not (path.stem.endswith((DIFFERENCES, CELLS)) or path.stem in (*known, COMPARISON))
    )
    for name in [*known, *others]:
        made = _made(results / name)
        lines = made["config"].get("lines", {}) if made else {}
        names = {row: line_name(line["label"], line.get("step")) for row, line in lines.items()}
        frame = _with_cells(read_frame(results / f"{name}.csv"), results, name)
        grids = {"": grid(_told_once(frame), share=[AVERAGE])}
        under = results / f"{name}{DIFFERENCES}.csv"
        if under.is_file():
            grids[PAIRED] = differences(read_frame(under), names)
        yield Block(
            name,
            wanted.get(name, name),
            _caption(captions, name, made),
            {heading: of for heading, of in grids.items() if of.lines},
            made=made,
            files=(f"{name}.csv", *([under.name] if under.is_file() else [])),
        )


def figures(results: Path, captions: Path) -> Iterator[Block]:
    """Every figure of ``results``, as part of the page."""
    for path in sorted((results / "figures").glob("*.png")):
        made = _made(path.with_suffix("")) or _made(results / f"table_{path.stem}")
        data = base64.b64encode(path.read_bytes()).decode()
        yield Block(
            f"figure_{path.stem}",
            path.stem.replace("_", " ").replace("-", " ").capitalize(),
            _caption(captions, path.stem, made),
            image=f"data:image/png;base64,{data}",
            made=made,
            files=(f"figures/{path.name}",),
        )


def comparison(results: Path, captions: Path) -> Iterator[Block]:
    """Verdicts in short, orders, steps and the cells that were run, of ``comparison.csv``."""
    path = results / f"{COMPARISON}.csv"
    if not path.is_file():
        return
    made = _made(results / COMPARISON)
    frame = read_frame(path).replace({"table": titles(results) | TABLES})
    cells, orders = (
        frame[frame["kind"] == kind].drop(columns="kind") for kind in ("cell", "order")
    )
    orders = orders.drop(columns="set").rename(
        columns={"row": "methods, in the paper's order", "ours": "Spearman's rho"}
    )
    grids = {
        "Verdicts in short": grid(summary(frame)),
        "Order of the methods": grid(orders),
        "Sign of each step, in points": grid(steps(frame), signed=["ours"]),
        "Cells that were run": grid(cells[cells["verdict"] != NOT_RUN]),
    }
    yield Block(
        COMPARISON,
        "Against the paper",
        _caption(captions, COMPARISON, made),
        {heading: of for heading, of in grids.items() if of.lines},
        made=made,
        files=(f"{COMPARISON}.md", f"{COMPARISON}.csv"),
    )


def missing(results: Path) -> Iterator[str]:
    """What a whole workflow would have written, and what of the paper was not run."""
    wanted = titles(results) | {COMPARISON: "The comparison with the paper"}
    for name, what in wanted.items():
        if not (results / f"{name}.csv").is_file():
            yield f"{what} ({name}.csv)"
    if not (results / f"{COMPARISON}.csv").is_file():
        return
    cells = read_frame(results / f"{COMPARISON}.csv").query("kind == 'cell'")
    idle = cells[cells["verdict"] == NOT_RUN]
    if len(idle) == len(cells):
        backbones = ", ".join(dict.fromkeys(cells["backbone"]))
        yield f"All {len(cells)} cells of the paper's tables: none was run with {backbones}"
        return
    for table, of in idle.groupby("table", sort=False):
        lines = ", ".join(dict.fromkeys(of["row"] + " (" + of["backbone"] + ")"))
        yield f"Of the paper's {wanted.get(str(table), table)}: {lines}"


def _told_once(frame: pd.DataFrame) -> pd.DataFrame:
    """The table without what the page says elsewhere: where checkpoints stand, its one backbone."""
    known = [
        "checkpoint",
        *(["backbone"] if "backbone" in frame and frame["backbone"].nunique() < 2 else []),
    ]
    return frame.drop(columns=known, errors="ignore")


def _with_cells(frame: pd.DataFrame, results: Path, name: str) -> pd.DataFrame:
    """A table of exact match with the interval of each cell beside it, where they were written."""
    path = results / f"{name}{CELLS}.csv"
    if not path.is_file():
        return frame
    keys = [key for key in ("method", STEP) if key in frame]
    cells = read_frame(path)
    for end in ("ci_low", "ci_high"):
        ends = cells.pivot(index=keys, columns="set", values=end).add_suffix(f"_{end}")
        frame = frame.merge(ends.reset_index(), on=keys, how="left")
    return frame.fillna("")


def at_papers_scale(results: Path) -> bool:
    """Was any cell of the paper run at its scale?"""
    path = results / f"{COMPARISON}.csv"
    return path.is_file() and bool(read_frame(path)["verdict"].isin(["inside", "outside"]).any())


def _caption(captions: Path, name: str, made: Mapping[str, Any] | None) -> str:
    """The caption of ``name``, or of the stage that made it; there may be none."""
    for stem in (name, made["stage"] if made else name):
        path = captions / f"{stem}.rst"
        if path.is_file():
            return path.read_text(encoding="utf-8").strip()
    return ""


def _made(stem: Path) -> dict[str, Any] | None:
    path = stem.with_name(f"{stem.name}.{PROVENANCE}")
    return read_json(path) if path.is_file() else None
