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
    for run in plan.runs:
        phase, parts = footprint.peak(run.memory)
        if sum(parts.values()) > machine.gpu.memory:
            yield (
                f"GPU memory: run {run.name} needs {sum(parts.values()) / GIB:,.1f} GiB on each GPU"
                f" ({phase}: {_said(parts, GIB)}), and {machine.gpu.name} has"
                f" {machine.gpu.memory / GIB:,.1f} GiB; {advice(run.memory, machine.gpu.memory)}"
            )


def _said(parts: Bytes, unit: float) -> str:
    largest = sorted(parts.items(), key=lambda part: -part[1])
    return ", ".join(f"{name} {size / unit:,.1f}" for name, size in largest if size / unit >= 0.05)


def page(plan: Plan) -> str:
    """Machine, memory, disk, time and what was assumed."""
    backbone = plan.settings.model.path or plan.settings.model.backbone
    local = plan.settings.engine.kind == "local"
    where = "each process" if plan.machine.gpu is None else "each GPU"
    parts = [
        f"{plan.settings.name}: {backbone}, {_count(plan.shape.parameters)} parameters",
        f"on {plan.machine.says()}",
        f"## Memory of {where}, GiB\n\n{memory_table(plan.runs)}" if plan.runs else "",
        "" if local or not plan.runs else servers(plan),
        f"## RAM of each node, GiB\n\n{sizes(plan.ram, GIB)}",
        f"## Disk, GB\n\n{sizes(plan.disk, 1e9)}",
        f"## Time\n\n{time_table(plan.runs)}" if plan.runs else "",
        totals(plan),
        "## Assumed, not measured\n\n" + "\n".join(f"- {line}" for line in plan.sure.says()),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def memory_table(runs: list[RunPlan]) -> str:
    """A line a run, its larger phase; runs that take the same share a line."""
    alike: dict[tuple[str, tuple[tuple[str, float], ...]], list[str]] = {}
    for run in runs:
        phase, parts = footprint.peak(run.memory)
        alike.setdefault((phase, tuple(parts.items())), []).append(run.name)
    columns = list(dict.fromkeys(name for _, parts in alike for name, _ in parts))
    lines = [
        [", ".join(names), phase, *(_gib(dict(parts).get(c)) for c in columns), _gib(_sum(parts))]
        for (phase, parts), names in alike.items()
    ]
    return grid(["run", "largest in", *columns, "sum"], lines, words=2)


def _sum(parts: tuple[tuple[str, float], ...]) -> float:
    return sum(size for _, size in parts)


def _gib(size: float | None) -> str:
    return "-" if size is None else f"{size / GIB:,.2f}"


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
    lines = [[name, f"{size / unit:,.2f}"] for name, size in parts.items()]
    return grid(["", "size"], [*lines, ["sum", f"{sum(parts.values()) / unit:,.2f}"]])


def time_table(runs: list[RunPlan]) -> str:
    header = ["run", "steps", "rollouts", "written", "trained on", "rollout s", "update s", "hours"]
    lines = [
        [
            run.name,
            f"{run.steps:,}",
            f"{run.step.trajectories:,}",
            _count(run.step.written),
            _count(run.step.trained_on),
            f"{run.rollout_s:,.1f}",
            f"{run.update_s:,.1f}",
            f"{run.hours:,.2f}",
        ]
        for run in runs
    ]
    return grid(header, lines) + "\n\nRollouts, tokens and seconds are those of one step."


def totals(plan: Plan) -> str:
    seeds = len(plan.settings.seeds)
    evaluating = plan.evaluations * plan.evaluation_hours
    lines = [
        f"Training: {plan.training_hours:,.1f} hours, {seeds} seed(s), one run after the other.",
        f"Evaluation: {plan.evaluations} of {plan.questions:,} questions, {evaluating:,.1f} hours"
        " one after the other, each by one process.",
    ]
    if plan.machine.gpu is not None:
        own = plan.settings.engine.kind == "local"
        lines.append(f"GPU-hours: {plan.gpu_hours:,.0f}" + ("." if own else ", servers included."))
    return "\n".join(lines)


def _count(number: float) -> str:
    for unit, name in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:,.2f}{name}"
    return f"{number:,.0f}"
