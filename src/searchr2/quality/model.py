"""The judge of trajectory quality that is a language model: its prompt and its JSON, read strictly.

It sees the question and two whole trajectories, A and B, and replies with one JSON object: winner,
confidence, a score of 0, 1 or 2 for each rubric and trajectory, reasons. Anything else is no
verdict: nothing is guessed from a reply that has other keys, scores or text around the object.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from searchr2.judging.model import Chat, Pieces, Values, compose, passages
from searchr2.prompts import TEMPLATES as KNOWN
from searchr2.quality.pairs import Judgement, Row
from searchr2.trajectory import Document

TEMPLATES = {
    "quality": {"question", "a", "b"},
    "quality_turn": {"number", "text", "documents"},
    "document": KNOWN["document"],
}
"""Template files and their placeholders, as ``prompts.read_templates`` takes them."""

Score = Annotated[int, Field(ge=0, le=2)]  # strict, and so neither true nor 1.0
log = logging.getLogger(__name__)


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class _Scores(_Strict):
    evidence_groundedness: Score
    information_density: Score
    non_redundancy_efficiency: Score
    query_timing_quality: Score
    trajectory_coherence: Score
    uncertainty_handling: Score


class _ByLabel(_Strict):
    A: _Scores
    B: _Scores


class _Reply(_Strict):
    winner: Literal["A", "B", "tie"]
    confidence: float = Field(ge=0, le=1)
    scores: _ByLabel
    reasons: str


class ModelPairJudge:
    """quality.PairJudge by a language model."""

    def __init__(self, chat: Chat, templates: Mapping[str, str]) -> None:
        self.chat, self.templates = chat, templates

    def compare(self, pairs: Sequence[tuple[Row, Row]]) -> list[Judgement | None]:
        replies = self.chat.reply([self._prompt(a, b) for a, b in pairs])
        read = [judgement(reply) for reply in replies]
        if lost := [reply for reply, found in zip(replies, read, strict=True) if found is None]:
            begins = lost[0] and lost[0][:120]
            log.warning(
                "quality: %d of %d replies are not the JSON asked for; one begins with %r",
                len(lost),
                len(pairs),
                begins,
            )
        return read

    def _prompt(self, a: Row, b: Row) -> Pieces:
        shown = {"a": self._trajectory(a), "b": self._trajectory(b)}
        return compose(self.templates["quality"], {"question": a["question"], **shown})

    def _trajectory(self, row: Row) -> Pieces:
        """The turns as they were written, each with its passages; a context came before them."""
        turns: list[Mapping[str, Any]] = [*row["turns"]]
        if row.get("context"):
            turns.insert(0, {"text": "", "documents": row["context"]})
        shown: list[tuple[str, bool]] = []
        for number, turn in enumerate(turns, start=1):
            found = [Document(**document) for document in turn.get("documents", [])]
            documents = passages(self.templates["document"], found)
            values: Values = {"number": str(number), "text": turn["text"], "documents": documents}
            shown.extend(compose(self.templates["quality_turn"], values))
        return tuple(shown)


def judgement(reply: str | None) -> Judgement | None:
    """The judgement in a reply that is one JSON object, in a code fence or not; else ``None``.

    What a reasoning model thought, up to ``</think>``, is not part of its reply.
    """
    text = (reply or "").rpartition("</think>")[2].strip()
    if text.startswith("```") and text.endswith("```"):
        text = text.removeprefix("```").removeprefix("json").removesuffix("```")
    try:
        read = _Reply.model_validate_json(text)
    except ValidationError:
        return None
    scores = read.scores
    return Judgement(
        scores.A.model_dump(), scores.B.model_dump(), read.winner, read.confidence, read.reasons
    )
