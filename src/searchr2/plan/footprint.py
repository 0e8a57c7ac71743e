"""Memory of a training run by component: on each GPU, and in each node's RAM.

Weights, gradients and AdamW's states divided as ZeRO does (Rajbhandari et al., arXiv 1910.02054);
what the backward pass keeps, counted layer by layer as in Korthikanti et al., arXiv 2205.05198.
"""

from __future__ import annotations

from dataclasses import dataclass

from searchr2.config import Deepspeed, Engine, Grpo, Lora, Rollout
from searchr2.plan.machine import GIB
from searchr2.plan.shape import Shape

ADAM = 8
"""Bytes of AdamW's two fp32 moments, a parameter."""
MASTER = 4
"""Bytes of the fp32 copy that steps in bf16 are added to, a parameter."""
CONTEXT = 1.5 * GIB
"""CUDA's context, its libraries' workspaces and NCCL's buffers."""
LIBRARIES = 0.5 * GIB
"""RAM of a process that has imported everything: the default config's sft takes 0.57 in all."""
BUCKET = 500_000_000
"""Gradients that ZeRO gathers before it sends them, where no ``reduce_bucket_size`` is said."""
FRAGMENTATION = 0.08
"""Of what is allocated and freed over and over, lost between blocks."""
PREFIXES = 768 << 20
"""Bytes of states that it keeps between turns, at most."""
Bytes = dict[str, float]


@dataclass(frozen=True)
class Training:
    """What a run's memory depends on."""

    shape: Shape
    deepspeed: Deepspeed
    lora: Lora
    grpo: Grpo
    rollout: Rollout
    engine: Engine
    longest: int
    """Tokens of the longest row."""
    usual: float
    """Tokens of a row on average."""
    trained_share: float
    """Of a micro-batch's tokens, those that carry loss."""
    processes: int
    nodes: int = 1
    validated: int = 0
    """Questions of a validation, which are answered side by side as rollouts are."""
    compared: bool = True
    """Whether a reference policy is held (GRPO) or nothing is compared with (supervised)."""
    on_gpu: bool = True
    rolls_out: bool = True
    bucket: float = BUCKET

    @property
    def stage(self) -> int:
        return self.deepspeed.zero_stage or 0

    @property
    def width(self) -> int:
        """Bytes of a weight."""
        return 2 if self.deepspeed.bf16 else 4

    @property
    def trained(self) -> int:
        """Parameters that are trained."""
        if self.lora.rank is None:
            return self.shape.parameters
        return self.shape.adapters(self.lora.rank, self.lora.targets)

    def share(self, from_stage: int) -> float:
        """What each process holds of that which ZeRO splits from ``from_stage`` on."""
        return 1 / self.processes if self.stage >= from_stage else 1.0


def states(run: Training) -> Bytes:
    """Bytes on each GPU that stay for the whole run."""
    offloaded = 0.0 if run.deepspeed.offload_parameters else 1.0
    weights = run.shape.parameters * run.width * run.share(3) * offloaded
    adapters = 0 if run.lora.rank is None else run.trained * run.width * run.share(3)
    reference = weights if run.compared and run.lora.rank is None else 0
    kept = 0 if run.deepspeed.offload_optimizer else optimizer(run)
    return {
        "weights": weights + adapters,
        "gradients": gradients(run),
        "optimizer": kept,
        "reference policy": reference,
        "reduction buffer": buffer(run),
    }


def buffer(run: Training) -> float:
    """Bytes in which ZeRO collects gradients to send; stage 1 in bf16 sums them there in fp32."""
    if not run.stage or not run.on_gpu:
        return 0.0
    return run.bucket * (4 if run.stage == 1 else run.width)


def gradients(run: Training) -> float:
    """Summed in fp32; bf16 has those of the pass besides, until ZeRO-2 hands them on at once."""
    of_pass = run.width if run.deepspeed.bf16 and run.stage < 2 else 0
    return run.trained * (4 * run.share(2) + of_pass)


