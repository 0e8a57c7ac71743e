"""The evaluations an experiment's tables need, and what one of them takes."""

from __future__ import annotations

from dataclasses import replace

from searchr2.config import SETS, Experiment
from searchr2.plan.footprint import Training
from searchr2.plan.lengths import longest, trajectory
from searchr2.plan.machine import Machine
from searchr2.plan.pace import Assumptions, rollout_seconds
from searchr2.plan.settings import resolved
from searchr2.plan.shape import Shape
from searchr2.splits import EVALUATION


def count(settings: Experiment) -> int:
    """How many evaluations the tables need: ends, and snapshots where a table is over steps."""
    wanted: set[tuple[str, int | None]] = set()
    for table in settings.tables.values():
        named = [*table.rows, *(name for pair in table.compare for name in pair)]
        wanted |= {(name.partition("@")[0], None) for name in named}
        for row in table.rows if table.over_steps else []:
            run = settings.runs[settings.rows[row].checkpoint]
            if run.kind != "grpo":
                continue
            grpo = {**settings.grpo.model_dump(), **run.grpo}
            steps = range(grpo["snapshot_every"], grpo["steps"], grpo["snapshot_every"])
            wanted |= {(row, at) for at in steps}
    trained = {name for name, row in settings.rows.items() if row.checkpoint in settings.runs}
    return sum(len(settings.seeds) if row in trained else 1 for row, _ in wanted)


def questions(settings: Experiment) -> int:
    """Questions of one evaluation; of files the paper's numbers, no more than ``max_questions``."""
    most, named = settings.data.max_questions, settings.data.questions
    if named is None:
        return len(SETS) * min(settings.world.test_questions, most or settings.world.test_questions)
    sizes = [EVALUATION[name].questions for name in named]
    return sum(min(size, most or size) for size in sizes)


def hours(
    settings: Experiment, shape: Shape, machine: Machine, sure: Assumptions, asked: int
) -> float:
    """Of one evaluation by one process, ``batch_size`` trajectories at a time."""
    tokens = trajectory(settings, sure.turns)
    grpo = settings.grpo.model_copy(
        update={"prompts_per_step": settings.evaluation.batch_size, "group_size": 1}
    )
    memory = Training(
        shape, resolved(settings), settings.lora, grpo, settings.rollout, settings.engine,
        round(longest(settings).all), tokens.all, 0.0, 1,
    )  # fmt: skip
    alone = replace(machine, nodes=1, gpus=min(1, machine.gpus))
    seconds = rollout_seconds(
        memory, asked * tokens.written, asked * (tokens.prompt + tokens.read), alone, sure
    )
    return seconds / 3600
