"""What an experiment will take before anything of it runs: memory, disk, tokens, hours.

Arithmetic on the config, the model's shape and the machine; nothing is loaded and nothing asked of
the network. Sizes of what exists are read, all else follows the formulas of ``plan/footprint``,
``plan/storage`` and ``plan/pace``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from searchr2.config import Data, Experiment, Run, Supervised, Updates
from searchr2.plan import evaluations, footprint, lengths, pace, storage
from searchr2.plan.footprint import Bytes, Training
from searchr2.plan.lengths import Tokens
from searchr2.plan.machine import Machine
from searchr2.plan.pace import Assumptions, Step
from searchr2.plan.settings import MODELS, of_run, of_zero, resolved, trained
from searchr2.plan.shape import Shape, shape_of
from searchr2.splits import TRAINING

UNION = sum(split.questions for split in TRAINING.values())
"""Training questions where nobody says how many are taken: the paper's."""


@dataclass(frozen=True)
class RunPlan:
    """One training run with one seed."""

    name: str
    memory: Training
    steps: int
    step: Step
    rollout_s: float
    """Of one step, as is the next."""
    update_s: float

    @property
    def hours(self) -> float:
        return self.steps * (self.rollout_s + self.update_s) / 3600


@dataclass(frozen=True)
class Plan:
    settings: Experiment
    machine: Machine
    shape: Shape
    stages: list[RunPlan]
    """Those that make the small model, once for all runs and seeds."""
    runs: list[RunPlan]
    disk: Bytes
    ram: Bytes
    """Of each node."""
    evaluations: int
    questions: int
    """Of one evaluation."""
    evaluation_hours: float
    """Of one evaluation, on one GPU or core."""
    sure: Assumptions

    @property
    def training_hours(self) -> float:
        once = sum(stage.hours for stage in self.stages)
        return once + len(self.settings.seeds) * sum(run.hours for run in self.runs)

    @property
    def gpu_hours(self) -> float:
        """Of training and evaluations; servers that sample have as many GPUs as the training."""
        if self.machine.gpu is None:
            return 0.0
        served = 1 if self.settings.engine.kind == "local" else 2
        training = self.training_hours * self.machine.processes * served
        return training + self.evaluations * self.evaluation_hours


def make_plan(settings: Experiment, machine: Machine, sure: Assumptions | None = None) -> Plan:
    """The plan; raises ``ConfigError`` where a setting leaves it open what would be taken."""
    sure = sure or Assumptions()
    shape = shape_of(settings.model)
    wanted = trained(settings)
    stages = [plan_run(settings, name, shape, machine, sure) for name in wanted if name in MODELS]
    runs = [plan_run(settings, name, shape, machine, sure) for name in wanted if name not in MODELS]
    corpus = storage.corpus_of(settings)
    on_disk, in_ram = storage.index(settings, corpus)
    asked = evaluations.questions(settings)
    tokens = lengths.trajectory(settings, sure.turns).all
    kept = _kept(settings, shape, runs, evaluations.count(settings) * asked * tokens)
    disk = {**storage.data(settings, corpus), **on_disk, **kept}
    return Plan(
        settings,
        machine,
        shape,
        stages,
        runs,
        disk,
        {**in_ram, **_working([*stages, *runs], machine)},
        evaluations.count(settings),
        asked,
        evaluations.hours(settings, shape, machine, sure, asked),
        sure,
    )


def plan_run(
    settings: Experiment, name: str, shape: Shape, machine: Machine, sure: Assumptions
) -> RunPlan:
    """What run ``name`` takes; supervised ones and stages too, as many updates of so many rows."""
    world = settings.model_copy(update={"data": Data()})  # where the small model is made
    run = world if name in MODELS else of_run(settings, name)
    of = Run(kind="sft") if name in MODELS else settings.runs[name]
    updates = {"base": run.base, "instruct": run.instruct}.get(name, run.supervised)
    tokens = lengths.trajectory(run, sure.turns, of.method)
    most = lengths.longest(run, of.method)
    revisions = run.refiner.max_revisions if of.kind == "grpo" else 0
    asking = lengths.template(run, "refiner") if revisions else 0
    memory = Training(
        shape,
        resolved(run),
        run.lora,
        run.grpo,
        run.rollout,
        run.engine,
        longest=round(most.all + asking),
        usual=tokens.all,
        trained_share=most.written / most.all,
        processes=machine.processes,
        nodes=machine.nodes,
        validated=validated(run) if of.kind == "grpo" else 0,
        compared=of.kind == "grpo",
        on_gpu=machine.gpu is not None,
        rolls_out=of.kind != "sft",
        bucket=of_zero(run).get("reduce_bucket_size", footprint.BUCKET),
    )
    if of.kind == "grpo":
        step = pace.step(run.grpo, tokens, revisions, run.refiner.joint, asking)
        steps = run.grpo.steps
    else:
        memory, step, steps = _supervised(updates, of.kind, memory, tokens)
    return RunPlan(
        name,
        memory,
        steps,
        step,
        pace.rollout_seconds(memory, step.written, step.read, machine, sure),
        pace.update_seconds(memory, step.trained_on, machine, sure),
    )


def validated(run: Experiment) -> int:
    """Validation questions."""
    return run.data.validation if run.data.train else run.world.validation_questions


def _supervised(
    settings: Updates, kind: str, memory: Training, tokens: Tokens
) -> tuple[Training, Step, int]:
    """Its rollouts, if it makes any, dealt out to its updates."""
    rows = settings.micro_batch_size or settings.batch_size
    longest = round(tokens.all) if kind == "sft" else memory.longest
    grpo = memory.grpo.model_copy(
        update={"micro_batch_tokens": rows * longest, "importance_cap": None}
    )
    sampled = 0
    if isinstance(settings, Supervised) and kind != "sft":
        sampled = settings.samples * (settings.prompts or UNION)
    step = Step(
        settings.batch_size,
        sampled * tokens.written / settings.steps,
        sampled * (tokens.prompt + tokens.read) / settings.steps,
        settings.batch_size * tokens.all,
    )
    return replace(memory, grpo=grpo, longest=longest), step, settings.steps


def _kept(settings: Experiment, shape: Shape, runs: list[RunPlan], answered: float) -> Bytes:
    """Bytes of what training leaves, and evaluations of so many tokens."""
    ends = rolling = snapshots = handed = 0.0
    for run in runs:
        own = of_run(settings, run.name)
        export, state = storage.checkpoint_bytes(
            shape.parameters, run.memory.trained, run.memory.width
        )
        ends += export
        rolling += 2 * state
        if settings.runs[run.name].kind == "grpo":
            snapshots += export * (max(0, run.steps - 1) // own.grpo.snapshot_every)
            handed += export * own.engine.keep if own.engine.kind != "local" else 0
    seeds = len(settings.seeds)
    parts = {
        "trained models": ends * seeds,
        "snapshots": snapshots * seeds,
        "checkpoints to go on from": rolling * seeds,
        "weights handed to servers": handed * seeds,
        "predictions": answered * storage.PREDICTION,
    }
    return {name: size for name, size in parts.items() if size}


def _working(runs: list[RunPlan], machine: Machine) -> Bytes:
    """Bytes of each node's RAM that training takes, without a GPU all of it."""
    if not runs:
        return {}
    if machine.gpu is None:
        sizes = {run.name: sum(footprint.peak(run.memory)[1].values()) for run in runs}
        largest = max(sizes, key=lambda name: sizes[name])
        return {f"training ({largest})": sizes[largest]}
    needs = [footprint.in_ram(run.memory) for run in runs]
    return max(needs, key=lambda parts: sum(parts.values()))