def optimizer(run: Training) -> float:
    """Bytes of a process's optimizer states: 12 a parameter in bf16, 8 in fp32, split by ZeRO."""
    master = MASTER if run.deepspeed.bf16 else 0
    return run.trained * (ADAM + master) * run.share(1)


def activations(run: Training) -> float:
    """What the backward pass needs of one micro-batch."""
    tokens = max(run.grpo.micro_batch_tokens, run.longest)
    one = layer(run.shape, run.width)
    if not run.deepspeed.activation_checkpointing:
        return tokens * one * run.shape.layers
    return tokens * (run.shape.hidden_size * run.width * run.shape.layers + one)


def layer(shape: Shape, width: int) -> float:
    """Bytes a token that one block keeps, attention never being written out.

    Inputs and outputs of two norms, rotated queries and keys, values, what attention gives, and
    four of the MLP's width (gate, up, activated, product); the norms work in fp32.
    """
    h, f = shape.hidden_size, shape.intermediate_size
    attention = 2 * (shape.queries + shape.keys) + shape.keys + shape.queries
    return width * (4 * h + attention + 4 * f) + 4 * 2 * h


def logits(run: Training) -> float:
    """A micro-batch's logits and their gradient; of trained tokens four tables in fp32 besides.

    These are the logits at the temperature, their log-softmax, its exponential (the entropy's) and
    a gradient (``training/logprobs``).
    """
    tokens = max(run.grpo.micro_batch_tokens, run.longest)
    return tokens * run.shape.vocab_size * (2 * run.width + 16 * run.trained_share)


def cache(run: Training, width: int | None = None) -> float:
    """Bytes of keys and values that one token leaves."""
    return 2 * run.shape.layers * run.shape.keys * (width or run.width)


def rolling_out(run: Training) -> Bytes:
    """What the engine takes in this process beyond the states, while nothing is updated.

    Its buffers have up to two and a half times the room that their rows need; rows that all use
    their limits in full, which is what is counted, come to more than that.
    """
    gathered = run.shape.parameters * run.width if run.stage == 3 else 0
    taken: Bytes = {"weights gathered whole": gathered}
    if run.engine.kind == "local" and run.rolls_out:
        most = max(run.grpo.prompts_per_step * run.grpo.group_size, run.validated)
        row = run.longest * cache(run)
        mine = -(-most // run.processes)
        taken["keys and values"] = min(run.engine.max_rows, mine) * row + min(PREFIXES, mine * row)
    return taken


def stepping(run: Training) -> Bytes:
    """What AdamW makes for a moment where it steps all of its tensors at once."""
    own = 0.0 if run.deepspeed.offload_optimizer else run.trained * 4 * run.share(1)
    return {"optimizer's step": own}


def phases(run: Training) -> dict[str, Bytes]:
    """Phase -> component -> bytes on each GPU; the largest phase decides.

    A ZeRO-3 policy is gathered whole whenever it is exported, handed to servers or generates.
    """
    held = states(run)
    working = {
        "rollout": rolling_out(run),
        "update": {"activations": activations(run), "logits": logits(run)},
        "step": stepping(run),
    }
    always = CONTEXT if run.on_gpu else LIBRARIES
    return {
        phase: {**held, **parts, "overhead": always + FRAGMENTATION * sum(parts.values())}
        for phase, parts in working.items()
    }


def peak(run: Training) -> tuple[str, Bytes]:
    """The phase that takes most, and its components."""
    return max(phases(run).items(), key=lambda phase: sum(phase[1].values()))


def in_ram(run: Training) -> Bytes:
    """Bytes in the RAM of each node: what is offloaded, and every process's model as it loads."""
    each = run.processes / run.nodes
    share = run.shape.parameters * run.width
    kept = 0.0
    if run.deepspeed.offload_optimizer:
        kept += optimizer(run) + run.trained * 4 * run.share(1)
    if run.deepspeed.offload_parameters:
        kept += 2 * share * run.share(3)
    return {
        "libraries": each * LIBRARIES,
        "models as they load": each * share,
        "offloaded": each * kept,
    }
