"""Synthetic record folders, as a workflow of three trained runs and five rows would leave them."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

from searchr2.config import SETS
from searchr2.files import write_json
from searchr2.tracking.record import Record

BACKBONE = "qwen2-mini"


def train_record(results: Path, run: str, seed: int, steps: int = 6) -> None:
    """A finished training run whose reward rises towards 1."""
    key = f"train/{run}/seed{seed}"
    config = {"run": run, "seed": seed, "grpo": {"steps": steps, "learning_rate": 4e-4}}
    tags = {"method": run, "backbone": BACKBONE, "seed": seed}
    with Record.open(
        results / key,
        name=f"train/{run}/{BACKBONE}/seed{seed}",
        stage="train",
        tags=tags,
        config=config,
    ) as record:
        for step in range(1, steps + 1):
            record.log(training_metrics(step, seed), step)


def training_metrics(step: int, seed: int) -> dict[str, float]:
    reward = 1 - math.exp(-step / 4) + seed / 100
    return {"reward/mean": reward, "reward/em": reward / 1.5, "loss": 1 / step, "time/rollout": 2.5}


def evaluation_record(results: Path, row: str, method: str, checkpoint: str, em: float) -> None:
    """A finished evaluation with ``em`` percent on every set, a little more on later ones."""
    seed = checkpoint.rpartition("seed")[2] if "seed" in checkpoint else "1"
    folder = results / f"evaluate/{row}/seed{seed}"
    tags = {"method": method, "backbone": BACKBONE, "seed": seed, "checkpoint": checkpoint}
    with Record.open(
        folder,
        name=f"evaluate/{row}/{BACKBONE}/seed{seed}",
        stage="evaluate",
        tags=tags,
        config={"method": method, "checkpoint": checkpoint},
    ):
        sets = {
            name: {
                "em": em + i,
                "f1": em + i + 5,
                "sub_em": em + i + 2,
                "n": 100,
                "digest": hashlib.sha256(name.encode()).hexdigest(),
                "source": f"data/questions/{name}.jsonl",
            }
            for i, name in enumerate(SETS)
        }
        average = {key: sets["nq"][key] + 3 for key in ("em", "f1", "sub_em")}
        write_json(folder / "metrics.json", {"sets": sets, "average": average})


def base_record(results: Path) -> None:
    with Record.open(
        results / "base",
        name=f"base/{BACKBONE}",
        stage="base",
        tags={"backbone": BACKBONE, "seed": 1},
        config={"base": {"steps": 30}},
    ) as record:
        for step in range(1, 31):
            record.log({"loss": 3 / step, "learning_rate": 1e-3}, step)


def write_results(results: Path) -> None:
    base_record(results)
    for run in ("search-r1", "search-r2"):
        for seed in (1, 2):
            train_record(results, run, seed)
    for row, em in (("direct", 2.0), ("rag", 20.0), ("search", 30.0)):
        evaluation_record(results, row, row, "base", em)
    for run, em in (("search-r1", 50.0), ("search-r2", 55.0)):
        for seed in (1, 2):
            evaluation_record(results, run, "search", f"train/{run}/seed{seed}", em + seed)
