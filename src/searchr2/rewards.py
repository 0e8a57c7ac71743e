"""The hybrid reward (section 3.3): R(y) = r_outcome * (1 + r_process).

r_outcome is EM; r_process is the share of searches whose collection was useful. The outcome gates
the process reward, so wrong answers are never judged, and neither is a trajectory without a search.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from searchr2.answers import exact_match
from searchr2.ports import Judge
from searchr2.trajectory import Question, Trajectory


@dataclass(frozen=True, slots=True)
class Reward:
    """``process`` is ``None`` where there is none: no judge, a wrong answer, or no verdict."""

    outcome: float
    process: float | None

    @property
    def total(self) -> float:
        """``Reward(1.0, 0.5).total == 1.5``; ``Reward(0.0, None).total == 0.0``."""
        return self.outcome * (1.0 + (self.process or 0.0))


def score(trajectories: Sequence[tuple[Question, Trajectory]], judge: Judge | None) -> list[Reward]:
    """The reward of each trajectory; without a judge it is EM alone.

    r_process = (1/M) * sum_i u_i over the M searches of a right answer; M = 0 gives 0.
    """
    outcomes = [exact_match(y.answer, question.golden_answers) for question, y in trajectories]
    if judge is None:
        return [Reward(outcome, None) for outcome in outcomes]
    found = [(question, y.collections) for question, y in trajectories]
    judged = [i for i, outcome in enumerate(outcomes) if outcome and found[i][1]]
    process = {i: 0.0 for i, outcome in enumerate(outcomes) if outcome and not found[i][1]}
    for i, useful in zip(judged, judge.count([found[i] for i in judged]), strict=True):
        if useful is not None:
            process[i] = useful / len(found[i][1])
    return [Reward(outcome, process.get(i)) for i, outcome in enumerate(outcomes)]
