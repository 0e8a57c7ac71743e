"""Train one run: Search-R2, Search-R1, what is between, and the other trained baselines.

Kinds of run: ``grpo`` (all but these), ``sft`` (imitate gold answers), ``rejection`` (imitate own
rollouts that were right) and ``verdicts`` (judge own rollouts, by gold evidence).

The config names the run's settings and what it reads; the workflow writes one for every entry of
``runs:``. Killed at any moment, the same command goes on from the newest checkpoint and ends with
the same bytes.

example:
  searchr2 train --config results/config/train/search-r2/seed1.json \\
      --out results/train/search-r2/seed1
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="a resolved run (JSON)")
    parser.add_argument("--out", type=Path, required=True, help="record folder to write")


def run(options: argparse.Namespace) -> None:
    from searchr2.build import quiet, weights_folder
    from searchr2.config import TrainConfig, load
    from searchr2.files import digest, read_json, sha256
    from searchr2.tracking.record import Record
    from searchr2.training.export import export

    quiet()
    config = load(TrainConfig, read_json(options.config), options.config)
    weights = weights_folder(config.paths.model, "`snakemake --forcerun base` rebuilds it")
    paths = [*config.paths.train, *config.paths.validation]
    inputs = {path: Path(path) for path in paths}
    inputs["index"] = Path(config.paths.index, "manifest.json")
    inputs["model"] = Path(weights, "config.json")
    if (manifest := Path(config.paths.model, "manifest.json")).is_file():
        inputs["model"] = manifest
    known = {name: sha256(path) for name, path in inputs.items() if path.is_file()}
    identity = digest([config.model_dump(), known])
    record = Record.open(
        options.out,
        name=f"train/{config.run}/{config.backbone}/seed{config.seed}",
        stage="train",
        tags={"method": config.run, "backbone": config.backbone, "seed": config.seed},
        config=config.model_dump(),
        inputs=inputs,
    )
    about = {"stage": "train", "run": config.run, "seed": config.seed, "identity": identity}
    train = optimise if config.kind == "grpo" else teach
    with record:
        model = train(config, weights, record, options.out, about)
        export(model, Path(weights), options.out, about)


def assemble(config: Any, weights: str) -> Any:
    """The trainer of a run with its adapters."""
    import copy

    from searchr2.build import load_model, load_retriever, make_judge
    from searchr2.codec import Codec
    from searchr2.engines.local import LocalEngine
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.training.loop import Trainer
    from searchr2.training.policy import Policy

    retriever = load_retriever(Path(config.paths.index))
    codec = Codec.load(weights)
    prompts = load_prompts(config.prompts, codec)
    model = load_model(weights)
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    policy = Policy(model, config.deepspeed, config.grpo.max_grad_norm)
    return Trainer(
        config=config,
        policy=policy,
        reference=reference,
        engine=LocalEngine(policy.model, codec),
        retriever=retriever,
        judge=make_judge(config.reward, config.judge),
        prompts=prompts,
        questions=training_questions(config, prompts),
        validation=[q for path in config.paths.validation for q in read_questions(Path(path))],
    )


def training_questions(config: Any, prompts: Any) -> list[Any]:
    """The questions to train on, less those whose prompt is too long."""
    from searchr2.config import ConfigError
    from searchr2.questions import read_questions

    questions = [q for path in config.paths.train for q in read_questions(Path(path))]
    limit = config.rollout.max_prompt_tokens
    fitting = [q for q in questions if len(prompts.actor(q.text).ids) <= limit]
    if not fitting:
        raise ConfigError(f"rollout.max_prompt_tokens: no training prompt is as short as {limit}")
    return fitting


def optimise(config: Any, weights: str, record: Any, out: Path, about: dict[str, Any]) -> Any:
    """Every GRPO step from the newest checkpoint on, with its record, validation and snapshots."""
    from searchr2 import progress
    from searchr2.training import checkpoints
    from searchr2.training.export import export
    from searchr2.training.metrics import CollapseWatch

    trainer, state, identity = assemble(config, weights), out / "state", about["identity"]
    settings, policy = config.grpo, trainer.policy
    start = checkpoints.resume(state, identity, policy.load)
    record.rewind(start)
    if start == 0:
        record.log(trainer.validate(), 0)
    bar = progress.bar(settings.steps, config.run, "steps", done=start)
    watch = CollapseWatch()
    for step in range(start, settings.steps):
        metrics = trainer.step(step)
        done = step + 1
        if warning := watch.see(metrics.get("refiner/revised")):
            log.warning("%s, step %d: %s", config.run, done, warning)
        if done % settings.validate_every == 0 or done == settings.steps:
            metrics |= trainer.validate()
            record.keep(trainer.transcripts(), done)
        record.log(metrics, done)
        if done % settings.snapshot_every == 0 and done < settings.steps:
            kept = out / "snapshots" / f"step{done:04d}"
            export(policy.model, Path(weights), kept, {**about, "step": done})
        if done % settings.checkpoint_every == 0:
            checkpoints.save(state, done, policy.save, {"identity": identity})
        bar.update()
        bar.set_postfix(em=f"{metrics['rollout/em']:.2f}", reward=f"{metrics['reward/mean']:.2f}")
    bar.close()
    policy.close()
    return policy.model


def teach(config: Any, weights: str, record: Any, out: Path, about: dict[str, Any]) -> Any:
    """Every supervised update from the newest checkpoint on."""
    from searchr2.build import load_model
    from searchr2.codec import Codec
    from searchr2.prompts import load_prompts
    from searchr2.training import examples
    from searchr2.training.supervised import imitate

    settings, state, identity = config.supervised, out / "state", about["identity"]
    codec, model = Codec.load(weights), load_model(weights)
    prompts = load_prompts(config.prompts, codec)
    questions = training_questions(config, prompts)
    if config.kind == "sft":
        rows = examples.gold(questions, prompts)
    else:
        notes = state / f"rollouts-{identity}.jsonl"
        rows = sample(config, questions, model, prompts, record, notes)
    if not rows:
        log.warning("%s: no rollout gives anything to imitate", config.run)
        return model
    batch = examples.Epochs(rows, settings.batch_size, config.seed).batch
    return imitate(config.run, model, batch, settings, config.deepspeed, record, state, identity)


def sample(config: Any, questions: Any, model: Any, prompts: Any, record: Any, notes: Path) -> Any:
    """The rows made of the model's own rollouts: those that were right, or verdicts on them."""
    from searchr2.build import load_retriever
    from searchr2.engines.local import LocalEngine
    from searchr2.training import examples

    engine, index = LocalEngine(model, prompts.codec), load_retriever(Path(config.paths.index))
    if config.kind == "verdicts":
        return examples.verdicts(config, questions, engine, index, prompts, notes)
    rows, count = examples.kept(config, questions, engine, index, prompts, notes)
    record.log({"rollout/em": len(rows) / count}, 0)
    return rows
