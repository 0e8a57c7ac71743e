"""What the base model imitates: trajectories in the format, searched for real, flawed on purpose.

The base stage stands in for a pretrained instruct model: it should know the format and explore, and
leave room. Most demonstrated queries therefore drop a piece of the name, so that the search may
miss; what is read is then read from the wrong passage, the error runs through the later steps, and
the answer is wrong.
The same trajectories, with their first miss known, are what the Meta-Refiner's role is first shown.

Each demonstration is a procedure on the driver: it asks the real retriever.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from searchr2.answers import exact_match
from searchr2.config import Demonstrated, Role, Rollout
from searchr2.ports import Procedure, Search
from searchr2.prompts import PromptBook
from searchr2.tags import ANSWER, SEARCH, THINK
from searchr2.trajectory import (
    Author,
    Collection,
    Question,
    Span,
    Step,
    Trajectory,
)

FIRST_THOUGHT = "I should search."
RECALL = "I should answer."
CARE = 0.5
"""Share of whole queries in the attempts that verdicts are shown on."""
BALANCING_TRIES = 5
"""Attempts at one question until one is as sound or as flawed as wanted."""


@dataclass(frozen=True)
class Demonstration:
    """Spans to imitate, and the role they show."""

    role: Role
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Attempt:
    """A demonstrated trajectory and the number of its first flawed step (0: none)."""

    trajectory: Trajectory
    flawed: int
    thoughts: tuple[str, ...]
    """What each step thinks: after a search, the sentence that was read."""


@dataclass(frozen=True)
class Demonstrator:
    """Writes demonstrations about questions whose facts are known (``metadata["hops"]``)."""

    prompts: PromptBook
    limits: Rollout
    settings: Demonstrated

    def show(
        self, question: Question, role: Role, rng: np.random.Generator
    ) -> Procedure[Demonstration]:
        """One demonstration of ``role`` on ``question``."""
        if role == "direct":
            action = self.action(RECALL, ANSWER, question.golden_answers[0])
            return Demonstration(role, (self.prompts.direct(question.text), action))
        if role == "rag":
            return (yield from self._rag(question))
        if role == "refiner":
            return (yield from self._refiner(question, rng))
        attempt = yield from self.attempt(question, rng, self.settings.full_query)
        return Demonstration(role, tuple(attempt.trajectory.spans))

    def _rag(self, question: Question) -> Procedure[Demonstration]:
        documents = cast(Collection, (yield Search(question.text)))
        prompt = self.prompts.rag(question.text, documents, self.limits.max_document_tokens)
        found = [read(hop, documents) for hop in question.metadata["hops"]]
        thought = " ".join(sentence for sentence, _ in found if sentence) or FIRST_THOUGHT
        values = [value for _, value in found]
        action = self.action(thought, ANSWER, conclude(question, values))
        return Demonstration("rag", (prompt, action))

    def _refiner(self, question: Question, rng: np.random.Generator) -> Procedure[Demonstration]:
        """A verdict on an attempt, searched carefully or not, so that both classes are common."""
        sound = rng.random() < self.settings.sound_share
        for _ in range(BALANCING_TRIES):
            attempt = yield from self.attempt(question, rng, CARE)
            if sound == (attempt.flawed == 0):
                break
        prompt = self.prompts.refiner(question.text, attempt.trajectory)
        verdict = self.prompts.codec.template(f" {attempt.flawed}")
        return Demonstration("refiner", (prompt, Span(Author.REFINER, verdict)))

    def attempt(
        self, question: Question, rng: np.random.Generator, full_query: float
    ) -> Procedure[Attempt]:
        """Search hop by hop, queries whole with probability ``full_query``; read and conclude."""
        trajectory = Trajectory(self.prompts.actor(question.text))
        values: list[str] = []
        thoughts, flawed = [FIRST_THOUGHT], 0
        for number, hop in enumerate(question.metadata["hops"], start=1):
            if number == self.limits.max_turns:
                break
            subject = subject_of(question, number - 1, values)
            query = self.query(subject, hop["keyword"], rng, full_query)
            documents = cast(Collection, (yield Search(query)))
            trajectory = trajectory.extend(self.search(thoughts[-1], query, documents))
            sentence, value = read(hop | {"subject": subject}, documents)
            if value != hop["value"] and not flawed:
                flawed = number
            values.append(value or subject)  # nothing found: nothing learnt, the search goes on
            thoughts.append(sentence or FIRST_THOUGHT)
        answer = conclude(question, values) if values else question.golden_answers[0]
        action = self.action(thoughts[-1], ANSWER, answer)
        trajectory = trajectory.extend(Step(action, "", answer=answer))
        right = exact_match(answer, question.golden_answers)
        flawed = 0 if right else flawed or len(trajectory.steps)
        return Attempt(trajectory, flawed, tuple(thoughts))

    def query(self, subject: str, keyword: str, rng: np.random.Generator, full_query: float) -> str:
        """The whole name and the keyword; or its last piece only; or, rarely, something worse."""
        draw, last = rng.random(), subject.split()[-1]
        if draw < full_query:
            return f"{subject} {keyword}"
        if draw < full_query + (1 - full_query) * self.settings.partial_share:
            return f"{last} {keyword}"
        return str(rng.choice([last, keyword]))

    def search(self, thought: str, query: str, documents: Collection) -> Step:
        observation = self.prompts.observation(documents, self.limits.max_document_tokens)
        return Step(self.action(thought, SEARCH, query), "", query, documents, observation)

    def action(self, thought: str, tags: tuple[str, str], content: str) -> Span:
        text = f"{THINK[0]} {thought}{THINK[1]}{tags[0]} {content}{tags[1]}"
        return Span(Author.ACTOR, self.prompts.codec.template(text))


def subject_of(question: Question, hop: int, values: list[str]) -> str:
    """Whom to search for: what the chain led to so far, or the entity the question names."""
    hops: list[dict[str, Any]] = question.metadata["hops"]
    chained = hop > 0 and hops[hop]["subject"] == hops[hop - 1]["value"]
    return values[hop - 1] if chained else str(hops[hop]["subject"])


def read(hop: dict[str, Any], documents: Collection) -> tuple[str, str]:
    """The sentence that states the hop, and its value.

    Failing that, the first sentence of the same kind (a misreading); failing that, whatever the
    first passage says last.
    """
    sentences = [s.strip() + "." for d in documents for s in d.text.split(".") if s.strip()]
    same_kind = [s for s in sentences if f" {hop['keyword']}" in s]
    about = [s for s in same_kind if s.startswith(hop["subject"] + " ")]
    chosen = next(iter(about or same_kind or sentences), "")
    if chosen == hop["fact"]:
        return chosen, str(hop["value"])
    words = len(str(hop["value"]).split())
    return chosen, " ".join(chosen.rstrip(".").split()[-words:])


def conclude(question: Question, values: list[str]) -> str:
    """The answer that follows from the values read, right or wrong (``metadata["final"]``)."""
    final, hops = question.metadata["final"], question.metadata["hops"]
    over = [i for i in final["over"] if i < len(values)]
    if final["kind"] == "chain" or len(over) < 2:
        return values[-1]
    if final["kind"] == "same":
        return "yes" if values[over[0]] == values[over[1]] else "no"
    pick = min if final["op"] == "earlier" else max
    return str(hops[pick(over, key=lambda i: values[i])]["subject"])
