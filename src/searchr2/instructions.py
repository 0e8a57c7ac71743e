"""What the instruction stage shows besides: the prompts of the prompting methods.

CoT states the facts of a question before the answer; IRCoT reads a sentence, searches by it, and
reads the next; Search-o1 notes what was found, and reasons on the note.
"""

from __future__ import annotations

from typing import cast

import numpy as np

from searchr2.config import Role
from searchr2.demonstrations import (
    FIRST_THOUGHT,
    Demonstration,
    Demonstrator,
    conclude,
    read,
    subject_of,
)
from searchr2.ports import Procedure, Search
from searchr2.tags import ANSWER
from searchr2.trajectory import Author, Collection, Question, Span, Step, Trajectory


class Instructor(Demonstrator):
    """A demonstrator that knows every method's prompt."""

    def show(
        self, question: Question, role: Role, rng: np.random.Generator
    ) -> Procedure[Demonstration]:
        """One demonstration of ``role`` on ``question``."""
        if role == "cot":
            return self._cot(question)
        if role == "ircot":
            return (yield from self._ircot(question))
        if role in ("search-o1", "note"):
            return (yield from self._search_o1(question, role, rng))
        return (yield from super().show(question, role, rng))

    def _cot(self, question: Question) -> Demonstration:
        facts = " ".join(hop["fact"] for hop in question.metadata["hops"])
        action = self.action(facts, ANSWER, question.golden_answers[0])
        return Demonstration("cot", (self.prompts.cot(question.text), action))

    def _ircot(self, question: Question) -> Procedure[Demonstration]:
        longest, template = self.limits.max_document_tokens, self.prompts.codec.template
        documents = cast(Collection, (yield Search(question.text)))
        trajectory = Trajectory(self.prompts.ircot(question.text, documents, longest))
        values: list[str] = []
        for number, hop in enumerate(question.metadata["hops"][: self.limits.max_turns - 1]):
            about = subject_of(question, number, values)
            sentence, value = read(hop | {"subject": about}, documents)
            values.append(value or about)
            sentence = sentence or FIRST_THOUGHT
            found = cast(Collection, (yield Search(sentence)))
            shown = self.prompts.observation(found, longest)
            action = Span(Author.ACTOR, template(f" {sentence}\n"))
            trajectory = trajectory.extend(Step(action, "", sentence, found, shown))
            documents = (*found, *documents)
        answer = conclude(question, values) if values else question.golden_answers[0]
        action = Span(Author.ACTOR, template(f"{ANSWER[0]} {answer}{ANSWER[1]}"))
        return Demonstration("ircot", (*trajectory.spans, action))

    def _search_o1(
        self, question: Question, role: Role, rng: np.random.Generator
    ) -> Procedure[Demonstration]:
        """An attempt that is shown notes in place of passages, or one of these notes."""
        codec, longest = self.prompts.codec, self.limits.max_document_tokens
        attempt = yield from self.attempt(question, rng, self.settings.full_query)
        *searches, last = attempt.trajectory.steps
        if not searches:
            return Demonstration(role, tuple(attempt.trajectory.spans))
        trajectory, notes = Trajectory(attempt.trajectory.prompt), []
        for step, note in zip(searches, attempt.thoughts[1:], strict=True):
            before = codec.decode(trajectory.ids[len(trajectory.prompt.ids) :])
            prompt = self.prompts.note(before, str(step.query), step.documents, longest)
            shown = self.prompts.information(codec.text(f" {note}"))
            notes.append((prompt, Span(Author.ACTOR, (*codec.text(f" {note}"), codec.eos_id))))
            trajectory = trajectory.extend(Step(step.action, "", step.query, step.documents, shown))
        if role == "note":
            return Demonstration(role, notes[int(rng.integers(len(notes)))])
        return Demonstration(role, (*trajectory.spans, last.action))
