"""One GRPO step's optimizer updates (section 3.4), by one process or several.

Each process brings the rows of its own rollouts. Mini-batches deal out the rows of all, losses are
divided by the tokens of all, and every process goes through as many micro-batches as any has, so
that the update is that of one process and nobody waits for a pass that never comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch

from searchr2.config import Grpo
from searchr2.grpo import Terms, surrogate
from searchr2.packing import Row, collate, micro_batches
from searchr2.training.logprobs import Tensors, tensors, token_logprobs
from searchr2.training.metrics import mean
from searchr2.training.peers import Peers
from searchr2.training.policy import Policy
from searchr2.trajectory import Author

NOTHING = collate([Row((0, 0), (False, False), (0.0, 0.0), 0.0, Author.ACTOR)])
"""A batch without a trained token, for a process that has no more while another has."""
PEAK = "policy/sampler_gap_max"
"""Reported as the largest of all tokens, where everything else is a mean over them."""


@dataclass
class Update:
    """The updates of one step, at the temperature its rollouts were sampled at."""

    policy: Policy
    reference: torch.nn.Module
    settings: Grpo
    temperature: float
    peers: Peers
    reported: list[dict[str, float]] = field(default_factory=list)
    """Sums over the tokens of each micro-batch."""

    def run(self, rows: Sequence[Row], learning_rate: float) -> dict[str, float | None]:
        """An optimizer step for each mini-batch; the metrics of all."""
        before = sum(self.peers.gather(len(rows))[: self.peers.rank])
        parts = self.settings.updates_per_step
        shares = [self.passes(rows[(i - before) % parts :: parts]) for i in range(parts)]
        if self.settings.importance_cap is not None and parts > 1:
            # after the first update the trainer's numbers are no longer those of the step's start
            shares = [(count, [self.with_own(b) for b in batches]) for count, batches in shares]
        norms = []
        for count, batches in shares:
            _, norm = self.policy.update(batches, partial(self.loss, count=count), learning_rate)
            norms.append(norm)
        means = self.means(sum(sum(row.mask) for row in rows))
        return {**means, "policy/grad_norm": mean(norms)}

    def passes(self, rows: Sequence[Row]) -> tuple[int, Iterable[Tensors]]:
        """A mini-batch: the tokens it trains in all processes, and this one's micro-batches."""
        batches = list(micro_batches(rows, self.settings.micro_batch_tokens))
        everyones = self.peers.gather((sum(b.loss_tokens for b in batches), len(batches)))
        batches += [NOTHING] * (max(passes for _, passes in everyones) - len(batches))
        moved = (tensors(batch, self.policy.device) for batch in batches)
        return max(1, sum(tokens for tokens, _ in everyones)), moved

    @torch.no_grad()
    def with_own(self, batch: Tensors) -> Tensors:
        """The batch with the trainer's own log-probabilities, as they are now."""
        own, _ = token_logprobs(self.policy.engine, batch, self.temperature)
        return replace(batch, own_logp_BT=own)

    def loss(self, model: Any, batch: Tensors, count: int) -> torch.Tensor:
        """A micro-batch's part of Eq. 2, the mean over the ``count`` tokens of a mini-batch."""
        with torch.no_grad():
            reference_BT, _ = token_logprobs(self.reference, batch, self.temperature)
        logp_BT, entropy = token_logprobs(model, batch, self.temperature)
        terms = surrogate(
            logp_BT,
            batch.old_logp_BT,
            reference_BT,
            batch.advantage_B,
            batch.loss_BT,
            self.settings,
            batch.own_logp_BT,
        )
        self.reported.append(_reported(terms, entropy))
        return terms.loss / count

    def means(self, tokens: int) -> dict[str, float | None]:
        """What the micro-batches of all processes reported, by token; nothing without any."""
        everyones = self.peers.gather((self.reported, tokens))
        parts = [part for batches, _ in everyones for part in batches]
        total = sum(tokens for _, tokens in everyones)
        if not total:
            return {}
        means = {key: sum(part[key] for part in parts) / total for key in parts[0]}
        return {**means, PEAK: max(part[PEAK] for part in parts)}


def _reported(terms: Terms, entropy: torch.Tensor) -> dict[str, float]:
    capped = {} if terms.capped is None else {"policy/importance_capped": float(terms.capped)}
    return {
        **capped,
        "policy/loss": float(terms.loss.detach()),
        "policy/clip_share": float(terms.clipped),
        "policy/kl": float(terms.kl),
        "policy/sampler_gap": float(terms.sampler_gap),
        "policy/sampler_kl": float(terms.sampler_kl),
        PEAK: float(terms.sampler_gap_max),
        "policy/entropy": float(entropy),
    }
