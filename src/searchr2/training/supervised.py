"""Supervised training on demonstrations: the base stage."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from searchr2 import progress
from searchr2.config import Base
from searchr2.packing import Row, collate
from searchr2.ports import Tracker
from searchr2.randomness import generator, stage_key
from searchr2.training import checkpoints
from searchr2.training.logprobs import Tensors, tensors, token_logprobs
from searchr2.training.policy import Policy


def imitate(
    policy: Policy,
    rows: Sequence[Row],
    settings: Base,
    tracker: Tracker,
    state: Path,
    identity: str,
    start: int,
) -> None:
    """Minimise -log p of the rows' loss tokens from step ``start`` to ``settings.steps``.

    The rows of step t are a function of (seed, t); checkpoints under ``state`` carry ``identity``.
    """
    bar = progress.bar(settings.steps, "base", "steps", done=start)
    for step in range(start, settings.steps):
        began = time.perf_counter()
        batch = collate([rows[i] for i in batch_indices(settings, len(rows), step)])
        rate = learning_rate(settings, step)
        loss = partial(negative_log_likelihood, tokens=batch.loss_tokens)
        value, norm = policy.update([tensors(batch, policy.device)], loss, rate)
        speed = int(batch.valid_BT.sum()) / (time.perf_counter() - began)
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
        bar.set_postfix(loss=f"{value:.2f}")
        if (step + 1) % settings.checkpoint_every == 0:
            checkpoints.save(state, step + 1, policy.save, {"identity": identity})
    bar.close()


def negative_log_likelihood(model: torch.nn.Module, batch: Tensors, tokens: int) -> torch.Tensor:
    """Mean -log p (nats) of the loss tokens, of which the whole mini-batch has ``tokens``."""
    logp_BT, _ = token_logprobs(model, batch)
    return -logp_BT.sum() / tokens


def batch_indices(settings: Base, count: int, step: int) -> list[int]:
    """The rows of a step: epoch after epoch, each a permutation that is a function of (seed, epoch)."""
    size = settings.batch_size
    picked: list[int] = []
    for position in range(step * size, (step + 1) * size):
        epoch, offset = divmod(position, count)
        picked.append(int(_order(settings.seed, epoch, count)[offset]))
    return picked


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> npt.NDArray[np.int64]:
    return generator(*stage_key(seed, "base-order"), epoch).permutation(count)


def learning_rate(settings: Base, step: int) -> float:
    """Linear warm-up, then cosine to zero."""
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return float(settings.learning_rate * 0.5 * (1 + np.cos(np.pi * done)))
