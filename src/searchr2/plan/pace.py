"""Tokens of a step and of the evaluations, and the hours they take under stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass

from searchr2.config import Grpo
from searchr2.plan.footprint import Training, cache
from searchr2.plan.lengths import CHARACTERS, SMALL_TURN, TURN, TURNS, Tokens
from searchr2.plan.machine import Gpu, Machine

REVISED = 0.3
"""Share of rollouts that are cut (Appendix G), each writing half of itself anew."""
CPU_FLOPS = 75e9
"""FLOP/s that one CPU core sustains in fp32: 73 to 81 in updates of the default config."""
CPU_BANDWIDTH = 5e9
"""Bytes/s at which one core goes through keys and values while it decodes."""
CPU_LAYER, GPU_LAYER = 1e-3, 1e-3
"""Seconds a block takes at least of a decoding step in process: launches, not arithmetic."""
SERVED_LAYER = 2e-4
"""The same of a server, whose decoding steps are recorded as graphs."""
PREFILL_MFU = 0.5
"""Of prompts and passages that are read without writing."""


@dataclass(frozen=True)
class Assumptions:
    mfu: float = 0.35
    """Share of the GPU's dense bf16 peak that an update sustains."""
    decode: float = 0.5
    """Share of the memory's bandwidth that decoding sustains."""
    turns: float = TURNS
    """Of a trajectory, on average."""

    def says(self, gpu: bool, small: bool) -> list[str]:
        """A line for each, of the kind of machine and of model that the plan is for."""
        turn = SMALL_TURN if small else TURN
        speeds = (
            [
                f"updates sustain {self.mfu:.0%} of a GPU's dense bf16 peak (--mfu)",
                f"decoding reads weights, keys and values at {self.decode:.0%} of the memory's"
                " bandwidth (--decode), and waits for no search",
            ]
            if gpu
            else [
                f"one core sustains {CPU_FLOPS / 1e9:.0f} GFLOP/s, and nothing else keeps it busy",
            ]
        )
        return [
            f"a trajectory has {self.turns:g} turns on average (--turns), and a turn {turn} tokens;"
            f" prompts and passages have a token for {CHARACTERS} characters",
            f"{REVISED:.0%} of the rollouts are revised, half of each",
            *speeds,
            "memory: every trajectory uses the limits of rollout in full",
            "not in the hours: data, index, queues, judges, the start of a process",
        ]


@dataclass(frozen=True)
class Step:
    """One GRPO step: trajectories, the tokens it writes, reads and trains on."""

    trajectories: int
    written: float
    read: float
    trained_on: float
    """Tokens of the rows of the update, verdicts' rows included."""


def step(grpo: Grpo, tokens: Tokens, revisions: int, joint: bool, asking: float) -> Step:
    """Counts of one step; with the Meta-Refiner each draft is read once more, and cut at times.

    ``asking`` are the tokens of its prompt around a trajectory.
    """
    rollouts = grpo.prompts_per_step * grpo.group_size
    cut = 1 + REVISED * min(revisions, 1) / 2
    verdicts = (1 + REVISED * (revisions - 1)) if revisions else 0.0
    judged = verdicts * (tokens.all + asking)
    return Step(
        rollouts,
        rollouts * tokens.written * cut,
        rollouts * ((tokens.prompt + tokens.read) * cut + judged),
        rollouts * (tokens.all + (judged if joint else 0)),
    )


def update_seconds(run: Training, tokens: float, machine: Machine, sure: Assumptions) -> float:
    """Forward 2, backward 4, recomputing 2, the reference 2 FLOPs a parameter and token.

    Adapters need no gradient of the weights: 2 less. Attention adds 4 times width times half of
    the tokens before, a layer, in each of these.
    """
    passes = 6 + 2 * run.compared + 2 * run.deepspeed.activation_checkpointing
    passes -= 2 * (run.lora.rank is not None)
    if run.grpo.importance_cap is not None and run.grpo.updates_per_step > 1:
        passes += 2
    attention = run.shape.layers * run.shape.queries * run.usual
    flops = tokens * passes * (run.shape.multiplied + attention)
    return flops / speed(machine, sure.mfu)


def speed(machine: Machine, mfu: float) -> float:
    """FLOP/s sustained by all that train together."""
    if machine.gpu is None:
        return CPU_FLOPS
    return machine.processes * machine.gpu.flops * mfu


def rollout_seconds(
    run: Training, written: float, read: float, machine: Machine, sure: Assumptions
) -> float:
    """Decoding steps of full batches, side by side on every process, and the reading between."""
    mine = run.grpo.prompts_per_step * run.grpo.group_size / run.processes
    batch = min(run.engine.max_rows, max(1.0, mine))
    shares = machine.processes * batch
    reading = read * 2 * run.shape.multiplied / speed(machine, PREFILL_MFU)
    return written / shares * _decoding_step(run, batch, machine.gpu, sure) + reading


def _decoding_step(run: Training, batch: float, gpu: Gpu | None, sure: Assumptions) -> float:
    """Seconds in which ``batch`` trajectories, half written on average, get a token each."""
    past = batch * run.usual / 2 * cache(run)
    if gpu is None:
        work = batch * 2 * run.shape.multiplied / CPU_FLOPS
        return max(work, run.shape.layers * CPU_LAYER) + past / CPU_BANDWIDTH
    read = run.shape.parameters * run.width + past
    least = GPU_LAYER if run.engine.kind == "local" else SERVED_LAYER
    return max(read / (gpu.bandwidth * sure.decode), run.shape.layers * least)
