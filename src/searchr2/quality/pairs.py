"""Trajectory quality: two rows' trajectories of the same questions, six rubrics (Table 9, Fig. 4).

Of each set ``pairs`` questions are drawn by seed. A judge scores both trajectories of a question,
labelled A and B at random, and never learns which is whose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from searchr2.config import SETS, QualityConfig
from searchr2.files import ArtifactError, DataError, read_jsonl
from searchr2.randomness import generator, stage_key

RUBRICS = (
    "evidence_groundedness",
    "information_density",
    "non_redundancy_efficiency",
    "query_timing_quality",
    "trajectory_coherence",
    "uncertainty_handling",
)
Row = Mapping[str, Any]
"""A row of a predictions file."""
Scores = Mapping[str, int | None]
"""Rubric -> 0 poor, 1 mixed, 2 strong; ``None`` where it cannot be told."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a judge said of A and B; a judge of rules names no winner and gives no reasons."""

    a: Scores
    b: Scores
    winner: str | None = None
    """``A``, ``B`` or ``tie``."""
    confidence: float | None = None
    reasons: str | None = None


class PairJudge(Protocol):
    """Scores pairs of trajectories (A, B) of one question each; ``None``: no verdict."""

    def compare(self, pairs: Sequence[tuple[Row, Row]]) -> list[Judgement | None]: ...


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows' trajectories of a question; ``swapped``: the judge sees the second one as A."""

    first: Row
    second: Row
    swapped: bool

    @property
    def shown(self) -> tuple[Row, Row]:
        return (self.second, self.first) if self.swapped else (self.first, self.second)


def draw(evaluations: Path, config: QualityConfig) -> dict[str, list[Pair]]:
    """The pairs of each set, in the order of the file.

    With several training seeds each question draws one, the same for both rows. Raises
    ``ArtifactError`` where an evaluation is missing, ``DataError`` where the two rows answered
    different questions.
    """
    (a, first), (b, second) = (
        (row, [evaluations / folder / "predictions.jsonl" for folder in config.lines[row].folders])
        for row in config.rows
    )
    drawn: dict[Path, set[tuple[str, str]]] = {}
    planned: list[tuple[str, str, Path, Path, bool]] = []
    for dataset, ids in _asked(first[0]).items():
        key = stage_key(config.seed, f"quality {dataset}")
        count = min(config.pairs, len(ids))
        for i in np.sort(generator(*key).permutation(len(ids))[:count]):
            draws = generator(*stage_key(config.seed, f"quality {dataset} {ids[i]}"))
            training, swapped = int(draws.integers(1 << 31)), bool(draws.integers(2))
            files = first[training % len(first)], second[training % len(second)]
            for file in files:
                drawn.setdefault(file, set()).add((dataset, ids[i]))
            planned.append((dataset, ids[i], *files, swapped))
    rows = {file: _rows(file, wanted) for file, wanted in drawn.items()}
    pairs: dict[str, list[Pair]] = {}
    for dataset, id_, one, other, swapped in planned:
        for name, file in ((a, one), (b, other)):
            if (dataset, id_) not in rows[file]:
                raise DataError(
                    f"{file}: no answer of {name} to {id_!r} of {dataset};"
                    " evaluate both rows on the same questions"
                )
        pair = Pair(rows[one][dataset, id_], rows[other][dataset, id_], swapped)
        pairs.setdefault(dataset, []).append(pair)
    return {dataset: pairs[dataset] for dataset in SETS if dataset in pairs}


def judge(
    pairs: Mapping[str, Sequence[Pair]],
    names: tuple[str, str],
    by: PairJudge,
    judged: Callable[[int], object] = lambda count: None,
) -> list[dict[str, Any]]:
    """One record a pair, ready for JSON: who was A and B, and the scores by row.

    ``judged`` is told how many pairs of a set are done.
    """
    records = []
    for dataset, drawn in pairs.items():
        verdicts = by.compare([pair.shown for pair in drawn])
        records += [
            _record(dataset, pair, names, verdict)
            for pair, verdict in zip(drawn, verdicts, strict=True)
        ]
        judged(len(drawn))
    return records


def _record(
    dataset: str, pair: Pair, names: tuple[str, str], verdict: Judgement | None
) -> dict[str, Any]:
    a, b = reversed(names) if pair.swapped else names
    record: dict[str, Any] = {
        "dataset": dataset,
        "id": pair.first["id"],
        "question": pair.first["question"],
        "labels": {"A": a, "B": b},
        "scores": None,
    }
    if verdict is not None:
        by_row = {a: dict(verdict.a), b: dict(verdict.b)}
        winner = {"A": a, "B": b}.get(verdict.winner or "", verdict.winner)
        record |= {"scores": {name: by_row[name] for name in names}, "winner": winner}
        record |= {"confidence": verdict.confidence, "reasons": verdict.reasons}
    return record


def _asked(path: Path) -> dict[str, list[str]]:
    """The ids of each set's questions, in the order of a predictions file."""
    asked: dict[str, list[str]] = {}
    for dataset, id_ in _rows(path):
        asked.setdefault(dataset, []).append(id_)
    return asked


def _rows(path: Path, wanted: set[tuple[str, str]] | None = None) -> dict[tuple[str, str], Row]:
    """(set, id) -> the row of a predictions file, of those that are wanted; else bare keys."""
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; `snakemake --forcerun evaluate` rebuilds it")
    found: dict[tuple[str, str], Row] = {}
    for line, row in read_jsonl(path):
        for key in ("id", "dataset", "question", "turns"):
            if key not in row:
                raise DataError(f"{path}:{line}: no {key!r} in this row")
        at = str(row["dataset"]), str(row["id"])
        if wanted is None or at in wanted:
            found[at] = {} if wanted is None else row
    return found
