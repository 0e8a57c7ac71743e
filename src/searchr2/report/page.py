"""One page over a results folder: every table and figure, what made it, and what is not there.

Everything is read from files, nothing is computed again: the same files make the same bytes. The
page loads nothing from anywhere; figures are part of it, and its policy forbids the rest.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import jinja2

from searchr2.report.blocks import (
    Block,
    at_papers_scale,
    comparison,
    figures,
    missing,
    tables,
)
from searchr2.report.runs import environments, health, runs
from searchr2.tracking.folders import find_records


def page(results: Path, captions: Path) -> str:
    """The page as HTML; ``captions`` holds NAME.rst for a table, a figure or a stage."""
    groups = {
        "Tables": list(tables(results, captions)),
        "Paper": list(comparison(results, captions)),
        "Figures": list(figures(results, captions)),
    }
    blocks = [block for group in groups.values() for block in group]
    records = list(find_records(results))
    status = {record.key: record.about["status"] for record in records}
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    return environment.get_template("page.html").render(
        scale=_scale(blocks),
        reproduction=at_papers_scale(results),
        groups=groups,
        runs=runs(records),
        health=health(records),
        environments=environments({block.listed: block.made for block in blocks}),
        missing=[
            *missing(results),
            *(f"{key}: {how}" for key, how in status.items() if how != "finished"),
        ],
    )


def _scale(blocks: Iterable[Block]) -> dict[str, str] | None:
    """The scale and the backbone, as the first table of exact match names them."""
    for block in blocks:
        if block.made and {"name", "backbone"} <= block.made["config"].keys():
            return {key: str(block.made["config"][key]) for key in ("name", "backbone")}
    return None
