"""The plan as a page for the terminal, what does not fit, and what would help."""

from __future__ import annotations

from collections.abc import Iterator

from searchr2.files import UserError
from searchr2.markdown import grid
from searchr2.plan import footprint
from searchr2.plan.advice import advice
from searchr2.plan.experiment import Plan, RunPlan
from searchr2.plan.footprint import Bytes
from searchr2.plan.machine import GIB
from searchr2.plan.measured import measured


class PlanError(UserError):
    """The machine cannot hold the experiment; the message has the numbers and what would help."""


def check(plan: Plan) -> None:
    """Raise ``PlanError`` where the machine cannot hold what is planned."""
    if found := list(problems(plan)):
        raise PlanError("this machine cannot hold it\n" + "\n".join(f"  {line}" for line in found))


def problems(plan: Plan) -> Iterator[str]:
    """A line for each thing the machine cannot hold, with the numbers."""
    disk, ram, machine = sum(plan.disk.values()), sum(plan.ram.values()), plan.machine
    if disk > machine.disk:
        yield (
            f"disk: {disk / 1e9:,.1f} GB are needed and {machine.disk / 1e9:,.1f} GB are free"
            f" ({_said(plan.disk, 1e9)})"
        )
    if ram > machine.ram:
        yield (
            f"RAM: {ram / GIB:,.1f} GiB are needed on each node, which has"
            f" {machine.ram / GIB:,.1f} GiB ({_said(plan.ram, GIB)})"
        )
    if machine.gpu is None:
        return
    for runs in alike(plan.runs):
        phase, parts = footprint.peak(runs[0].memory)
        if sum(parts.values()) > machine.gpu.memory:
            names = ", ".join(run.name for run in runs)
            yield (
                f"GPU memory: {names}: {sum(parts.values()) / GIB:,.1f} GiB are needed on each GPU"
                f" ({phase}: {_said(parts, GIB)}), and {machine.gpu.name} has"
                f" {machine.gpu.memory / GIB:,.1f} GiB;"
                f" {advice(runs[0].memory, machine.gpu.memory)}"
            )


def _said(parts: Bytes, unit: float) -> str:
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {size / unit:,.1f}" for name, size in largest if size / unit >= 0.05)


def page(plan: Plan) -> str:
    """Machine, memory, disk, time and what was assumed."""
    backbone = plan.settings.model.path or plan.settings.model.backbone
    local = plan.settings.engine.kind == "local"
    made, gpu = [*plan.stages, *plan.runs], plan.machine.gpu is not None
    where = "each GPU" if gpu else "each process"
    parts = [
        f"{plan.settings.name}: {backbone}, {_count(plan.shape.parameters)} parameters",
        f"on {plan.machine.says()}",
        f"## Memory of {where}, GiB\n\n{memory_table(made)}" if made else "",
        "" if local or not plan.runs else servers(plan),
        f"## RAM of each node, GiB\n\n{sizes(plan.ram, GIB)}",
        f"## Disk, GB\n\n{sizes(plan.disk, 1e9)}",
        f"## Time\n\n{time_table(made, measured(plan.settings))}" if made else "",
        totals(plan),
        "## Assumed, not measured\n\n"
        + "\n".join(f"- {line}" for line in plan.sure.says(gpu, plan.settings.model.path is None)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def alike(runs: list[RunPlan]) -> list[list[RunPlan]]:
    """Runs that take the same memory."""
    groups: dict[tuple[object, ...], list[RunPlan]] = {}
    for run in runs:
        phase, parts = footprint.peak(run.memory)
        groups.setdefault((phase, *parts.items()), []).append(run)
    return list(groups.values())


def memory_table(runs: list[RunPlan]) -> str:
    """The larger phase of each run; runs that take the same share a line."""
    groups = alike(runs)
    peaks = [footprint.peak(group[0].memory) for group in groups]
    names = dict.fromkeys(name for _, parts in peaks for name in parts)
    columns = [name for name in names if any(parts.get(name) for _, parts in peaks)]
    columns.sort(key="overhead".__eq__)
    lines = []
    for group, (phase, parts) in zip(groups, peaks, strict=True):
        sizes = [_size(parts.get(name), GIB) for name in columns]
        lines.append([_named(group), phase, *sizes, _size(sum(parts.values()), GIB)])
    return grid(["run", "largest in", *columns, "sum"], lines, words=2)


def _named(runs: list[RunPlan]) -> str:
    shown = ", ".join(run.name for run in runs[:2])
    return shown if len(runs) < 3 else f"{shown} and {len(runs) - 2} more"


def _size(size: float | None, unit: float) -> str:
    if not size:
        return "-"
    return f"{size / unit:,.2f}" if size / unit >= 0.005 else "<0.01"


def servers(plan: Plan) -> str:
    """What the servers that sample must hold between them, apart from the training's GPUs."""
    run = max((run.memory for run in plan.runs), key=lambda run: run.longest)
    one = run.longest * footprint.cache(run, 2)
    return (
        f"The servers of engine.urls hold {plan.shape.parameters * 2 / GIB:,.1f} GiB of weights in"
        f" bf16 (tensor parallelism divides them) and {one / GIB:,.2f} GiB of keys and values a"
        " trajectory, on GPUs of their own."
    )


def sizes(parts: Bytes, unit: float) -> str:
    lines = [[name, _size(size, unit)] for name, size in parts.items() if size]
    return grid(["", "size"], [*lines, ["sum", _size(sum(parts.values()), unit)]])


def time_table(runs: list[RunPlan], recorded: dict[str, float]) -> str:
    """A line a run; beside the estimate what a step of it took, where there is a record of it."""
    header = ["run", "steps", "rows", "written", "trained on", "rollout s", "update s", "in all"]
    lines = [
        [
            run.name,
            f"{run.steps:,}",
            f"{run.step.trajectories:,}",
            _count(run.step.written),
            _count(run.step.trained_on),
            _seconds(run.rollout_s),
            _seconds(run.update_s),
            _lasting(run.hours),
        ]
        for run in runs
    ]
    said = "Rows, tokens and seconds are those of one step."
    if recorded:
        header.append("measured s")
        for line in lines:
            line.append(_seconds(recorded.get(line[0], 0)))
        said += " Measured is the median step of the finished run under the results folder."
    return f"{grid(header, lines)}\n\n{said}"


def totals(plan: Plan) -> str:
    seeds = len(plan.settings.seeds)
    evaluating = plan.evaluations * plan.evaluation_hours
    lines = [
        f"Training: {_lasting(plan.training_hours)}, {_several(seeds, 'seed')}, one run after the"
        " other.",
        f"Evaluation: {plan.evaluations} of {plan.questions:,} questions each,"
        f" {_lasting(evaluating)} one after the other, by one process.",
    ]
    if plan.machine.gpu is not None:
        own = plan.settings.engine.kind == "local"
        lines.append(f"GPU-hours: {plan.gpu_hours:,.0f}" + ("." if own else ", servers included."))
    return "\n".join(lines)


def _seconds(number: float) -> str:
    return f"{number:,.{1 if number >= 1 else 2}f}" if number else "-"


def _lasting(hours: float) -> str:
    if hours >= 1:
        return f"{hours:,.1f} h"
    return f"{hours * 60:.1f} min" if hours >= 1 / 60 else f"{hours * 3600:.0f} s"


def _several(number: int, of: str) -> str:
    return f"{number} {of}{'s' * (number > 1)}"


def _count(number: float) -> str:
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:,.2f}{name}"
    return f"{number:,.0f}" if number else "-"
