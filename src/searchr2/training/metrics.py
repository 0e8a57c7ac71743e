"""What is logged of a step's rollouts (docs/metrics.md defines every key)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from searchr2.rewards import Reward
from searchr2.trajectory import Question, Trace


@dataclass(frozen=True)
class Rollout:
    """One rewarded trace; ``draft`` is the outcome (EM) of the Actor's own, unrefined draft."""

    question: Question
    trace: Trace
    reward: Reward
    draft: float


def mean(values: Sequence[float]) -> float | None:
    """The mean, or ``None`` of nothing: absent is never 0."""
    return fmean(values) if values else None


@dataclass
class CollapseWatch:
    """Notices a Meta-Refiner that has judged every draft alike for ``patience`` steps in a row."""

    patience: int = 4
    alike: int = 0

    def see(self, revised: float | None) -> str | None:
        """What to say after a step in which a share ``revised`` of the drafts was cut, if anything.

        Once for each run of such steps, when it has lasted long enough.
        """
        self.alike = self.alike + 1 if revised in (0.0, 1.0) else 0
        if self.alike != self.patience:
            return None
        does = "rejects" if revised else "accepts"
        return f"the Meta-Refiner {does} everything: every draft of {self.patience} steps in a row"


def describe(
    rollouts: Sequence[Rollout], group_size: int, process: bool
) -> dict[str, float | None]:
    """Reward, judge, rollout and refiner metrics of one step; ``process``: there is a judge."""
    rewards = [r.reward.total for r in rollouts]
    groups = [rewards[i : i + group_size] for i in range(0, len(rewards), group_size)]
    finals = [r.trace.final for r in rollouts]
    densities = [r.reward.process for r in rollouts if r.reward.process is not None]
    written = [sum(len(step.action.ids) for step in y.steps) for y in finals]
    return {
        "reward/mean": mean(rewards),
        "reward/std": pstdev(rewards),
        "reward/process": mean(densities),
        "reward/equal_groups": mean([float(max(g) == min(g)) for g in groups]),
        "rollout/em": mean([r.reward.outcome for r in rollouts]),
        "rollout/em_draft": mean([r.draft for r in rollouts]),
        "rollout/generated": sum(1 + len(r.trace.drafts) for r in rollouts) / len(groups),
        "rollout/answered": mean([float(y.answer is not None) for y in finals]),
        "rollout/turns": mean([len(y.steps) for y in finals]),
        "rollout/searches": mean([len(y.collections) for y in finals]),
        "rollout/response_tokens": mean(written),
        **(_judge(rollouts) if process else {}),
        **_refiner(rollouts),
    }


def _judge(rollouts: Sequence[Rollout]) -> dict[str, float | None]:
    searched = [r for r in rollouts if r.trace.final.collections]
    judged = [r for r in searched if r.reward.outcome]
    return {
        "judge/skipped": mean([float(not r.reward.outcome) for r in searched]),
        "judge/unparsable": mean([float(r.reward.process is None) for r in judged]),
    }


def _refiner(rollouts: Sequence[Rollout]) -> dict[str, float | None]:
    judged = [r for r in rollouts if r.trace.verdicts]
    if not judged:
        return {}
    revised = [r for r in judged if r.trace.revised]
    right = [r for r in judged if r.draft]
    wrong = [r for r in judged if not r.draft]
    cuts = [v.choice for r in judged for v in r.trace.verdicts if not v.accepts]
    named = {f"refiner/cut_at_step_{i}": cuts.count(i) / len(cuts) for i in sorted(set(cuts))}
    return {
        "refiner/revised": len(revised) / len(judged),
        "refiner/accept_right": mean([float(not r.trace.revised) for r in right]),
        "refiner/accept_wrong": mean([float(not r.trace.revised) for r in wrong]),
        "refiner/regain": mean([r.reward.outcome - r.draft for r in revised]),
        "refiner/lift": mean([r.reward.outcome - r.draft for r in judged]),
        **named,
    }
