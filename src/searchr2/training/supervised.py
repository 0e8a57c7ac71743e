"""Supervised training: the base and instruction stages, SFT and Rejection Sampling."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from searchr2 import progress
from searchr2.config import Deepspeed, Updates
from searchr2.packing import Batch, Row, collate
from searchr2.ports import Tracker
from searchr2.training import checkpoints
from searchr2.training.deepspeed_json import for_updates
from searchr2.training.logprobs import Tensors, tensors, token_logprobs
from searchr2.training.peers import ALONE, Peers
from searchr2.training.policy import Policy

LOG_EVERY = 10


def imitate(
    name: str,
    model: Any,
    batch_of: Callable[[int], Sequence[Row]],
    settings: Updates,
    deepspeed: Deepspeed,
    record: Tracker,
    state: Path,
    identity: str,
    peers: Peers = ALONE,
) -> Policy:
    """``model`` after every step of ``settings``, minimising -log p of the loss tokens.

    A step's rows are ``batch_of`` it; each process takes a share. ``name`` stands beside the
    progress bar; checkpoints under ``state`` carry ``identity``, and the newest of them is where it
    starts. The caller closes the policy.
    """
    recompute = deepspeed.activation_checkpointing
    policy = Policy(model, for_updates(deepspeed, settings), peers, recompute)
    start = checkpoints.resume(state, identity, policy.load, policy.parts, peers)
    record.rewind(start)
    bar = progress.bar(settings.steps, name, "steps", done=start)
    for step in range(start, settings.steps):
        began = time.perf_counter()
        rows = batch_of(step)
        rate = learning_rate(settings, step)
        value, norm = learn(policy, rows, settings.micro_batch_size, rate, peers)
        speed = sum(len(row.ids) for row in rows) / (time.perf_counter() - began)
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
            about = {"identity": identity, "parts": policy.parts}
            checkpoints.save(state, step + 1, policy.save, about, peers)
    bar.close()
    return policy


def learn(
    policy: Policy, rows: Sequence[Row], size: int | None, rate: float, peers: Peers
) -> tuple[float, float]:
    """One update on ``rows``, ``size`` of them a pass; the loss, and the gradient's norm."""
    loss = partial(negative_log_likelihood, total=total_weight(rows))
    moved = (tensors(batch, policy.device) for batch in passes(rows, size, peers))
    part, norm = policy.update(moved, loss, rate)
    return sum(peers.gather(part)), norm


def passes(rows: Sequence[Row], size: int | None, peers: Peers) -> list[Batch]:
    """This process's rows in batches of at most ``size``, as many as any process has.

    One that has fewer rows than others goes through some without weight.
    """
    first, last = peers.block(len(rows))
    most = -(-len(rows) // peers.size)
    idle = replace(rows[0], advantage=0.0)
    own = [*rows[first:last], *[idle] * (most - (last - first))]
    return [collate(own[i : i + (size or most)]) for i in range(0, most, size or most)]


def total_weight(rows: Sequence[Row]) -> float:
    """How many loss tokens there are, each counted as often as its row's weight says."""
    return sum(row.advantage * sum(row.mask) for row in rows)


def negative_log_likelihood(model: torch.nn.Module, batch: Tensors, total: float) -> torch.Tensor:
    """A batch's part of the mean -log p (nats) over loss tokens, whose weights are ``total``."""
    logp_BT, _ = token_logprobs(model, batch)
    weight_BT = batch.loss_BT * batch.advantage_B[:, None]
    return -(logp_BT * weight_BT).sum() / total


def learning_rate(settings: Updates, step: int) -> float:
    """Linear warm-up, then cosine to zero."""
    warmup = max(1, round(settings.warmup_ratio * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return float(settings.learning_rate * 0.5 * (1 + math.cos(math.pi * done)))
