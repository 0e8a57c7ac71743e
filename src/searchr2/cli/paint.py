"""Trajectories on a terminal: who said what, in colour."""

from __future__ import annotations

import sys

COLOURS = {
    "question": "1",
    "gold": "33",
    "actor": "36",
    "evidence": "90",
    "refiner": "35",
    "answer": "1;32",
}
CONTROL = {"\n": "\n", "\t": " "}
"""Characters that steer a terminal, and what is shown of them: nothing of any other."""


def paint(who: str, text: str) -> str:
    """``text`` under its author's name; in colour on a terminal."""
    label = f"{who:>8}  "
    return colour(who, label + printable(text).replace("\n", "\n" + " " * len(label)))


def printable(text: str) -> str:
    """``text`` without what could steer the terminal."""
    return "".join(
        c if c.isprintable() else CONTROL.get(c, "\N{REPLACEMENT CHARACTER}") for c in text
    )


def colour(who: str, text: str) -> str:
    """``text`` in the colour of its author, on a terminal."""
    if who not in COLOURS or not sys.stdout.isatty():
        return text
    return f"\x1b[{COLOURS[who]}m{text}\x1b[0m"
