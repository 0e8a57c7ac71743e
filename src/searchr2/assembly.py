"""A training run put together: its model, adapters in both senses, and what writes its weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any


def assemble(config: Any, weights: str, folder: Path, peers: Any = None) -> Any:
    """The trainer of a run with its adapters.

    Where servers sample, the versions of its weights are written below ``folder`` for them, or
    below ``engine.snapshots``.
    """
    from searchr2.build import load_model, load_retriever, make_engine, make_judge
    from searchr2.codec import Codec
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.training.loop import Trainer
    from searchr2.training.peers import ALONE

    peers = peers or ALONE
    retriever = load_retriever(Path(config.paths.index))
    codec = Codec.load(weights)
    prompts = load_prompts(config.prompts, codec)
    policy, reference = policies(load_model(weights), config, peers)
    here = config.engine.kind == "local"
    snapshots = versions(config, weights, folder, policy, peers)
    engine = make_engine(
        config.engine, codec, lambda: policy.model, snapshots, once=peers.first_does
    )
    return Trainer(
        config=config,
        policy=policy,
        reference=reference,
        engine=engine,
        retriever=retriever,
        judge=make_judge(config.reward, config.judge),
        prompts=prompts,
        questions=training_questions(config, prompts),
        validation=[q for path in config.paths.validation for q in read_questions(Path(path))],
        peers=peers,
        **({"sampling": policy.gathered} if here else {}),
    )


def versions(config: Any, weights: str, folder: Path, policy: Any, peers: Any) -> Any:
    """The weights of ``policy`` as servers are given them, named by run, settings and updates."""
    from searchr2.engines.weights import Snapshots
    from searchr2.files import digest
    from searchr2.training.export import WEIGHTS, export

    def write(target: Path) -> Path:
        about = {"stage": "weights", "run": config.run, "seed": config.seed}
        export(exporter(policy, config), Path(weights), target, about, peers)
        return target / WEIGHTS

    name = f"{config.run}-seed{config.seed}-{digest(config.model_dump())[:8]}"
    root = Path(config.engine.snapshots or folder)
    return Snapshots(root, name, config.engine.keep, lambda: policy.updates, write)


def policies(model: Any, config: Any, peers: Any) -> tuple[Any, Any]:
    """pi, which takes ``model`` over, and pi_ref: the model as it is now."""
    from searchr2.training.deepspeed_json import for_grpo
    from searchr2.training.policy import Policy, frozen_copy

    settings = for_grpo(config.deepspeed, config.grpo)
    recompute = config.deepspeed.activation_checkpointing
    if config.lora.rank is None:
        reference = frozen_copy(model, settings)
        return Policy(model, settings, peers, recompute), reference
    from searchr2.training.lora import WithoutAdapters

    adapt(model, config)
    policy = Policy(model, settings, peers, recompute)
    return policy, WithoutAdapters(policy.engine, policy.model)


def adapt(model: Any, config: Any) -> None:
    """Give ``model`` low-rank adapters where the run trains those."""
    if config.lora.rank is not None:
        from searchr2.training.lora import add_adapters

        add_adapters(model, config.lora, config.seed)


def exporter(policy: Any, config: Any) -> Any:
    """What writes the weights of ``policy`` into a folder."""
    if config.lora.rank is None:
        return policy.export
    from searchr2.training.lora import merged

    return partial(policy.export, weights=merged)


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
