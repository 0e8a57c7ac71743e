"""Questions: JSON lines in FlashRAG's format, {"id", "question", "golden_answers", "metadata"}."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from searchr2.files import DataError, read_jsonl
from searchr2.trajectory import Question


def read_questions(path: Path, dataset: str | None = None) -> list[Question]:
    """The questions of a file in its order.

    Their set is the argument, else the row's own ``dataset``, else the file's stem. Raises
    ``DataError`` (file, line, reason) at a row that cannot be used, at an id met before in the same
    set, and where the file holds no question.
    """
    questions: list[Question] = []
    seen: set[tuple[str, str]] = set()
    for number, row in read_jsonl(path):
        try:
            question = parse_question(row, dataset or row.get("dataset", path.stem))
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        if (question.dataset, question.id) in seen:
            raise DataError(f"{path}:{number}: id {question.id!r} occurs twice")
        seen.add((question.dataset, question.id))
        questions.append(question)
    if not questions:
        raise DataError(f"{path}: no question in this file")
    return questions


def parse_question(row: dict[str, Any], dataset: str) -> Question:
    """A row as a question; raises ``ValueError`` saying what is wrong with it."""
    id_, text, golds = row.get("id"), row.get("question"), row.get("golden_answers")
    metadata = row.get("metadata") or {}
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise ValueError('"id" must be a string or an integer')
    if not isinstance(text, str) or not text.strip():
        raise ValueError('"question" must be a string that is not empty')
    if not isinstance(golds, list) or not golds:
        raise ValueError('"golden_answers" must be a list with at least one answer')
    if not all(isinstance(gold, str) and gold.strip() for gold in golds):
        raise ValueError('"golden_answers" must hold strings that are not empty')
    if not isinstance(metadata, dict):
        raise ValueError('"metadata" must be an object')
    if not isinstance(dataset, str):
        raise ValueError('"dataset" must be a string')
    return Question(
        str(id_), dataset, text.strip(), tuple(golds), supporting_titles(metadata), metadata
    )


def question_row(question: Question) -> dict[str, Any]:
    """The row that ``parse_question`` reads the question from."""
    return {
        "id": question.id,
        "question": question.text,
        "golden_answers": list(question.golden_answers),
        "dataset": question.dataset,
        "metadata": question.metadata,
    }


def supporting_titles(metadata: dict[str, Any]) -> tuple[str, ...] | None:
    """Titles of the gold passages, each once, in order; ``None`` where the data set names none.

    Read from ``supporting_titles`` or ``supporting_facts``: {"title": [...]} as FlashRAG has it, or
    [[title, sentence], ...] as HotpotQA and 2WikiMultiHopQA have it.
    """
    titles = metadata.get("supporting_titles")
    if titles is None:
        facts = metadata.get("supporting_facts") or []
        if isinstance(facts, dict):
            titles = facts.get("title")
        elif isinstance(facts, list) and all(isinstance(fact, list) and fact for fact in facts):
            titles = [fact[0] for fact in facts]
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise ValueError('the supporting titles in "metadata" must be strings in a list')
    return tuple(dict.fromkeys(titles)) or None
