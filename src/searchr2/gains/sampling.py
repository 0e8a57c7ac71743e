"""What the terms of the gain are estimated from: drafts, verdicts on all of them, regenerations.

Three rounds on the driver, each with random numbers of its own: drafts of the Actor, every one
shown to the Meta-Refiner; regenerations from each place a draft could be cut, accepted drafts
included; and, apart from these, whole traces of the mixture policy q. All are at the Actor's one
temperature and within one turn budget, kept steps included: so what is regenerated from a place
earns on average what drafts that came by it did.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from searchr2 import progress
from searchr2.config import Gains
from searchr2.driver import drive
from searchr2.gains.terms import Drafts, Estimate, estimate
from searchr2.ports import Engine, Judge, Procedure, Retriever
from searchr2.randomness import generator, stage_key
from searchr2.refiner import MetaRefiner
from searchr2.rewards import score
from searchr2.trajectory import Question, Trajectory, Verdict

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft as the estimator needs it; JSON keeps it as it is."""

    question: int
    """Which of the questions, from 0."""
    reward: float
    accept: float
    trimmer: list[float]
    """pi_h(k|y) of keeping k = 0..T-1 steps; empty for a draft without steps."""
    regained: list[list[float]]
    """For each k the rewards of the trajectories regenerated from there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One checkpoint's drafts, and (question, R(final) - R(draft)) of traces of q."""

    drafts: list[Draft]
    lifts: list[tuple[int, float]]

    @classmethod
    def of_json(cls, row: dict[str, Any]) -> Sample:
        lifts = [(int(question), float(lift)) for question, lift in row["lifts"]]
        return cls([Draft(**draft) for draft in row["drafts"]], lifts)

    def estimates(self, max_turns: int) -> dict[str, Estimate]:
        """Every quantity with its standard error; ``max_turns`` is the width of k."""
        question_N = np.array([draft.question for draft in self.drafts])
        lift_M = np.array([lift for _, lift in self.lifts])
        question_M = np.array([question for question, _ in self.lifts])
        return estimate(self._arrays(max_turns), question_N, lift_M, question_M)

    def _arrays(self, max_turns: int) -> Drafts:
        trimmer_NK = np.zeros((len(self.drafts), max_turns))
        value_NK = np.zeros((len(self.drafts), max_turns))
        for n, draft in enumerate(self.drafts):
            trimmer_NK[n, : len(draft.trimmer)] = draft.trimmer
            value_NK[n, : len(draft.regained)] = [np.mean(rewards) for rewards in draft.regained]
        return Drafts(
            np.array([draft.reward for draft in self.drafts]),
            np.array([draft.accept for draft in self.drafts]),
            np.array([len(draft.trimmer) for draft in self.drafts]),
            trimmer_NK,
            value_NK,
        )


@dataclass(frozen=True)
class Sampler:
    """Measures checkpoints one after the other; adapters are handed in."""

    refiner: MetaRefiner
    judge: Judge | None
    engine: Engine
    retriever: Retriever
    k: int
    settings: Gains
    name: str
    """Stands before the progress bars."""

    def sample(self, questions: Sequence[Question]) -> Sample:
        """All three rounds over ``questions``."""
        asked = [i for i in range(len(questions)) for _ in range(self.settings.drafts)]
        key = stage_key(self.settings.seed, "gains-drafts")
        examined = self._drive(
            "drafts", (examine(self.refiner, questions[i], (*key, n)) for n, i in enumerate(asked))
        )
        ys = [y for y, _ in examined]
        rewards = self._rewards(questions, asked, ys)
        regained = self._regenerate(questions, asked, ys)
        argmax = self.refiner.settings.trim == "argmax"
        drafts = [
            Draft(i, reward, float(v is None or v.accepts), trimmer(v, argmax), again)
            for i, (_, v), reward, again in zip(asked, examined, rewards, regained, strict=True)
        ]
        return Sample(drafts, self._lifts(questions))

    def _regenerate(
        self, questions: Sequence[Question], asked: Sequence[int], ys: Sequence[Trajectory]
    ) -> list[list[list[float]]]:
        """Rewards by draft, by steps kept, by regeneration."""
        roll_out, each = self.refiner.actor.roll_out, range(self.settings.regenerations)
        cuts = [(n, k, m) for n, y in enumerate(ys) for k in range(len(y.steps)) for m in each]
        key = stage_key(self.settings.seed, "gains-regenerations")
        again = self._drive(
            "regenerations", (roll_out(ys[n].keep(k), (*key, n, k, m)) for n, k, m in cuts)
        )
        rewards = iter(self._rewards(questions, [asked[n] for n, _, _ in cuts], again))
        return [[[next(rewards) for _ in each] for _ in y.steps] for y in ys]

    def _lifts(self, questions: Sequence[Question]) -> list[tuple[int, float]]:
        """The mixture policy q as it trains, apart from everything above."""
        asked = [i for i in range(len(questions)) for _ in range(self.settings.rollouts)]
        key = stage_key(self.settings.seed, "gains-rollouts")
        traces = self._drive(
            "rollouts",
            (self.refiner.roll_out(questions[i], (*key, n)) for n, i in enumerate(asked)),
        )
        final = self._rewards(questions, asked, [trace.final for trace in traces])
        draft = self._rewards(questions, asked, [trace.draft for trace in traces])
        return [(i, b - a) for i, a, b in zip(asked, draft, final, strict=True)]

    def _drive(self, what: str, procedures: Iterable[Procedure[R]]) -> list[R]:
        work = list(procedures)
        bar = progress.bar(len(work), f"{self.name}: {what}", "trajectories")
        done = drive(
            work, self.engine, self.retriever, self.k, self.settings.batch_size, bar.update
        )
        bar.close()
        return done

    def _rewards(
        self, questions: Sequence[Question], asked: Sequence[int], ys: Sequence[Trajectory]
    ) -> list[float]:
        pairs = [(questions[i], y) for i, y in zip(asked, ys, strict=True)]
        return [reward.total for reward in score(pairs, self.judge)]


def examine(
    refiner: MetaRefiner, question: Question, key: tuple[int, ...]
) -> Procedure[tuple[Trajectory, Verdict | None]]:
    """A draft and the verdict on it; none on a draft without steps, which is never judged."""
    prompt = refiner.actor.prompts.actor(question.text)
    draft = yield from refiner.actor.roll_out(Trajectory(prompt), (*key, 0))
    if not draft.steps:
        return draft, None
    return draft, (yield from refiner.judge(question, draft, (*key, 1)))


def trimmer(verdict: Verdict | None, argmax: bool) -> list[float]:
    """pi_h(k|y) for k = 0..T-1, where the verdict rejects and where it accepts.

    p = (0.6, 0.1, 0.3) over 0..2 gives [0.25, 0.75], or [0.0, 1.0] where the Trimmer takes the
    argmax.
    """
    flawed = list(verdict.probabilities[1:]) if verdict else []
    if argmax and flawed:
        return [float(k == flawed.index(max(flawed))) for k in range(len(flawed))]
    return [p / sum(flawed) for p in flawed]


def pick(questions: Sequence[Question], settings: Gains) -> list[Question]:
    """``settings.questions`` of them, drawn by the seed; all where there are no more."""
    order = generator(*stage_key(settings.seed, "gains-questions")).permutation(len(questions))
    return [questions[i] for i in order[: settings.questions]]
