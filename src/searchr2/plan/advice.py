"""With which settings a run would fit, one added to the other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from searchr2.plan import footprint
from searchr2.plan.footprint import Training
from searchr2.plan.machine import GIB

HELP: list[dict[str, Any]] = [
    {"bf16": True, "zero_stage": 1},
    {"activation_checkpointing": True},
    {"zero_stage": 2},
    {"offload_optimizer": True, "zero_stage": 2},
    {"zero_stage": 3},
    {"offload_parameters": True, "zero_stage": 3},
]
"""Settings of the section ``deepspeed`` that save memory, from little time lost to much."""
LEAST = 128
"""Below so many tokens a pass is not made smaller."""


def advice(run: Training, memory: float) -> str:
    """A clause that names the first settings with which ``run`` fits into ``memory`` bytes."""
    said, least = "", run
    for said, least in changes(run):
        if total(least) <= memory:
            return f"it would fit with {said}: {total(least) / GIB:,.1f} GiB"
    return (
        f"with {said or 'what saves memory already'} it takes {total(least) / GIB:,.1f} GiB: take"
        " more or larger GPUs, fewer rollouts a step, lower limits of rollout, or a smaller model"
    )


def changes(run: Training) -> Iterator[tuple[str, Training]]:
    """Each a little smaller than the last: what was changed so far, and the run with it."""
    chosen: dict[str, Any] = {}
    for setting in HELP:
        update = {**setting, "zero_stage": max(run.stage, setting.get("zero_stage", 0))}
        changed = replace(run, deepspeed=run.deepspeed.model_copy(update=update))
        if total(changed) < total(run):
            before, run = run.deepspeed, changed
            chosen |= {
                f"deepspeed.{key}": value
                for key, value in update.items()
                if getattr(before, key) != value
            }
            yield _said(chosen), run
    tokens = run.grpo.micro_batch_tokens
    while tokens > max(LEAST, run.longest):
        tokens = max(LEAST, run.longest, tokens // 2)
        smaller = replace(run, grpo=run.grpo.model_copy(update={"micro_batch_tokens": tokens}))
        if total(smaller) >= total(run):  # it is no pass that takes most
            break
        run = smaller
        if run.compared:
            chosen["grpo.micro_batch_tokens"] = tokens
        else:
            chosen["supervised.micro_batch_size"] = max(1, tokens // run.longest)
        yield _said(chosen), run
    if run.lora.rank is None:
        chosen["lora.rank"] = 16
        yield _said(chosen), replace(run, lora=run.lora.model_copy(update={"rank": 16}))


def total(run: Training) -> float:
    """Bytes of the phase that takes most."""
    return sum(footprint.peak(run)[1].values())


def _said(chosen: dict[str, Any]) -> str:
    values = {True: "true", False: "false"}
    return ", ".join(
        f"{key}: {values[value] if isinstance(value, bool) else value}"
        for key, value in chosen.items()
    )
