"""Trajectories for people: JSON rows and text derived from the records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from searchr2.answers import exact_match, f1, sub_em
from searchr2.baselines import Answered
from searchr2.trajectory import Document, Question, Trajectory, Verdict, sampled_from


def prediction_row(question: Question, answered: Answered) -> dict[str, Any]:
    """One question of a predictions file: what was asked, what was done, how it scores."""
    trace, golds = answered.trace, question.golden_answers
    prediction = trace.final.answer
    row: dict[str, Any] = {
        "id": question.id,
        "dataset": question.dataset,
        "question": question.text,
        "golden_answers": list(golds),
        "prediction": prediction,
        "em": exact_match(prediction, golds),
        "f1": round(f1(prediction, golds), 4),
        "sub_em": sub_em(prediction, golds),
        "searches": len(trace.final.collections),
        "supporting_titles": _listed(question.supporting_titles),
        "titles_found": _titles_found(question, answered),
    }
    if version := sampled_from([trace]):
        row["weights"] = version
    if answered.context:
        row["context"] = [_document(d) for d in answered.context]
    row["turns"] = turns(trace.final)
    if trace.verdicts:
        row["verdicts"] = [_verdict(v) for v in trace.verdicts]
        row["drafts"] = [turns(draft) for draft in trace.drafts]
    return row


def turns(trajectory: Trajectory) -> list[dict[str, Any]]:
    """The assistant turns: the text as written, and what a search returned."""
    rows = []
    for step in trajectory.steps:
        row: dict[str, Any] = {"text": step.text}
        if step.searched:
            row["query"] = step.query
            row["documents"] = [_document(d) for d in step.documents]
        if step.answer is not None:
            row["answer"] = step.answer
        rows.append(row)
    return rows


def _titles_found(question: Question, answered: Answered) -> list[str] | None:
    if question.supporting_titles is None:
        return None
    collections = (answered.context, *answered.trace.final.collections)
    seen = {document.title for collection in collections for document in collection}
    return [title for title in question.supporting_titles if title in seen]


def _listed(titles: Sequence[str] | None) -> list[str] | None:
    return None if titles is None else list(titles)


def _document(document: Document) -> dict[str, Any]:
    return {
        "id": document.id,
        "title": document.title,
        "text": document.text,
        "score": round(document.score, 4),
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "choice": verdict.choice,
        "accepts": verdict.accepts,
        "probabilities": [round(p, 4) for p in verdict.probabilities],
    }
