"""Greedy evaluation: answer questions by one method, score them, sum up by set (section 5)."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any

from searchr2 import progress
from searchr2.actor import Actor
from searchr2.baselines import respond
from searchr2.config import Evaluation, Method, Refiner, Rollout
from searchr2.driver import drive
from searchr2.ports import Engine, Retriever
from searchr2.prompts import PromptBook
from searchr2.randomness import stage_key
from searchr2.trajectory import Question
from searchr2.transcripts import prediction_row


def evaluate(
    method: Method,
    questions: Sequence[Question],
    engine: Engine,
    retriever: Retriever,
    prompts: PromptBook,
    limits: Rollout,
    refiner: Refiner,
    settings: Evaluation,
    k: int,
) -> list[dict[str, Any]]:
    """One prediction row a question, in order; no Meta-Refiner unless ``settings.refine``."""
    actor = Actor(prompts, limits, temperature=0.0)
    if not settings.refine:
        refiner = refiner.model_copy(update={"max_revisions": 0})
    key = stage_key(0, "evaluate")
    bar = progress.bar(len(questions), method, "questions")
    answered = drive(
        [respond(method, actor, refiner, q, (*key, i)) for i, q in enumerate(questions)],
        engine,
        retriever,
        k,
        in_flight=settings.batch_size,
        finished=bar.update,
    )
    bar.close()
    return [prediction_row(q, a) for q, a in zip(questions, answered, strict=True)]


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means by set, in percent, and their average over the sets (every set weighs the same)."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        sets.setdefault(row["dataset"], []).append(row)
    means = {name: _means(part) for name, part in sets.items()}
    average = {key: fmean(m[key] for m in means.values()) for key in ("em", "f1", "sub_em")}
    return {"sets": means, "average": average}


def _means(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    recalls = [
        len(row["titles_found"]) / len(set(row["supporting_titles"]))
        for row in rows
        if row["supporting_titles"]
    ]
    return {
        "em": 100 * fmean(row["em"] for row in rows),
        "f1": 100 * fmean(row["f1"] for row in rows),
        "sub_em": 100 * fmean(row["sub_em"] for row in rows),
        "title_recall": 100 * fmean(recalls) if recalls else None,
        "searches": fmean(row["searches"] for row in rows),
        "answered": 100 * fmean(row["prediction"] is not None for row in rows),
        "n": len(rows),
    }
