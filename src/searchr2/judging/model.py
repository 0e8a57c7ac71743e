"""What every judging model shares: its prompt, and how the count is read from its reply (App. K).

The count is on the last line that the judge itself wrote, and nowhere else. A reply without such a
line, or without an end, is no verdict: ``None``, never 0. A count beyond 0..M is clamped.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from searchr2.prompts import TEMPLATES as KNOWN
from searchr2.prompts import fill
from searchr2.trajectory import Collection, Document, Question

TEMPLATES = {
    "judge": {"question", "answer", "collections", "searches"},
    "judge_collection": {"number", "documents"},
    "document": KNOWN["document"],
}
"""Template files and their placeholders, as ``prompts.read_templates`` takes them."""

Pieces = tuple[tuple[str, bool], ...]
"""A prompt in pieces of text; ``True``: our own, ``False``: from outside, never a special token."""
Values = Mapping[str, str | Pieces]
"""Placeholder -> what stands there; a text is from outside, pieces say so themselves."""

log = logging.getLogger(__name__)
_FINAL = re.compile(r"final answer\s*:\s*(-?[0-9]{1,9})\.?", re.IGNORECASE | re.ASCII)
_MARKUP = re.compile(r"[*_`#]")


class Chat(Protocol):
    """A model that replies to one message, greedily; ``None``: it came to no end, or refused."""

    def reply(self, prompts: Sequence[Pieces]) -> list[str | None]: ...


class ModelJudge:
    """ports.Judge by a language model that reads question, gold answer and all collections."""

    def __init__(self, chat: Chat, templates: Mapping[str, str]) -> None:
        self.chat, self.templates = chat, templates

    def count(self, items: Sequence[tuple[Question, tuple[Collection, ...]]]) -> list[int | None]:
        replies = self.chat.reply([self._prompt(question, found) for question, found in items])
        counts = [
            final_count(reply, len(collections))
            for reply, (_, collections) in zip(replies, items, strict=True)
        ]
        lost = [reply for reply, count in zip(replies, counts, strict=True) if count is None]
        if lost:
            end = lost[0] and lost[0][-120:]
            log.warning(
                "judge: no count in %d of %d replies; one ended with %r", len(lost), len(items), end
            )
        return counts

    def _prompt(self, question: Question, collections: tuple[Collection, ...]) -> Pieces:
        shown: list[tuple[str, bool]] = []
        for number, collection in enumerate(collections, start=1):
            documents = passages(self.templates["document"], collection)
            parts: Values = {"number": str(number), "documents": documents}
            shown.extend(compose(self.templates["judge_collection"], parts))
        values: Values = {
            "question": question.text,
            "answer": " / ".join(question.golden_answers),
            "collections": tuple(shown),
            "searches": str(len(collections)),
        }
        return compose(self.templates["judge"], values)


def final_count(reply: str | None, searches: int) -> int | None:
    """The count on the last line of a reply, within 0..``searches``; ``None`` where there is none.

    ``final_count("First: useful.\\n**Final Answer: 3**", searches=2) == 2``.
    """
    lines = (reply or "").strip().splitlines()
    found = _FINAL.fullmatch(_MARKUP.sub("", lines[-1]).strip()) if lines else None
    return min(max(int(found[1]), 0), searches) if found else None


def compose(template: str, values: Values) -> Pieces:
    """A template with its placeholders filled; a value in pieces stays in pieces."""
    pieces: list[tuple[str, bool]] = []
    for value, ours in fill(template, values):
        pieces.extend(((value, ours),) if isinstance(value, str) else value)
    return tuple(pieces)


def passages(template: str, documents: Iterable[Document]) -> Pieces:
    """Passages by the ``document`` template, whole and in order."""
    shown: list[tuple[str, bool]] = []
    for rank, document in enumerate(documents, start=1):
        values = {"rank": str(rank), "title": document.title, "text": document.text}
        shown.extend(compose(template, values))
    return tuple(shown)
