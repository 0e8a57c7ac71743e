"""Train the small base model from scratch: a Qwen2 that knows the format, explores, leaves room.

It imitates demonstrations about training entities, searched for real in the world's index. Killed,
the same command goes on from the newest checkpoint and ends with the same bytes.

example:
  searchr2 base --config results/config/base.json --tokenizer results/tokenizer \\
      --index results/index/world --demonstrations results/world/demonstrations.jsonl \\
      --out results/base
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="resolved settings (JSON)")
    parser.add_argument("--tokenizer", type=Path, required=True, help="tokenizer folder")
    parser.add_argument("--index", type=Path, required=True, help="index of the world's corpus")
    parser.add_argument("--demonstrations", type=Path, required=True, help="questions (JSONL)")
    parser.add_argument("--out", type=Path, required=True, help="record folder to write")


def run(options: argparse.Namespace) -> None:
    from searchr2.build import load_retriever, new_model, quiet
    from searchr2.codec import Codec
    from searchr2.config import BaseConfig, load
    from searchr2.files import digest, read_json, sha256, verify_manifest
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.tracking.record import Record
    from searchr2.training import checkpoints
    from searchr2.training.export import export
    from searchr2.training.policy import Policy
    from searchr2.training.supervised import imitate

    quiet()
    config = load(BaseConfig, read_json(options.config), options.config)
    verify_manifest(options.tokenizer, "`snakemake --forcerun tokenizer` rebuilds it")
    codec, retriever = Codec.load(options.tokenizer), load_retriever(options.index)
    questions = read_questions(options.demonstrations)
    inputs = {
        "tokenizer": options.tokenizer / "manifest.json",
        "index": options.index / "manifest.json",
        "demonstrations": options.demonstrations,
    }
    identity = digest([config.model_dump(), {k: sha256(path) for k, path in inputs.items()}])
    record = Record.open(
        options.out,
        name=f"base/{config.model.backbone}/seed{config.base.seed}",
        stage="base",
        tags={"method": "base", "backbone": config.model.backbone, "seed": config.base.seed},
        config=config.model_dump(),
        inputs=inputs,
    )
    settings, state = config.base, options.out / "state"
    with record:
        lessons = curriculum(config, questions, load_prompts(config.prompts, codec), retriever)
        model = new_model(config.model, codec.size, settings.seed)
        policy = Policy(model, config.deepspeed, 1.0, settings.weight_decay, settings.adam_beta2)
        start = checkpoints.resume(state, identity, policy.load)
        record.rewind(start)
        imitate(policy, lessons.batch, settings, record, state, identity, start)
        about = {"stage": "base", "identity": identity}
        export(policy.model, options.tokenizer, options.out, about)
        policy.close()


def curriculum(config: Any, questions: Any, prompts: Any, retriever: Any) -> Any:
    """The base stage's lessons, with a demonstration a question, roles drawn by their shares."""
    from searchr2.demonstrations import Demonstrator, Role
    from searchr2.driver import drive
    from searchr2.lessons import Curriculum
    from searchr2.randomness import generator, stage_key

    settings = config.base
    shares = settings.role_shares()
    demonstrator = Demonstrator(prompts, config.rollout, settings)
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
