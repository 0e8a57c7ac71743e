"""Questions, {"id", "question", "golden_answers", "metadata"} as FlashRAG has them.

Files are whatever ``formats`` reads and rows whatever ``dialects`` knows; what is written is JSON
lines in FlashRAG's layout.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from searchr2.config import SETS
from searchr2.dialects import as_flashrag
from searchr2.files import DataError
from searchr2.formats import rows
from searchr2.trajectory import Question

_SPLITS = ("train", "dev", "test", "validation", "val")


def read_questions(path: Path, dataset: str | None = None) -> list[Question]:
    """The questions of a file in its order.

    Their set is the argument, else what the row says (``data_source`` or ``dataset``), else the
    file's name, or its folder's where the file is named after a split (``nq/test.jsonl``). Of a
    file that holds several sets (``data_source``), the argument takes its own. Questions marked as
    unanswerable (MuSiQue's) are left out, and a warning counts them.

    Raises ``DataError`` (file, row, reason) at a row that cannot be used, at an id met before in
    the same set, and where the file holds no question.
    """
    questions: list[Question] = []
    seen: set[tuple[str, str]] = set()
    unanswerable = 0
    for place, raw in rows(path):
        try:
            row = as_flashrag(raw)
            source = row.get("data_source")
            if dataset and source in SETS and source != dataset:
                continue
            own = source or row.get("dataset", _named_after(path))
            question = parse_question(row, dataset or own)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        except (AttributeError, KeyError, TypeError) as error:
            raise DataError(f"{place}: not a row of any layout known here: {error}") from None
        if question.metadata.get("answerable") is False:
            unanswerable += 1
            continue
        if (question.dataset, question.id) in seen:
            raise DataError(f"{place}: id {question.id!r} occurs twice")
        seen.add((question.dataset, question.id))
        questions.append(question)
    if unanswerable:
        logging.getLogger(__name__).warning("%s: %d unanswerable, left out", path, unanswerable)
    if not questions:
        raise DataError(f"{path}: no question{f' of {dataset}' if dataset else ''} in this file")
    return questions


def _named_after(path: Path) -> str:
    name = path.name.partition(".")[0]
    return path.absolute().parent.name if name in _SPLITS else name


def parse_question(row: dict[str, Any], dataset: str) -> Question:
    """A row as a question; raises ``ValueError`` saying what is wrong with it.

    Among several gold answers an empty one is left out: it would be in every prediction.
    """
    id_, text, golds = row.get("id"), row.get("question"), row.get("golden_answers")
    metadata = row.get("metadata") or {}
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise ValueError('"id" must be a string or an integer')
    if not isinstance(text, str) or not text.strip():
        raise ValueError('"question" must be a string that is not empty')
    if not isinstance(golds, list) or not golds:
        raise ValueError('"golden_answers" must be a list with at least one answer')
    answers = tuple(gold for gold in golds if isinstance(gold, str) and gold.strip())
    if not answers or not all(isinstance(gold, str) for gold in golds):
        raise ValueError('"golden_answers" must hold strings that are not empty')
    if not isinstance(metadata, dict):
        raise ValueError('"metadata" must be an object')
    if not isinstance(dataset, str):
        raise ValueError('"dataset" must be a string')
    return Question(str(id_), dataset, text.strip(), answers, supporting_titles(metadata), metadata)


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

    Read from ``supporting_titles``; ``supporting_facts``, {"title": [...]} as FlashRAG has it, or
    [[title, sentence], ...] as HotpotQA and 2WikiMultiHopQA have it; or the paragraph of each hop
    in ``question_decomposition``, as FlashRAG has MuSiQue.
    """
    titles = metadata.get("supporting_titles")
    if titles is None:
        facts = metadata.get("supporting_facts") or []
        if isinstance(facts, dict) and "title" in facts:
            titles = facts["title"] or []
        elif isinstance(facts, list) and all(isinstance(fact, list) and fact for fact in facts):
            titles = [fact[0] for fact in facts]
    if titles == []:
        hops = metadata.get("question_decomposition") or []
        titles = [hop["support_paragraph"]["title"] for hop in hops if hop.get("support_paragraph")]
    if not isinstance(titles, list) or not all(isinstance(title, str) for title in titles):
        raise ValueError('the supporting titles in "metadata" must be strings in a list')
    return tuple(dict.fromkeys(titles)) or None
