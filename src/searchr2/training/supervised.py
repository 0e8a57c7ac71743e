"""Supervised training on demonstrations: the base stage."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from searchr2 import progress
from searchr2.config import Base
from searchr2.packing import Row, collate
from searchr2.ports import Tracker
from searchr2.randomness import generator, stage_key
from searchr2.training import checkpoints
from searchr2.training.logprobs import Tensors, tensors, token_logprobs
from searchr2.training.policy import Policy

LOG_EVERY = 10


def imitate(
    policy: Policy,
    plan: Sequence[Sequence[Row]],
    settings: Base,
    tracker: Tracker,
    state: Path,
    identity: str,
    start: int,
) -> None:
    """Minimise -log p of the rows' loss tokens, an update for each batch of ``plan`` from ``start`` on.

    Checkpoints under ``state`` carry ``identity``.
    """
    bar = progress.bar(len(plan), "base", "steps", done=start)
    for step in range(start, len(plan)):
        began = time.perf_counter()
        batch = collate(plan[step])
        rate = learning_rate(settings, step)
        loss = partial(negative_log_likelihood, tokens=batch.loss_tokens)
        value, norm = policy.update([tensors(batch, policy.device)], loss, rate)
        speed = int(batch.valid_BT.sum()) / (time.perf_counter() - began)
        if (step + 1) % LOG_EVERY == 0:
            tracker.log(
                {
                    "loss/nats_per_token": value,
                    "policy/grad_norm": norm,
                    "policy/learning_rate": rate,
                    "time/tokens_per_second": speed,
                },
                step + 1,
            )
        bar.update()
        bar.set_postfix(loss=f"{value:.2f}", refresh=False)
        if (step + 1) % settings.checkpoint_every == 0:
            checkpoints.save(state, step + 1, policy.save, {"identity": identity})
    bar.close()


def negative_log_likelihood(model: torch.nn.Module, batch: Tensors, tokens: int) -> torch.Tensor:
    """Mean -log p (nats) of the loss tokens, of which the whole mini-batch has ``tokens``."""
    logp_BT, _ = token_logprobs(model, batch)
    return -logp_BT.sum() / tokens


def schedule(drills: Sequence[Row], rows: Sequence[Row], settings: Base) -> list[list[Row]]:
    """The batch of every step: reading drills, then epochs of rows.

    Rows of like length share a batch, which saves padding; the first epoch goes from short to long, the
    later ones in an order that is a function of (seed, epoch).
    """
    size = settings.batch_size
    reading = [list(drills[i : i + size]) for i in range(0, len(drills), size)]
    by_length = sorted(rows, key=lambda row: len(row.ids))
    buckets = [by_length[i : i + size] for i in range(0, len(rows), size)]
    plan, epoch = reading[: settings.reading_steps], 0
    while len(plan) < settings.steps:
        order = generator(*stage_key(settings.seed, "base-order"), epoch).permutation(len(buckets))
        plan += [buckets[i] for i in order] if epoch else buckets
        epoch += 1
    return plan[: settings.steps]


def learning_rate(settings: Base, step: int) -> float:
    """Linear warm-up, then cosine to zero."""
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return float(settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done)))
