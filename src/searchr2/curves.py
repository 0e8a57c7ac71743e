"""What figures over training steps are drawn from: ledgers of runs, and tables over steps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from searchr2.files import DataError, read_jsonl
from searchr2.tables import read_table


def read_ledger(path: Path) -> pd.DataFrame:
    """The metrics of a ledger by step; of a point that was written twice the last stands.

    Raises ``DataError`` where the file is missing, empty, or has a line that is not a ledger's.
    """
    points: dict[int, dict[str, float]] = {}
    for line, row in read_jsonl(path):
        step, metrics = row.get("step"), row.get("metrics")
        if not isinstance(step, int) or not isinstance(metrics, dict):
            raise DataError(f"{path}:{line}: expected a step and its metrics")
        points.setdefault(step, {}).update(metrics)
    if not points:
        raise DataError(f"{path}: no metrics in it")
    return pd.DataFrame.from_dict(points, orient="index").sort_index()


def read_ledgers(named: Iterable[tuple[str, Path]]) -> dict[str, list[pd.DataFrame]]:
    """Name -> a frame for each ledger that is given with it, one a seed."""
    found: dict[str, list[pd.DataFrame]] = {}
    for name, path in named:
        found.setdefault(name, []).append(read_ledger(path))
    return found


def read_curves(path: Path) -> dict[str, pd.DataFrame]:
    """Method -> EM by step, a column a set and their average, of a table over steps."""
    table = _over_steps(path).dropna(subset="step").astype({"step": int})
    return {str(name): part.set_index("step") for name, part in table.groupby("method", sort=False)}


def read_levels(path: Path) -> dict[str, pd.Series[Any]]:
    """Method -> EM of each set and their average, of the lines of such a table without a step."""
    table = _over_steps(path)
    return {str(line["method"]): line for _, line in table[table["step"].isna()].iterrows()}


def _over_steps(path: Path) -> pd.DataFrame:
    return read_table(path, "method", "step", "average")  # which only such a table has
