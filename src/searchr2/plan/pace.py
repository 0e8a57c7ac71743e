"""Tokens of a step and of the evaluations, and the hours they take under stated assumptions."""

from __future__ import annotations

from dataclasses import dataclass

from searchr2.config import Grpo, Retrieval, Rollout
from searchr2.plan.footprint import ROWS, Training, cache
from searchr2.plan.machine import Gpu, Machine

PROMPT, TURN, DOCUMENT = 250, 100, 150
"""Mean tokens of a prompt, of a turn and of a passage shown, unless a limit is lower."""
TEMPLATE = 150
"""Tokens of the Meta-Refiner's prompt around the trajectory."""
REVISED = 0.3
"""Share of rollouts that are cut (Appendix G), each writing half of itself anew."""
CPU_FLOPS = 50e9
"""FLOP/s that one CPU core sustains in fp32, measured on the default model."""
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

    def says(self) -> list[str]:
        return [
            f"a prompt has {PROMPT} tokens, a turn {TURN}, a passage {DOCUMENT}, and every"
            " trajectory uses all its turns, unless a limit is lower",
            f"{REVISED:.0%} of the rollouts are revised, half of each",
            f"updates sustain {self.mfu:.0%} of a GPU's dense bf16 peak (--mfu), or"
            f" {CPU_FLOPS / 1e9:.0f} GFLOP/s a CPU core",
            f"decoding reads weights, keys and values at {self.decode:.0%} of the memory's"
            " bandwidth (--decode), and waits for no search",
            "the stages before training, judges, the index and queues are not in the hours",
        ]


@dataclass(frozen=True)
class Tokens:
    """Of one trajectory, on average."""

    prompt: int
    written: int
    read: int
    """Passages."""

    @property
    def all(self) -> int:
        return self.prompt + self.written + self.read


def trajectory(rollout: Rollout, retrieval: Retrieval, method: str = "search") -> Tokens:
    """A trajectory that uses all its turns, each but the last a search, within the context.

    Without searches (``direct``, ``cot``) it is one turn; ``rag`` reads once before it.
    """
    turn = min(TURN, rollout.max_turn_tokens)
    passages = retrieval.k * min(DOCUMENT, rollout.max_document_tokens)
    prompt = min(PROMPT, rollout.max_prompt_tokens)
    if method in ("direct", "cot", "rag"):
        return Tokens(prompt, turn, passages if method == "rag" else 0)
    room = max(0, rollout.max_context_tokens - prompt)
    turns = 1 + min(rollout.max_turns - 1, max(0, room - turn) // (turn + passages))
    return Tokens(prompt, turns * turn, (turns - 1) * passages)


def longest(rollout: Rollout, retrieval: Retrieval, refined: bool) -> int:
    """Tokens of the longest row: limits used to the full, in the Meta-Refiner's prompt if any."""
    passages = retrieval.k * (rollout.max_document_tokens + 20)  # its rank and title too
    turns = rollout.max_turns * rollout.max_turn_tokens + (rollout.max_turns - 1) * passages
    context = min(rollout.max_context_tokens, PROMPT + turns)
    return context + (TEMPLATE if refined else 0)


@dataclass(frozen=True)
class Step:
    """One GRPO step: trajectories, the tokens it writes, reads and trains on."""

    trajectories: int
    written: float
    read: float
    trained_on: float
    """Tokens of the rows of the update, verdicts' rows included."""


def step(grpo: Grpo, tokens: Tokens, revisions: int, joint: bool) -> Step:
    """Counts of one step; with the Meta-Refiner each draft is read once more, and cut at times."""
    rollouts = grpo.prompts_per_step * grpo.group_size
    cut = 1 + REVISED * min(revisions, 1) / 2
    verdicts = (1 + REVISED * (revisions - 1)) if revisions else 0.0
    judged = verdicts * (tokens.all + TEMPLATE)
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
    passes = 6 + 2 + 2 * run.deepspeed.activation_checkpointing - 2 * (run.lora.rank is not None)
    if run.grpo.importance_cap is not None and run.grpo.updates_per_step > 1:
        passes += 2
    attention = run.shape.layers * run.shape.queries * run.longest
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
    batch = min(ROWS, max(1.0, run.grpo.prompts_per_step * run.grpo.group_size / run.processes))
    shares = machine.processes * batch
    reading = read * 2 * run.shape.multiplied / speed(machine, PREFILL_MFU)
    return written / shares * _decoding_step(run, batch, machine.gpu, sure) + reading


def _decoding_step(run: Training, batch: float, gpu: Gpu | None, sure: Assumptions) -> float:
    """Seconds in which ``batch`` trajectories get a token each."""
    if gpu is None:
        work = batch * 2 * run.shape.multiplied / CPU_FLOPS
        return max(work, run.shape.layers * CPU_LAYER)
    read = run.shape.parameters * run.width + batch * run.longest / 2 * cache(run)
    least = GPU_LAYER if run.engine.kind == "local" else SERVED_LAYER
    return max(read / (gpu.bandwidth * sure.decode), run.shape.layers * least)
