"""What the report says of the runs: how they went, how training ended, what they ran on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from searchr2.report.grid import Cell, Grid
from searchr2.tracking.folders import RecordFolder

LAST = 0.25
"""The share of a run's steps, its last, whose mean is shown: single steps scatter."""


@dataclass(frozen=True, slots=True)
class Sign:
    """A figure of training health, as docs/metrics.md has it."""

    title: str
    healthy: str
    of: Callable[[Mapping[str, float]], float | None]
    is_healthy: Callable[[float], bool] = lambda _: True
    digits: str = ".2f"


def _key(name: str, scale: float = 1) -> Callable[[Mapping[str, float]], float | None]:
    return lambda means: None if name not in means else scale * means[name]


def _discrimination(means: Mapping[str, float]) -> float | None:
    right, wrong = means.get("refiner/accept_right"), means.get("refiner/accept_wrong")
    return None if right is None or wrong is None else 100 * (right - wrong)


HEALTH = (
    Sign("Validation EM, %", "rises", _key("validation/em", 100), digits=".1f"),
    Sign("Answered, %", "above 90", _key("rollout/answered", 100), lambda x: x > 90, ".1f"),
    Sign("Equal groups, %", "below 70", _key("reward/equal_groups", 100), lambda x: x < 70, ".1f"),
    Sign("Revised, %", "5 to 90", _key("refiner/revised", 100), lambda x: 5 <= x <= 90, ".1f"),
    Sign("Right drafts kept, %", "-", _key("refiner/accept_right", 100), digits=".1f"),
    Sign("Wrong ones less, by", "above 0", _discrimination, lambda x: x > 0, "+.1f"),
    Sign("A cut regains, EM", "above 0", _key("refiner/regain", 100), lambda x: x > 0, "+.1f"),
    Sign(
        "Sampler gap, nats",
        "1e-5 in fp32, 1e-2 in bf16",
        _key("policy/sampler_gap"),
        lambda x: x < 0.05,  # the record does not say which precision a server has
        ".0e",
    ),
)


def health(records: Iterable[RecordFolder]) -> Grid | None:
    """How each training run ended: the mean over the last quarter of its steps."""
    lines = []
    for record in records:
        points = record.lines(0)[0]
        if record.about["stage"] != "train" or not points:
            continue
        table = pd.DataFrame([{"step": p["step"], **p["metrics"]} for p in points])
        by_step = table.groupby("step").last()
        end = by_step[by_step.index > (1 - LAST) * by_step.index.max()]
        means = {str(key): float(mean) for key, mean in end.mean().dropna().items()}
        cells = [_health(sign, means) for sign in HEALTH]
        lines.append([Cell(record.key.removeprefix("train/")), *cells])
    header = ["Run", *(sign.title for sign in HEALTH)]
    wanted = [Cell("healthy"), *(Cell(sign.healthy) for sign in HEALTH)]
    return Grid(header, [False, *([True] * len(HEALTH))], [wanted, *lines]) if lines else None


def runs(records: Sequence[RecordFolder]) -> Grid | None:
    """Every record: how it ended, how long it took, what made it."""
    lines = []
    for record in records:
        about = record.about
        spent = sum(a["end"] - a["start"] for a in about["attempts"] if a["end"])
        ended = datetime.fromtimestamp(about["end"] / 1000, UTC) if about["end"] else None
        status = Cell(about["status"], tone="" if about["status"] == "finished" else "bad")
        others = [
            f"{spent / 1000:.0f}",
            str(len(about["attempts"])),
            about["tags"].get("commit", "")[:10]
            + ("+" if about["tags"].get("dirty") == "True" else ""),
            f"{ended:%Y-%m-%d %H:%M} UTC" if ended else "",
        ]
        lines.append([Cell(record.key), status, *map(Cell, others)])
    header = ["Record", "Status", "Seconds", "Attempts", "Commit", "Ended"]
    return Grid(header, [False, False, True, True, False, False], lines) if lines else None


def environments(made: Mapping[str, Mapping[str, Any] | None]) -> list[dict[str, Any]]:
    """Code, versions and machine, once for each way they were together, with what they made.

    ``made`` is the provenance of each table and figure, by its title.
    """
    found: dict[str, dict[str, Any]] = {}
    for title, of in made.items():
        if not of:
            continue
        code, machine = of["code"], of["hardware"]
        gpus = ", ".join(machine["gpus"]) or "no GPU"
        about = {
            "commit": str(code["commit"]) + (" with local changes" if code["dirty"] else ""),
            "code": code["digest"],
            "packages": ", ".join(f"{name} {version}" for name, version in of["packages"].items()),
            "machine": f"{machine['cores']} cores, {machine['memory_gib']} GiB, {gpus}; "
            f"{machine['system']}",
        }
        found.setdefault(str(about), {**about, "titles": []})["titles"].append(title)
    return list(found.values())


def _health(sign: Sign, means: Mapping[str, float]) -> Cell:
    value = sign.of(means)
    if value is None:
        return Cell("")
    return Cell(format(value, sign.digits), tone="" if sign.is_healthy(value) else "bad")
