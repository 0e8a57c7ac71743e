"""Markdown that also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def grid(header: Sequence[str], lines: Sequence[Sequence[str]], words: int = 1) -> str:
    """A table, columns as wide as they need: the first ``words`` to the left, figures to the right.

    ``grid(["Set", "EM"], [["NQ", "5.0"]])`` is "| Set |  EM |" over "| --- | --: |" over
    "| NQ  | 5.0 |".
    """
    widths = [max(3, *map(len, column)) for column in zip(header, *lines, strict=True)]
    rule = ["-" * width if i < words else "-" * (width - 1) + ":" for i, width in enumerate(widths)]
    return "\n".join(_line(cells, widths, words) for cells in (header, rule, *lines))


def _line(cells: Sequence[str], widths: Sequence[int], words: int) -> str:
    padded = [
        cell.ljust(width) if i < words else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(cells, widths, strict=True))
    ]
    return f"| {' | '.join(padded)} |"
