"""Train the small base model from scratch: a Qwen2 that knows the format, explores, leaves room.

It imitates demonstrations about training entities, searched for real in the world's index. Started
from a model in place of a tokenizer it goes on from its weights: so the instruction stage is made
of the base model. Killed, the same command goes on from the newest checkpoint and ends with the
same bytes.

example:
  searchr2 base --config results/config/base.json --start results/tokenizer \\
      --index results/index/world --demonstrations results/world/demonstrations.jsonl \\
      --out results/base
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="resolved settings (JSON)")
    parser.add_argument(
        "--start", type=Path, required=True, help="a tokenizer, for new weights, or a model"
    )
    parser.add_argument("--index", type=Path, required=True, help="index of the world's corpus")
    parser.add_argument("--demonstrations", type=Path, required=True, help="questions (JSONL)")
    parser.add_argument("--out", type=Path, required=True, help="record folder to write")


def run(options: argparse.Namespace) -> None:
    from searchr2.build import load_retriever, quiet
    from searchr2.codec import Codec
    from searchr2.config import BaseConfig, load
    from searchr2.files import digest, read_json, sha256, verify_manifest
    from searchr2.processes import become
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.tracking.record import NoRecord, Record
    from searchr2.training.deepspeed_json import for_updates
    from searchr2.training.export import WEIGHTS, export
    from searchr2.training.peers import join
    from searchr2.training.supervised import imitate

    quiet()
    config = load(BaseConfig, read_json(options.config), options.config)
    for_updates(config.deepspeed, config.lessons)  # what contradicts itself is said at once
    become(config.deepspeed.processes)
    peers = join()
    verify_manifest(options.start, "`snakemake --forcerun tokenizer base` rebuilds it")
    weights = options.start / WEIGHTS
    source = weights if weights.is_dir() else options.start
    codec, retriever = Codec.load(source), load_retriever(options.index)
    questions = read_questions(options.demonstrations)
    inputs = read_by(options, config)
    said = config.model_dump(exclude={"deepspeed": {"processes"}})  # no matter of the stage's
    identity = digest([said, {k: sha256(path) for k, path in inputs.items()}])
    settings, stage, state = config.lessons, config.stage, options.out / "state"
    record = Record.open(
        options.out,
        name=f"{stage}/{config.model.backbone}/seed{settings.seed}",
        stage=stage,
        tags={"method": stage, "backbone": config.model.backbone, "seed": settings.seed},
        config=said,
        inputs=inputs,
    )
    with record if peers.first else NoRecord() as held:
        lessons = curriculum(config, questions, load_prompts(config.prompts, codec), retriever)
        model = starting_model(config, source, codec.size)
        policy = imitate(
            stage, model, lessons.batch, settings, config.deepspeed, held, state, identity, peers
        )
        export(policy.export, source, options.out, {"stage": stage, "identity": identity}, peers)
        policy.close()


def read_by(options: argparse.Namespace, config: Any) -> dict[str, Path]:
    """The files the stage reads."""
    own = config.deepspeed.config
    return {
        "start": options.start / "manifest.json",
        "index": options.index / "manifest.json",
        "demonstrations": options.demonstrations,
        **({"deepspeed": Path(own)} if own else {}),
    }


def starting_model(config: Any, source: Path, vocabulary: int) -> Any:
    """The model in ``source``; new weights where it is a tokenizer's folder."""
    from searchr2.build import load_model, new_model
    from searchr2.training.export import WEIGHTS

    if source.name == WEIGHTS:
        return load_model(str(source))
    return new_model(config.model, vocabulary, config.lessons.seed)


def curriculum(config: Any, questions: Any, prompts: Any, retriever: Any) -> Any:
    """A stage's lessons, with a demonstration a question, roles drawn by their shares."""
    from searchr2.config import Role
    from searchr2.driver import drive
    from searchr2.instructions import Instructor
    from searchr2.lessons import Curriculum
    from searchr2.randomness import generator, stage_key

    settings, shares = config.lessons, config.lessons.shares
    demonstrator = Instructor(prompts, config.rollout, settings)
    key = stage_key(settings.seed, "demonstrations")
    procedures = []
    for index, question in enumerate(questions):
        rng = generator(*key, index)
        role = cast(Role, str(rng.choice(list(shares), p=list(shares.values()))))
        procedures.append(demonstrator.show(question, role, rng))
    shown = drive(procedures, None, retriever, config.retrieval.k)
    return Curriculum(
        settings, prompts, questions, [demonstration.spans for demonstration in shown]
    )
