"""A world small enough to enumerate: two questions, three turns, four things to do in each."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from fakes import ScriptedEngine
from rollouts import CODEC, answer, replied, search

from searchr2.gains.terms import Drafts
from searchr2.ports import Completion, Generate, Score
from searchr2.randomness import generator
from searchr2.trajectory import Question

TURNS = 3
SEARCHES, ANSWERS = ("north", "south"), ("gold", "dross")
State = tuple[str, ...]
"""What was done so far. A search in the last turn is not run and ends it, unanswered."""


def policy(hard: int, state: State) -> dict[str, float]:
    """pi_l: what the Actor does next. Searching north helps, question 1 is harder."""
    stop = (0.3, 0.5, 0.8)[len(state)]
    right = 0.25 + 0.3 * state.count("north") - 0.15 * hard
    return {
        "north": (1 - stop) * 0.6,
        "south": (1 - stop) * 0.4,
        "gold": stop * right,
        "dross": stop * (1 - right),
    }


def verdict(state: State) -> list[float]:
    """p over 0..T: fallible, it rejects some right drafts and accepts some wrong ones."""
    clumsy = [
        0.3 + (deed == "south") + 0.5 * (deed == "dross" and state[0] == "north") for deed in state
    ]
    weights = [1.0 + (state[-1] == "gold"), *clumsy]
    return [weight / sum(weights) for weight in weights]


def ended(state: State) -> bool:
    return len(state) == TURNS or (bool(state) and state[-1] in ANSWERS)


def ways(hard: int, state: State = (), turns: int = TURNS) -> list[tuple[float, State]]:
    """Every trajectory that goes on from ``state``, with its probability."""
    if len(state) == turns or ended(state):
        return [(1.0, state)]
    return [
        (p * q, end)
        for deed, p in policy(hard, state).items()
        for q, end in ways(hard, (*state, deed), turns)
    ]


def reward(state: State) -> float:
    return float(state[-1] == "gold")


def value(hard: int, state: State) -> float:
    """V(y_1:k)."""
    return sum(p * reward(end) for p, end in ways(hard, state))


@dataclass(frozen=True)
class Enumerated:
    """All drafts, as likely as they are; ``gain`` is Delta J by enumerating q (Eq. 4)."""

    drafts: Drafts
    weight_RN: np.ndarray
    states: list[tuple[int, State]]
    gain: float


def enumerated(soft: bool = False) -> Enumerated:
    """The world; a draft is accepted where p(0) >= 1/2, with ``soft`` with probability p(0)."""
    found = [(p / 2, hard, state) for hard in (0, 1) for p, state in ways(hard)]
    rows = [_row(hard, state, soft) for _, hard, state in found]
    weights = np.array([p for p, _, _ in found])
    drafts = Drafts(*(np.array(column) for column in zip(*rows, strict=True)))
    gain = 0.0
    for p, hard, state in found:
        accept = _row(hard, state, soft)[1]
        for kept, cut in enumerate(_trimmer(state)):
            finals = ways(hard, state[:kept])
            better = sum(q * (reward(end) - reward(state)) for q, end in finals)
            gain += p * (1 - accept) * cut * better
    return Enumerated(drafts, weights[None], [(hard, state) for _, hard, state in found], gain)


def _trimmer(state: State) -> list[float]:
    flawed = verdict(state)[1:]
    return [p / sum(flawed) for p in flawed]


def _row(hard: int, state: State, soft: bool) -> tuple[float, float, int, list[float], list[float]]:
    accept = verdict(state)[0] if soft else float(verdict(state)[0] >= 0.5)
    room = [0.0] * (TURNS - len(state))
    values = [value(hard, state[:kept]) for kept in range(len(state))]
    return reward(state), accept, len(state), _trimmer(state) + room, values + room


def asked(hard: int) -> Question:
    return Question(f"q{hard}", "nq", f"Which way, {hard}?", ("gold",))


class ChanceEngine(ScriptedEngine):
    """Does what ``policy`` and ``verdict`` would, drawn by a request's key."""

    def __init__(self) -> None:
        super().__init__(CODEC, [])
        self.generated: list[Generate] = []
        self.scored: list[Score] = []

    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        self.generated.extend(requests)
        return [self._act(request) for request in requests]

    def _act(self, request: Generate) -> Completion:
        hard, state = read(request.ids)
        chances = policy(hard, state)
        deed = str(generator(*request.key).choice(list(chances), p=list(chances.values())))
        self.turns = [search(deed) if deed in SEARCHES else answer(deed)]
        completion: Completion = super().generate([request])[0]
        return completion

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        self.scored.extend(requests)
        return [replied(r, [math.log(p) for p in verdict(read(r.ids)[1])]) for r in requests]


def read(ids: Sequence[int]) -> tuple[int, State]:
    """The question and what was done, from a prompt of either role."""
    text = CODEC.decode(ids)
    [hard] = re.findall(r"Which way, (\d)\?", text)
    return int(hard), tuple(re.findall(r"<(?:search|answer)> (\w+)</", text))
