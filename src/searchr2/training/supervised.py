"""Supervised training: the base and instruction stages, SFT and Rejection Sampling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from searchr2 import progress
from searchr2.config import Deepspeed, Updates
from searchr2.packing import Row, collate
from searchr2.tracking.record import Record
from searchr2.training import checkpoints
from searchr2.training.logprobs import Tensors, tensors, token_logprobs
from searchr2.training.policy import Policy

LOG_EVERY = 10
MAX_NORM = 1.0
"""At which the gradient is clipped."""


def imitate(
    name: str,
    model: Any,
    batch_of: Callable[[int], Sequence[Row]],
    settings: Updates,
    deepspeed: Deepspeed,
    record: Record,
    state: Path,
    identity: str,
) -> Any:
    """``model`` after every step of ``settings``, minimising -log p of the loss tokens.

    A step's rows are ``batch_of`` it. ``name`` stands beside the progress bar; checkpoints under
    ``state`` carry ``identity``, and the newest of them is where it starts.
    """
    policy = Policy(model, deepspeed, MAX_NORM, settings.weight_decay, settings.adam_beta2)
    start = checkpoints.resume(state, identity, policy.load)
    record.rewind(start)
    bar = progress.bar(settings.steps, name, "steps", done=start)
    for step in range(start, settings.steps):
        began = time.perf_counter()
        batch = collate(batch_of(step))
        rate = learning_rate(settings, step)
        parts = [tensors(batch, policy.device)]
        value, norm = policy.update(parts, negative_log_likelihood, rate)
        speed = int(batch.valid_BT.sum()) / (time.perf_counter() - began)
        if (step + 1) % LOG_EVERY == 0 or step + 1 == settings.steps:
            record.log(
                {
                    "loss/weighted_nats_per_token": value,
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
    policy.close()
    return policy.model


def negative_log_likelihood(model: torch.nn.Module, batch: Tensors) -> torch.Tensor:
    """Mean -log p (nats) over the loss tokens, each counted as often as its row's weight says."""
    logp_BT, _ = token_logprobs(model, batch)
    weight_BT = batch.loss_BT * batch.advantage_B[:, None]
    return -(logp_BT * weight_BT).sum() / weight_BT.sum()


def learning_rate(settings: Updates, step: int) -> float:
    """Linear warm-up, then cosine to zero."""
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return float(settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done)))
