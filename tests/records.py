"""Synthetic record folders, as a workflow of three trained runs and five rows would leave them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from searchr2.config import SETS
from searchr2.files import write_json, write_jsonl, write_text
from searchr2.tracking.record import Record

BACKBONE = "qwen2-mini"
SNAPSHOT = 4
"""The step at which a training run keeps its weights."""
BEST_EARLY = "triviaqa"
"""The set on which the snapshot is better than all else."""
Row = dict[str, Any]


def open_training(results: Path, run: str, seed: int) -> Record:
    return Record.open(
        results / f"train/{run}/seed{seed}",
        name=f"train/{run}/{BACKBONE}/seed{seed}",
        stage="train",
        tags={"method": run, "backbone": BACKBONE, "seed": seed},
        config={
            "run": run,
            "seed": seed,
            "method": "direct" if run == "r1" else "search",
            "grpo": {"steps": 6, "learning_rate": 4e-4},
        },
        inputs={"validation": results / "data/validation.jsonl"},
    )


def train_record(results: Path, run: str, seed: int, steps: int = 6) -> None:
    """A finished training run whose reward rises towards 1, and a snapshot of it."""
    with open_training(results, run, seed) as record:
        for step in range(1, steps + 1):
            record.log(training_metrics(step, seed), step)
            if step == SNAPSHOT < steps:
                record.log({"validation/em": 0.25}, step)
                kept = record.folder / f"snapshots/step{step:04d}"
                write_json(kept / "manifest.json", {"step": step})
        record.log({"validation/em": 0.5}, steps)
        for step in (1, 2, steps):
            rows = [prediction(f"t-{i}", "nq", i < 2, "search") for i in range(4)]
            rows[0] = revised(rows[0], "Ada Lind")
            record.keep(
                [{**row, "rollout": i, **rewarded(row)} for i, row in enumerate(rows)], step
            )


def rewarded(row: Row) -> Row:
    """What a row is worth where half of its searches were useful; a wrong one is not judged."""
    return {"process": 0.5, "reward": 1.5} if row["em"] else {"process": None, "reward": 0.0}


def training_metrics(step: int, seed: int) -> dict[str, float]:
    reward = 1 - math.exp(-step / 4) + seed / 100
    return {"reward/mean": reward, "reward/em": reward / 1.5, "loss": 1 / step, "time/rollout": 2.5}


def evaluation_record(
    results: Path, row: str, method: str, checkpoint: str, em: float, snapshot: int | None = None
) -> None:
    """A finished evaluation with ``em`` percent on every set, a little more on later ones."""
    seed = checkpoint.rpartition("seed")[2] if "seed" in checkpoint else "1"
    folder, weights = results / f"evaluate/{row}/seed{seed}", results / checkpoint
    step = "" if snapshot is None else f"/step{snapshot:04d}"
    if step:
        folder, weights = Path(f"{folder}/steps{step}"), Path(f"{weights}/snapshots{step}")
    tags = {"method": method, "row": row, "backbone": BACKBONE, "seed": seed}
    inputs = {name: results / f"data/questions/{name}.jsonl" for name in SETS}
    with Record.open(
        folder,
        name=f"evaluate/{row}/{BACKBONE}/seed{seed}{step}",
        stage="evaluate",
        tags=tags | {"checkpoint": checkpoint},
        config={"rollout": {"max_turns": 4}},
        inputs=inputs | {"checkpoint": weights / "manifest.json"},
    ):
        sets: dict[str, dict[str, Any]] = {
            name: {
                "em": em + i + (30 if snapshot and name == BEST_EARLY else 0),
                "f1": em + i + 5,
                "sub_em": em + i + 2,
                "title_recall": None if name == "nq" else 40.0,
                "searches": 1.5,
                "n": 100,
            }
            for i, name in enumerate(SETS)
        }
        rows = predictions(method, em)
        if row == "search-r2":
            rows[0] = revised(rows[0], "Ada Lind")
        write_jsonl(folder / "predictions.jsonl", rows)
        average = {key: sets["nq"][key] + 3 for key in ("em", "f1", "sub_em")}
        write_json(folder / "metrics.json", {"sets": sets, "average": average})


def predictions(method: str, em: float) -> list[Row]:
    """A hundred questions a set, ``em`` of them answered rightly."""
    return [prediction(f"{name}-{i}", name, i < em, method) for name in SETS for i in range(100)]


def prediction(id: str, dataset: str, right: bool, method: str) -> Row:
    answer = "Mira Voss" if right else "Ada Lind"
    found = [passage("The Quiet Harbour"), passage("Mira Voss")]
    row = {
        "id": id,
        "dataset": dataset,
        "question": f"Who directed The Quiet Harbour, number {id}?",
        "golden_answers": ["Mira Voss"],
        "prediction": answer,
        "em": float(right),
        "f1": float(right),
        "sub_em": float(right),
        "searches": 1,
        "supporting_titles": ["The Quiet Harbour"],
        "titles_found": ["The Quiet Harbour"],
    }
    last = {"text": f"<answer> {answer} </answer>", "answer": answer}
    if method == "direct":
        return {**row, "turns": [last]}
    if method == "rag":
        return {**row, "context": found, "turns": [last]}
    text = "<think> I need the film. </think><search> The Quiet Harbour </search>"
    return {
        **row,
        "turns": [{"text": text, "query": "The Quiet Harbour", "documents": found}, last],
    }


def revised(row: Row, draft_answer: str) -> Row:
    """``row`` as the Meta-Refiner would have left it after cutting before the answer."""
    draft = [row["turns"][0], {"text": "<answer> x </answer>", "answer": draft_answer}]
    verdict = {"choice": 2, "accepts": False, "probabilities": [0.2, 0.1, 0.7]}
    return {**row, "verdicts": [verdict], "drafts": [draft]}


def passage(title: str) -> Row:
    return {"id": title, "title": title, "text": f"{title} is known here.", "score": 7.25}


def write_questions(results: Path) -> None:
    for name in (*(f"questions/{name}" for name in SETS), "validation"):
        write_text(results / f"data/{name}.jsonl", f"{name}\n")


def base_record(results: Path) -> None:
    with Record.open(
        results / "base",
        name=f"base/{BACKBONE}",
        stage="base",
        tags={"method": "base", "backbone": BACKBONE, "seed": 1},
        config={"base": {"steps": 30}},
    ) as record:
        for step in range(1, 31):
            record.log({"loss": 3 / step, "learning_rate": 1e-3}, step)


def write_results(results: Path) -> None:
    write_questions(results)
    base_record(results)
    for run in ("search-r1", "search-r2"):
        for seed in (1, 2):
            train_record(results, run, seed)
    for row, em in (("direct", 2.0), ("rag", 20.0), ("search", 30.0)):
        evaluation_record(results, row, row, "base", em)
    for run, em in (("search-r1", 50.0), ("search-r2", 55.0)):
        for seed in (1, 2):
            evaluation_record(results, run, "search", f"train/{run}/seed{seed}", em + seed)
    evaluation_record(results, "search-r2", "search", "train/search-r2/seed1", 45.0, SNAPSHOT)
