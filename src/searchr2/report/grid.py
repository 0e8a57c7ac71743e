"""A table as a page shows it: cells with their intervals, from the text of a CSV file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from searchr2.files import DataError
from searchr2.quality.pairs import RUBRICS
from searchr2.table_page import TITLES

LOW, HIGH, ERROR = "ci_low", "ci_high", "se"
OUTCOMES = ("wins", "ties", "losses")
"""Columns ``x_wins``, ``x_ties`` and ``x_losses`` are shown as one."""
ALPHA = 0.05
WIDE = 12
"""Tables of more columns than this, and fewer lines, are turned: a line a column."""
_HEADERS = {
    **TITLES,
    "n": "Questions",
    "em": "EM",
}


NAMES = TITLES | {rubric: rubric.replace("_", " ").capitalize() for rubric in RUBRICS}


@dataclass(frozen=True, slots=True)
class Cell:
    """What stands in a cell: its text, the interval and a note under it, and how it is drawn.

    ``tone``: "good" or "bad" where the figure itself says so. ``share``: value and interval in
    percent of the cell's width.
    """

    text: str
    interval: str = ""
    note: str = ""
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
    names: Mapping[str, str] = NAMES,
) -> Grid:
    """The grid of ``frame``: intervals and standard errors go under the figure they belong to.

    ``x_ci_low``, ``x_ci_high`` and ``x_se`` belong to ``x``; plain ``ci_low`` and ``ci_high`` to
    the column before them. Columns in ``share`` are percentages that are drawn too, those in
    ``signed`` differences. ``names`` replaces what a cell says (names of rows by their labels);
    columns without any content are left out.
    """
    frame = _joined(frame)
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


def differences(frame: pd.DataFrame, names: Mapping[str, str]) -> Grid:
    """Paired differences, a line a pair and a column a set, each with its interval and its p.

    Of the average McNemar's, of a set Holm's. A difference has a tone where it stands: the
    interval of the average leaves 0 out, the p of a set is below ``ALPHA``.
    """
    sets = list(dict.fromkeys(frame["set"]))
    lines = []
    for (a, b), of in frame.groupby(["a", "b"], sort=False):
        cells = {row["set"]: _difference(row) for row in of.to_dict("records")}
        pair = f"{names.get(str(a), a)} against {names.get(str(b), b)}"
        lines.append([Cell(pair), *(cells.get(name, Cell("")) for name in sets)])
    return Grid(["", *map(title, sets)], [False, *([True] * len(sets))], lines)


def title(column: str) -> str:
    """``supporting_titles`` as "Supporting titles"; sets by their names, symbols as they are."""
    if column in _HEADERS or column != column.lower():
        return _HEADERS.get(column, column)
    words = column.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def _joined(frame: pd.DataFrame) -> pd.DataFrame:
    """Wins, ties and losses of a set in one column."""
    for name in [str(name).removesuffix("_wins") for name in frame if str(name).endswith("_wins")]:
        parts = [f"{name}_{outcome}" for outcome in OUTCOMES]
        if set(parts) <= set(frame):
            joined = frame[parts].agg(" / ".join, axis=1).replace(" /  / ", "")
            frame = frame.assign(**{parts[0]: joined}).rename(columns={parts[0]: name})
            frame = frame.drop(columns=parts[1:])
    return frame


def _difference(row: Mapping[Any, str]) -> Cell:
    low, high, p = float(row["ci_low"]), float(row["ci_high"]), row["holm_p"] or row["mcnemar_p"]
    stands = float(p) < ALPHA if row["holm_p"] else low > 0 or high < 0
    tone = ("good" if float(row["difference"]) > 0 else "bad") if stands else ""
    text, interval = f"{float(row['difference']):+.1f}", f"{low:.1f} to {high:.1f}"
    return Cell(text, interval, f"p {p}", tone)


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
    return Cell(text, interval, tone=tone if signed else "")


def _is_figures(column: pd.Series[str]) -> bool:
    """Does every cell that holds something hold a number?"""
    return bool(pd.to_numeric(column[column != ""], errors="coerce").notna().all())
