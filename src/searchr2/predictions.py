"""Predictions files: one JSON row a question, read, checked and scored.

A row has at least ``id``, ``question``, ``golden_answers`` and ``prediction`` (``null``: no
answer); ``dataset`` names its set. Scores are computed here, never taken from the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchr2.answers import exact_match, f1, sub_em
from searchr2.files import DataError, read_jsonl


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was answered to a question (``None``: nothing), beside its gold answers."""

    id: str
    dataset: str | None
    golden_answers: tuple[str, ...]
    answer: str | None

    @property
    def em(self) -> float:
        return exact_match(self.answer, self.golden_answers)


@dataclass(frozen=True, slots=True)
class Scores:
    """Mean scores of some predictions, in percent, with their number."""

    em: float
    f1: float
    sub_em: float
    n: int
    unanswered: int


def read_predictions(path: Path) -> list[Prediction]:
    """The rows of a predictions file; raises ``DataError`` naming file, line and reason."""
    rows = [_prediction(row, f"{path}:{line}") for line, row in read_jsonl(path)]
    if not rows:
        raise DataError(f"{path}: no predictions in it")
    return rows


def score(predictions: Sequence[Prediction]) -> Scores:
    """EM, F1 and sub-EM averaged over ``predictions``, of which there is at least one."""

    def percent(values: list[float]) -> float:
        return 100 * sum(values) / len(values)

    return Scores(
        em=percent([row.em for row in predictions]),
        f1=percent([f1(row.answer, row.golden_answers) for row in predictions]),
        sub_em=percent([sub_em(row.answer, row.golden_answers) for row in predictions]),
        n=len(predictions),
        unanswered=sum(row.answer is None for row in predictions),
    )


def by_dataset(predictions: Sequence[Prediction]) -> dict[str, list[Prediction]]:
    """The predictions of each set, in order of appearance; rows that name none are left out."""
    sets: dict[str, list[Prediction]] = {}
    for row in predictions:
        if row.dataset is not None:
            sets.setdefault(row.dataset, []).append(row)
    return sets


def _prediction(row: dict[str, Any], where: str) -> Prediction:
    for key in ("id", "question", "golden_answers", "prediction"):
        if key not in row:
            raise DataError(f"{where}: no {key!r} in this row")
    golds, answer, dataset = row["golden_answers"], row["prediction"], row.get("dataset")
    if not isinstance(golds, list) or not all(isinstance(gold, str) for gold in golds):
        raise DataError(f"{where}: golden_answers must be a list of strings")
    if not golds:
        raise DataError(f"{where}: a question without gold answers cannot be scored")
    if not isinstance(answer, str | None):
        raise DataError(f"{where}: prediction must be a string or null")
    if not isinstance(dataset, str | None):
        raise DataError(f"{where}: dataset must be a string")
    return Prediction(str(row["id"]), dataset, tuple(golds), answer)
