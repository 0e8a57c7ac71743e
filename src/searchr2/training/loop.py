"""The training loop: roll out, reward, compare within groups, update, look (section 3.4).

A step is a function of the weights and of (seed, step): its questions, samples and cuts need no
history, so resuming replays nothing. Of several processes each rolls out whole groups, a block of
the step's questions; the update is that of one process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from searchr2.actor import Actor
from searchr2.answers import exact_match
from searchr2.baselines import Answered, respond
from searchr2.config import Grpo, Refiner, TrainConfig
from searchr2.driver import drive
from searchr2.grpo import advantages
from searchr2.packing import Row, flatten
from searchr2.ports import Engine, Judge, Retriever
from searchr2.prompts import PromptBook
from searchr2.randomness import generator, stage_key
from searchr2.rewards import score
from searchr2.training.metrics import Rollout, describe, mean
from searchr2.training.peers import ALONE, Peers
from searchr2.training.policy import Policy
from searchr2.training.update import Update
from searchr2.trajectory import Question, Trace, sampled_from
from searchr2.transcripts import prediction_row


@dataclass
class Trainer:
    """One GRPO run. Adapters are handed in; nothing here knows their kind."""

    config: TrainConfig
    policy: Policy
    reference: torch.nn.Module
    engine: Engine
    retriever: Retriever
    judge: Judge | None
    prompts: PromptBook
    questions: Sequence[Question]
    validation: Sequence[Question]
    peers: Peers = ALONE
    sampling: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What holds while the engine works: ``Policy.gathered`` where it runs the policy itself."""
    seconds: dict[str, float] = field(default_factory=dict)
    rollouts: list[Rollout] = field(default_factory=list)
    """Of the last step, those of all processes."""

    def step(self, step: int) -> dict[str, float | None]:
        """Step number ``step`` (from 0): returns its metrics."""
        self.seconds, began = {}, time.perf_counter()
        own = self.roll_out(self.pick(step), step)
        rows = self.rows(own)
        update = self.update(rows, step)
        self.rollouts = [rollout for part in self.peers.gather(own) for rollout in part]
        tokens = sum(self.peers.gather(sum(len(row.ids) for row in rows)))
        total = time.perf_counter() - began
        return {
            **describe(self.rollouts, self.config.grpo.group_size, self.judge is not None),
            **update,
            **{f"time/{phase}": seconds for phase, seconds in self.seconds.items()},
            "time/step": total,
            "time/tokens_per_second": tokens / total,
        }

    def transcripts(self) -> list[dict[str, Any]]:
        """The last step's rollouts as rows of a predictions file."""
        return [
            prediction_row(r.question, Answered(r.trace))
            | {"rollout": i, "process": r.reward.process, "reward": r.reward.total}
            for i, r in enumerate(self.rollouts)
        ]

    def pick(self, step: int) -> list[Question]:
        """The questions of a step: epoch after epoch, each a permutation named by (seed, epoch)."""
        size, count = self.config.grpo.prompts_per_step, len(self.questions)
        places = [divmod(step * size + i, count) for i in range(size)]
        key = stage_key(self.config.seed, "train-order")
        orders = {epoch: generator(*key, epoch).permutation(count) for epoch, _ in places}
        return [self.questions[orders[epoch][offset]] for epoch, offset in places]

    def roll_out(self, questions: Sequence[Question], step: int) -> list[Rollout]:
        """G augmented traces of each question from q, groups in a row, with their rewards.

        Of this process's block of the questions.
        """
        began = time.perf_counter()
        self.engine.refresh()  # a cached prefix moves float rounding, and a resumed run has none
        actor = Actor(self.prompts, self.config.rollout, self.config.rollout.temperature)
        size = self.config.grpo.group_size
        first, last = self.peers.block(len(questions))
        group = [q for q in questions[first:last] for _ in range(size)]
        key = (*stage_key(self.config.seed, "rollout"), step)
        traces = self._answer(group, actor, self.config.refiner, key, first * size)
        sampled_from(traces)  # of one version of the weights, or the step is refused
        self.seconds["rollout"] = time.perf_counter() - began
        rewards = score([(q, t.final) for q, t in zip(group, traces, strict=True)], self.judge)
        self.seconds["reward"] = time.perf_counter() - began - self.seconds["rollout"]
        return [
            Rollout(q, trace, reward, exact_match(trace.draft.answer, q.golden_answers))
            for q, trace, reward in zip(group, traces, rewards, strict=True)
        ]

    def rows(self, rollouts: Sequence[Rollout]) -> list[Row]:
        """Advantages within each group, then the rows that train."""
        size = self.config.grpo.group_size
        rows: list[Row] = []
        for start in range(0, len(rollouts), size):
            group = rollouts[start : start + size]
            for rollout, advantage in zip(
                group, advantages([r.reward.total for r in group]), strict=True
            ):
                rows.extend(flatten(rollout.trace, advantage, self.config.refiner.joint))
        return rows

    def update(self, rows: Sequence[Row], step: int) -> dict[str, float | None]:
        """``updates_per_step`` optimizer steps over the rows of all processes; their metrics.

        ``rows`` are this process's.
        """
        began, settings = time.perf_counter(), self.config.grpo
        rate = learning_rate(settings, step)
        temperature = self.config.rollout.temperature
        update = Update(self.policy, self.reference, settings, temperature, self.peers)
        metrics = update.run(rows, rate)
        self.engine.refresh()
        self.seconds["update"] = time.perf_counter() - began
        return {**metrics, "policy/learning_rate": rate}

    def validate(self) -> dict[str, float | None]:
        """Greedy EM of the Actor alone on the validation questions (section 5.5)."""
        began = time.perf_counter()
        actor = Actor(self.prompts, self.config.rollout, temperature=0.0)
        key = stage_key(self.config.seed, "validation")
        first, last = self.peers.block(len(self.validation))
        asked = self.validation[first:last]
        traces = self._answer(asked, actor, Refiner(max_revisions=0), key, first)
        right = [
            exact_match(trace.final.answer, q.golden_answers)
            for q, trace in zip(asked, traces, strict=True)
        ]
        everyones = [one for part in self.peers.gather(right) for one in part]
        return {"validation/em": mean(everyones), "time/validation": time.perf_counter() - began}

    def _answer(
        self,
        questions: Sequence[Question],
        actor: Actor,
        refiner: Refiner,
        key: tuple[int, ...],
        first: int,
    ) -> list[Trace]:
        """A trace of each question, by the method that is trained; ``first`` numbers the first."""
        method = self.config.method
        procedures = [
            respond(method, actor, refiner, q, (*key, i)) for i, q in enumerate(questions, first)
        ]
        with self.sampling():
            answered = drive(procedures, self.engine, self.retriever, self.config.retrieval_k)
        return [one.trace for one in answered]


def learning_rate(settings: Grpo, step: int) -> float:
    """Linear warm-up over ``warmup_ratio`` of the steps, constant after (Appendix E)."""
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    return settings.learning_rate * min(1.0, (step + 1) / warmup)
