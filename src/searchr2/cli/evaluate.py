"""Answer questions greedily by one method and score the answers, all sets in one go.

Writes predictions.jsonl (one readable trajectory a row) and metrics.json (EM, F1, sub-EM and recall
by set).

example:
  searchr2 evaluate --method search --checkpoint results/train/search-r2/seed1 \\
      --index results/index/task --questions results/data/questions/*.jsonl \\
      --out results/evaluate/search-r2/seed1
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    from searchr2.config import METHODS

    parser.add_argument("--method", choices=METHODS, required=True, help="how they are answered")
    parser.add_argument(
        "--checkpoint", required=True, help="a run's folder, a save_pretrained folder or a hub id"
    )
    parser.add_argument("--index", type=Path, required=True, help="index folder")
    parser.add_argument(
        "--questions", type=Path, nargs="+", required=True, help="JSON lines, a set a file"
    )
    parser.add_argument("--config", type=Path, help="resolved settings (JSON); defaults otherwise")
    parser.add_argument("--refine", action="store_true", help="let the Meta-Refiner work as well")
    parser.add_argument("--out", type=Path, required=True, help="record folder to write")


def run(options: argparse.Namespace) -> None:
    from searchr2.build import load_model, load_retriever, make_engine, quiet, weights_folder
    from searchr2.codec import Codec
    from searchr2.config import EvaluateConfig, load
    from searchr2.engines.weights import Fixed
    from searchr2.evaluation import evaluate, summary
    from searchr2.files import read_json, write_json, write_jsonl
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions

    quiet()
    data = read_json(options.config) if options.config else {}
    config = load(EvaluateConfig, data, options.config or "defaults")
    refine = options.refine or config.evaluation.refine
    settings = config.evaluation.model_copy(update={"refine": refine})
    weights = weights_folder(options.checkpoint, "`snakemake` makes what is gone")
    with open_record(options, config.model_copy(update={"evaluation": settings}), weights):
        codec = Codec.load(weights)
        questions = [q for path in options.questions for q in read_questions(path)]
        rows = evaluate(
            options.method,
            questions,
            make_engine(config.engine, codec, lambda: load_model(weights), Fixed(weights)),
            load_retriever(options.index),
            load_prompts(config.prompts, codec),
            config.rollout,
            config.refiner,
            settings,
            config.retrieval.k,
        )
        write_jsonl(options.out / "predictions.jsonl", rows)
        write_json(options.out / "metrics.json", summary(rows))


def open_record(options: argparse.Namespace, config: Any, weights: str) -> Any:
    """The record of an evaluation, named by the folder it is in: row, seed, step of a snapshot."""
    from searchr2.tracking.record import Record

    folder, step = options.out, ""
    if folder.parent.name == "steps":
        folder, step = folder.parents[1], f"/{folder.name}"
    row, seed = folder.parent.name, folder.name
    return Record.open(
        options.out,
        name=f"evaluate/{row}/{config.backbone or Path(weights).name}/{seed}{step}",
        stage="evaluate",
        tags={
            "method": options.method,
            "row": row,
            "backbone": config.backbone,
            "seed": seed.removeprefix("seed"),
            "checkpoint": config.checkpoint or options.checkpoint,
        },
        config=config.model_dump() | {"method": options.method},
        inputs={path.stem: path for path in options.questions}
        | {"index": options.index, "checkpoint": Path(weights).with_name("manifest.json")},
    )
