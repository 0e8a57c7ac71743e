"""The Meta-Refiner (section 3.2, Algorithm 1, Appendices E and L): judge, cut, regenerate.

One forward pass over its prompt gives p over the integers 0..T. The Discriminator is p(0) against
p(1) + ... + p(T); the Trimmer draws the flawed step from p(1..T); the Actor regenerates from there.

Where the paper is silent we chose: an integer of several tokens is scored as their product and
ended by a line break where one is the beginning of another; ids that all options begin with (Qwen2
writes the space before a digit as a token of its own) belong to the prompt, being no decision; the
log-probability a meta-action carries into the loss is the vocabulary's, as for any generated token;
a trajectory of no step (its prompt alone fills the context) is not judged; after a greedy draft the
Actor regenerates at the training temperature, since greedily it would write again what was cut off.
With an oracle, what the model would have said is recorded and the verdict follows gold evidence.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import cast

from searchr2.actor import Actor
from searchr2.config import Refiner as Settings
from searchr2.faults import first_flaw
from searchr2.ports import Procedure, Score
from searchr2.randomness import generator
from searchr2.trajectory import Author, Question, Span, Trace, Trajectory, Verdict


@dataclass(frozen=True)
class MetaRefiner:
    """q: the mixture policy of Actor and Meta-Refiner (Eq. 4). Shares the Actor's weights."""

    actor: Actor
    settings: Settings

    def roll_out(self, question: Question, key: tuple[int, ...]) -> Procedure[Trace]:
        """Draft, then Algorithm 1: while it is rejected, cut before the flawed step and regenerate.

        At most N_max times; ``max_revisions`` 0 is the Actor alone.
        """
        prompt = self.actor.prompts.actor(question.text)
        temperature = self.actor.temperature or self.actor.limits.temperature
        again = replace(self.actor, temperature=temperature)
        y = yield from self.actor.roll_out(Trajectory(prompt), (*key, 0))
        verdicts: list[Verdict] = []
        drafts: list[Trajectory] = []
        while y.steps and len(drafts) < self.settings.max_revisions:
            n = len(drafts) + 1
            verdict = yield from self.judge(question, y, (*key, n))
            verdicts.append(verdict)
            if verdict.accepts:
                break
            drafts.append(y)
            kept = y.keep(verdict.choice - 1)
            y = yield from again.roll_out(kept, (*key, n, len(kept.steps)))
        return Trace(y, tuple(verdicts), tuple(drafts))

    def judge(self, question: Question, y: Trajectory, key: tuple[int, ...]) -> Procedure[Verdict]:
        """Ask once which of 0..T it is (0: every step is acceptable)."""
        prompt, options = self.asked(question, y)
        reply = cast(tuple[tuple[float, ...], ...], (yield Score(prompt.ids, options)))
        scores = [sum(logprobs) for logprobs in reply]
        oracle = self.settings.oracle
        choice = first_flaw(question, y) if oracle else self._choose(scores, key)
        decision = Span(Author.REFINER, options[choice], reply[choice])
        return Verdict(prompt, decision, softmax(scores), choice)

    def asked(self, question: Question, y: Trajectory) -> tuple[Span, tuple[tuple[int, ...], ...]]:
        """The prompt about ``y``, and the ids that each of 0..T is after it."""
        prompt = self.actor.prompts.refiner(question.text, y)
        shared, options = self._options(len(y.steps))
        return Span(Author.PROMPT, (*prompt.ids, *shared)), options

    def _choose(self, scores: list[float], key: tuple[int, ...]) -> int:
        """Discriminator, then Trimmer, from the log-probabilities of 0..T."""
        if log_sum(scores[1:]) - scores[0] <= self.settings.margin:
            return 0
        flawed = softmax(scores[1:])
        if self.settings.trim == "argmax":
            return 1 + flawed.index(max(flawed))
        return 1 + int(generator(*key).choice(len(flawed), p=flawed))

    def _options(self, steps: int) -> tuple[tuple[int, ...], tuple[tuple[int, ...], ...]]:
        """The ids that "0".."T" share, and what distinguishes each."""
        codec = self.actor.prompts.codec
        end = "\n" if steps > 9 else ""
        options = [codec.template(f" {i}{end}") for i in range(steps + 1)]
        shared = 0
        while len({option[: shared + 1] for option in options}) == 1:
            shared += 1
        return options[0][:shared], tuple(option[shared:] for option in options)


def log_sum(logs: list[float]) -> float:
    """log of the sum of exponentials; -inf of nothing."""
    top = max(logs, default=-math.inf)
    return top if top == -math.inf else top + math.log(sum(math.exp(x - top) for x in logs))


def softmax(logs: list[float]) -> tuple[float, ...]:
    """Probabilities proportional to exp(logs): ``softmax([0.0, 0.0]) == (0.5, 0.5)``."""
    total = log_sum(logs)
    return tuple(math.exp(x - total) for x in logs)
