"""Measure the terms of the Meta-Refiner's gain (the paper's section 4) on checkpoints of a run.

Drafts of the Actor are all shown to the Meta-Refiner and regenerated from every place they could be
cut; apart from that the two work together as in training, which gives the gain itself. A line a
checkpoint, each quantity beside its standard error (docs/theory.md says how to read it). What was
sampled stays in the folder named like the table, so that a killed command goes on and a finished
one only draws again.

example:
  searchr2 gains --config results/config/gains.json \\
      --checkpoints 0=results/base results/train/search-r2/seed1/snapshots/step* \\
          24=results/train/search-r2/seed1 \\
      --index results/index/task --questions results/data/validation.jsonl \\
      --out results/table_gains.csv --figure results/figures/gains
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="resolved settings (JSON)")
    parser.add_argument(
        "--checkpoints",
        nargs="+",
        required=True,
        metavar="N=DIR",
        help="training step and checkpoint; a folder named step<N> says it itself",
    )
    parser.add_argument("--index", type=Path, required=True, help="index folder")
    parser.add_argument(
        "--questions", type=Path, nargs="+", required=True, help="JSON lines, not the test sets"
    )
    parser.add_argument("--out", type=Path, required=True, help="the table, CSV")
    parser.add_argument("--figure", type=Path, help="path without ending; .png and .pdf")


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    from searchr2.build import quiet
    from searchr2.config import ConfigError, GainsConfig, load
    from searchr2.files import read_json, write_text
    from searchr2.gains.figure import gains
    from searchr2.plots import save
    from searchr2.tracking.provenance import made

    quiet()
    config = load(GainsConfig, read_json(options.config), options.config)
    if config.refiner.max_revisions == 0:
        reason = "0 turns the Meta-Refiner off and there is no gain; measure a run that has one"
        raise ConfigError(f"{options.config}: refiner.max_revisions: {reason}")
    found = steps(options.checkpoints)
    paths = [*found.values(), options.index, *options.questions]
    inputs = {str(path): path for path in paths}
    with made(options.out, stage="gains", config=config.model_dump(), inputs=inputs):
        lines = [
            {"step": step, "checkpoint": str(folder), **measure(step, folder, config, options)}
            for step, folder in found.items()
        ]
        table = pd.DataFrame(lines)
        text = table.to_csv(index=False, float_format="%.4f", lineterminator="\n")
        write_text(options.out, text)
    if options.figure:
        save(gains(table), options.figure)


def steps(arguments: list[str]) -> dict[int, Path]:
    """Training step -> checkpoint, in order; raises ``UserError`` where a step is unknown or twice.

    ``steps(["0=results/base", "snapshots/step0004"])`` are steps 0 and 4.
    """
    from searchr2.files import UserError

    found: dict[int, Path] = {}
    for argument in arguments:
        number = re.fullmatch(r"(\d+)=(.+)|.*?\bstep(\d+)/?", argument)
        if number is None:
            raise UserError(f"--checkpoints {argument}: of which training step? Say N={argument}")
        step, folder = int(number[1] or number[3]), Path(number[2] or argument)
        if step in found:
            raise UserError(f"--checkpoints: step {step} is both {found[step]} and {folder}")
        found[step] = folder
    return dict(sorted(found.items()))


def measure(step: int, folder: Path, config: Any, options: argparse.Namespace) -> dict[str, Any]:
    """The columns of a checkpoint, from what was sampled of it, now or before."""
    from dataclasses import asdict

    from searchr2.files import digest, read_json, write_json
    from searchr2.gains.sampling import Sample
    from searchr2.tracking.provenance import content_digest

    read = [folder, options.index, *options.questions]
    identity = digest([config.model_dump(), [content_digest(path) for path in read]])
    path = options.out.with_suffix("") / f"step{step:04d}.json"
    kept = read_json(path) if path.is_file() else {}
    if kept.get("identity") == identity:
        sample = Sample.of_json(kept)
    else:
        sample = draw(step, folder, config, options)
        write_json(path, {"identity": identity, **asdict(sample)})
    columns: dict[str, Any] = {
        "questions": len({draft.question for draft in sample.drafts}),
        "drafts": len(sample.drafts),
        "regenerations": config.gains.regenerations,
        "rollouts": len(sample.lifts),
    }
    for name, estimate in sample.estimates(config.rollout.max_turns).items():
        columns |= {name: estimate.value, f"{name}_se": estimate.error}
    return columns


def draw(step: int, folder: Path, config: Any, options: argparse.Namespace) -> Any:
    """Load a checkpoint and sample it."""
    from searchr2.actor import Actor
    from searchr2.build import (
        load_model,
        load_retriever,
        make_engine,
        make_judge,
        weights_folder,
    )
    from searchr2.codec import Codec
    from searchr2.engines.weights import Fixed
    from searchr2.gains.sampling import Sampler, pick
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.refiner import MetaRefiner

    weights = weights_folder(str(folder), "`snakemake --forcerun train` rebuilds it")
    codec = Codec.load(weights)
    prompts = load_prompts(config.prompts, codec)
    actor = Actor(prompts, config.rollout, config.rollout.temperature)
    questions = [q for path in options.questions for q in read_questions(path)]
    sampler = Sampler(
        refiner=MetaRefiner(actor, config.refiner),
        judge=make_judge(config.reward, config.judge),
        engine=make_engine(config.engine, codec, lambda: load_model(weights), Fixed(weights)),
        retriever=load_retriever(options.index),
        k=config.retrieval_k,
        settings=config.gains,
        name=f"step {step}",
    )
    return sampler.sample(pick(questions, config.gains))
