"""Train one run: Search-R2, Search-R1, what is between, and the other trained baselines.

Kinds of run: ``grpo`` (all but these), ``sft`` (imitate gold answers), ``rejection`` (imitate own
rollouts that were right) and ``verdicts`` (judge own rollouts, by gold evidence).

The config names the run's settings and what it reads; the workflow writes one for every entry of
``runs:``. Killed at any moment, the same command goes on from the newest checkpoint and ends with
the same bytes. It starts as many processes as `deepspeed.processes` says, one a GPU; started by
torchrun or deepspeed it joins those (docs/training.md).

examples:
  searchr2 train --config results/config/train/search-r2/seed1.json \\
      --out results/train/search-r2/seed1
  torchrun --nproc-per-node 8 -m searchr2.cli.main train --config run.json --out runs/mine
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import dataclass
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
    from searchr2.processes import become
    from searchr2.tracking.record import NoRecord, Record
    from searchr2.training.deepspeed_json import for_grpo, for_updates

    quiet()
    config = load(TrainConfig, read_json(options.config), options.config)
    if config.kind == "grpo":  # what contradicts itself is said before anything is loaded
        for_grpo(config.deepspeed, config.grpo)
    else:
        for_updates(config.deepspeed, config.supervised)
    weights = weights_folder(config.paths.model, "`snakemake --forcerun base` rebuilds it")
    inputs = read_by(config, weights)
    become(config.deepspeed.processes)

    from searchr2.training.peers import join

    peers = join()
    known = {name: sha256(path) for name, path in inputs.items() if path.is_file()}
    said = config.model_dump(exclude={"deepspeed": {"processes"}})  # no matter of the run's
    identity = digest([said | {"engine": config.engine.kind}, known])
    record = Record.open(
        options.out,
        name=f"train/{config.run}/{config.backbone}/seed{config.seed}",
        stage="train",
        tags={
            "method": config.run,
            "backbone": config.backbone,
            "seed": config.seed,
            "processes": peers.size,
        },
        config=said,
        inputs=inputs,
    )
    about = {"stage": "train", "run": config.run, "seed": config.seed, "identity": identity}
    train = optimise if config.kind == "grpo" else teach
    with record if peers.first else NoRecord() as held:
        train(Job(config, weights, held, options.out, about, peers))


def read_by(config: Any, weights: str) -> dict[str, Path]:
    """The files a run reads."""
    paths = [*config.paths.train, *config.paths.validation]
    inputs = {path: Path(path) for path in paths}
    inputs["index"] = Path(config.paths.index, "manifest.json")
    inputs["model"] = Path(weights, "config.json")
    if (manifest := Path(config.paths.model, "manifest.json")).is_file():
        inputs["model"] = manifest
    if config.deepspeed.config:
        inputs["deepspeed"] = Path(config.deepspeed.config)
    return inputs


@dataclass(frozen=True)
class Job:
    """A run that has begun: what it reads and where it writes."""

    config: Any
    weights: str
    record: Any
    out: Path
    about: dict[str, Any]
    peers: Any

    @property
    def state(self) -> Path:
        return self.out / "state"

    @property
    def identity(self) -> str:
        return str(self.about["identity"])

    def export(self, write: Any, folder: Path, **about: Any) -> None:
        """Write a model to ``folder``; ``write`` is as in ``training.export``."""
        from searchr2.training.export import export

        export(write, self.weights, folder, {**self.about, **about}, self.peers)


def optimise(job: Job) -> None:
    """Every GRPO step from the newest checkpoint on, with its record, validation and snapshots."""
    from searchr2 import progress
    from searchr2.assembly import assemble, exporter
    from searchr2.training import checkpoints
    from searchr2.training.metrics import CollapseWatch

    config, record, peers = job.config, job.record, job.peers
    settings = config.grpo
    trainer = assemble(config, job.weights, job.state / "weights", peers)
    policy = trainer.policy
    write = exporter(policy, config)
    start = checkpoints.resume(job.state, job.identity, policy.load, policy.parts, peers)
    trainer.engine.refresh()
    record.rewind(start)
    if start == 0:
        record.log(trainer.validate(), 0)
    bar = progress.bar(settings.steps, config.run, "steps", done=start)
    watch = CollapseWatch()
    for step in range(start, settings.steps):
        metrics = trainer.step(step)
        done = step + 1
        if done % settings.validate_every == 0 or done == settings.steps:
            metrics |= trainer.validate()
            record.keep(trainer.transcripts(), done)
        record.log(metrics, done)
        collapse = watch.see(metrics.get("refiner/revised"))
        if collapse and peers.first:
            log.warning("%s, step %d: %s", config.run, done, collapse)
        if done % settings.snapshot_every == 0 and done < settings.steps:
            job.export(write, job.out / "snapshots" / f"step{done:04d}", step=done)
        if done % settings.checkpoint_every == 0:
            about = {"identity": job.identity, "parts": policy.parts}
            checkpoints.save(job.state, done, policy.save, about, peers)
        bar.update()
        bar.set_postfix(em=f"{metrics['rollout/em']:.2f}", reward=f"{metrics['reward/mean']:.2f}")
    bar.close()
    job.export(write, job.out)
    policy.close()


def teach(job: Job) -> None:
    """Every supervised update from the newest checkpoint on."""
    from searchr2.assembly import adapt, exporter, training_questions
    from searchr2.build import load_model
    from searchr2.codec import Codec
    from searchr2.prompts import load_prompts
    from searchr2.training import examples
    from searchr2.training.supervised import imitate

    config, settings = job.config, job.config.supervised
    codec, model = Codec.load(job.weights), load_model(job.weights)
    prompts = load_prompts(config.prompts, codec)
    questions = training_questions(config, prompts)
    if config.kind == "sft":
        rows = examples.gold(questions, prompts)
    else:
        notes = job.state / f"rollouts-{job.identity}.jsonl"
        rows = job.peers.first_does(lambda: sample(job, questions, model, prompts, notes))
    if not rows:
        log.warning("%s: no rollout gives anything to imitate", config.run)
        job.export(model.save_pretrained, job.out)
        return
    adapt(model, config)
    batch = examples.Epochs(rows, settings.batch_size, config.seed).batch
    policy = imitate(
        config.run,
        model,
        batch,
        settings,
        config.deepspeed,
        job.record,
        job.state,
        job.identity,
        job.peers,
    )
    job.export(exporter(policy, config), job.out)
    policy.close()


def sample(job: Job, questions: Any, model: Any, prompts: Any, notes: Path) -> Any:
    """The rows made of the model's own rollouts: those that were right, or verdicts on them."""
    from searchr2.build import load_retriever, make_engine
    from searchr2.engines.weights import Fixed
    from searchr2.training import examples

    config, index = job.config, load_retriever(Path(job.config.paths.index))
    engine = make_engine(config.engine, prompts.codec, lambda: model, Fixed(job.weights))
    if config.kind == "verdicts":
        return examples.verdicts(config, questions, engine, index, prompts, notes)
    rows, count = examples.kept(config, questions, engine, index, prompts, notes)
    job.record.log({"rollout/em": len(rows) / count}, 0)
    return rows
