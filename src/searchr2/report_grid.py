"""A table as a page shows it: cells with their intervals, from the text of a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from searchr2.files import DataError
from searchr2.table_page import TITLES

LOW, HIGH, ERROR = "ci_low", "ci_high", "se"
WIDE = 12
"""Tables of more columns than this, and fewer lines, are turned: a line a column."""
_HEADERS = {
    **TITLES,
    "n": "Questions",
    "a": "",
    "b": "against",
    "mcnemar_p": "McNemar p",
    "holm_p": "Holm p",
    "em": "EM",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell: its text, the interval under it, and how it is to be drawn.

    ``tone``: "good" or "bad" where the figure itself says so. ``share``: value and interval in
    percent of the cell's width.
    """

    text: str
    interval: str = ""
    tone: str = ""
    share: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Grid:
    """A table: its header, which columns are figures, its lines."""

    header: list[str]
    figures: list[bool]
    lines: list[list[Cell]]

    def turned(self) -> Grid:
        """Lines as columns."""
        header = [self.header[0], *(line[0].text for line in self.lines)]
        columns = range(1, len(self.header))
        lines = [[Cell(self.header[i]), *(line[i] for line in self.lines)] for i in columns]
        return Grid(header, [False, *([True] * len(self.lines))], lines)


def read_frame(path: Path) -> pd.DataFrame:
    """A CSV file as text, cell by cell; absent ones are empty. Raises ``DataError``."""
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table: {error}") from None


def grid(
    frame: pd.DataFrame,
    share: Sequence[str] = (),
    signed: Sequence[str] = (),
    names: Mapping[str, str] = TITLES,
) -> Grid:
    """The grid of ``frame``: intervals and standard errors go under the figure they belong to.

    ``x_ci_low``, ``x_ci_high`` and ``x_se`` belong to ``x``; plain ``ci_low`` and ``ci_high`` to
    the column before them. Columns in ``share`` are percentages that are drawn too, those in
    ``signed`` differences. ``names`` replaces what a cell says (names of rows by their labels);
    columns without any content are left out.
    """
    columns = [str(name) for name in frame]
    spreads = {name: spread for name in columns if (spread := _spread(name, columns))}
    under = {end for ends in spreads.values() for end in ends}
    kept = [name for name in columns if name not in under and (frame[name] != "").any()]
    lines = []
    for row in frame.to_dict("records"):
        line = []
        for name in kept:
            text, ends = names.get(row[name], row[name]), spreads.get(name, ())
            line.append(_cell(text, [row[end] for end in ends], name in share, name in signed))
        lines.append(line)
    made = Grid([title(name) for name in kept], [_is_figures(frame[name]) for name in kept], lines)
    return made.turned() if len(kept) > max(WIDE, len(lines)) else made


def title(column: str) -> str:
    """``supporting_titles`` as "Supporting titles"; sets by their names."""
    if column in _HEADERS:
        return _HEADERS[column]
    words = column.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _spread(column: str, columns: list[str]) -> list[str]:
    """The columns that hold the interval of ``column``, or its standard error."""
    own = [f"{column}_{LOW}", f"{column}_{HIGH}"]
    if set(own) <= set(columns):
        return own
    if f"{column}_{ERROR}" in columns:
        return [f"{column}_{ERROR}"]
    after = columns.index(column) + 1
    return [LOW, HIGH] if columns[after : after + 2] == [LOW, HIGH] else []


def _cell(text: str, spread: list[str], drawn: bool, signed: bool) -> Cell:
    if signed and text and not text.startswith(("+", "-")):
        text = f"+{text}"
    if not all(spread) or not spread:
        return Cell(text)
    if len(spread) == 1:
        return Cell(text, f"± {spread[0]}")
    low, high = spread
    interval = f"{low} to {high}"
    if drawn:
        return Cell(text, interval, share=(float(text), float(low), float(high)))
    tone = "good" if float(low) > 0 else "bad" if float(high) < 0 else ""
    return Cell(text, interval, tone if signed else "")


def _is_figures(column: pd.Series[str]) -> bool:
    """Does every cell that holds something hold a number?"""
    return bool(pd.to_numeric(column[column != ""], errors="coerce").notna().all())
