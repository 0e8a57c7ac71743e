"""The Actor (section 3.1, Algorithm 2): think, search, read, answer.

Where the paper is silent we chose: a search asked for in the last allowed turn is not run, since
nothing could read it; a turn without an action ends the trajectory, unanswered; each turn, and the
whole context, has a token limit of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, cast

from searchr2.config import Rollout
from searchr2.ports import Completion, Generate, Procedure, Search
from searchr2.prompts import PromptBook
from searchr2.tags import STOPS, Action, parse
from searchr2.trajectory import Author, Collection, Span, Step, Trajectory


@dataclass(frozen=True)
class Actor:
    """pi_l: continues a trajectory until it answers, falls silent, or turns or context run out.

    Baselines that search differ in what ends a turn (``stops``, ``write``), how a turn is read
    (``read``) and what a search shows them (``observe``).
    """

    stops: ClassVar[tuple[str, ...]] = STOPS
    prompts: PromptBook
    limits: Rollout
    temperature: float
    """Of this use: the rollout's in training, 0 (greedy) in evaluation."""

    def roll_out(self, start: Trajectory, key: tuple[int, ...]) -> Procedure[Trajectory]:
        """Algorithm 2 from ``start`` (a prompt alone, or the kept prefix of a cut draft).

        The turn budget B counts kept steps too, so a repaired trajectory is no longer than a draft.
        """
        trajectory = start
        while len(trajectory.steps) < self.limits.max_turns:
            room = self.limits.max_context_tokens - len(trajectory.ids)
            if room <= 0:
                break
            turn = len(trajectory.steps)
            step = yield from self._turn(trajectory, room, (*key, turn))
            trajectory = trajectory.extend(step)
            if not step.searched:
                break
        return trajectory

    def read(self, text: str) -> Action:
        """The action of a turn."""
        return parse(text)

    def observe(
        self, trajectory: Trajectory, query: str, documents: Collection, key: tuple[int, ...]
    ) -> Procedure[Span]:
        """What a search shows: its passages. ``trajectory`` is that before the search."""
        yield from ()
        return self.prompts.observation(documents, self.limits.max_document_tokens)

    def write(
        self, ids: tuple[int, ...], budget: int, key: tuple[int, ...]
    ) -> Procedure[Completion]:
        """A turn's text after ``ids``: at most ``budget`` tokens, up to one of ``stops``."""
        return cast(Completion, (yield Generate(ids, budget, self.stops, self.temperature, key)))

    def _turn(self, trajectory: Trajectory, room: int, key: tuple[int, ...]) -> Procedure[Step]:
        budget = min(self.limits.max_turn_tokens, room)
        completion = yield from self.write(trajectory.ids, budget, key)
        span = Span(Author.ACTOR, completion.ids, completion.logprobs, completion.version)
        text = self.prompts.codec.decode(completion.ids)
        action = self.read(text)
        last = len(trajectory.steps) + 1 == self.limits.max_turns
        if action.kind != "search" or last:
            return Step(span, text, answer=action.content if action.kind == "answer" else None)
        documents = cast(Collection, (yield Search(action.content)))
        observation = yield from self.observe(trajectory, action.content, documents, key)
        return Step(span, text, action.content, documents, observation)
