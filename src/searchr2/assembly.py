"""A training run put together: its model, adapters in both senses, and what writes its weights."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any


def assemble(config: Any, weights: str, peers: Any = None) -> Any:
    """The trainer of a run with its adapters."""
    from searchr2.build import load_model, load_retriever, make_judge
    from searchr2.codec import Codec
    from searchr2.engines.local import LocalEngine
    from searchr2.prompts import load_prompts
    from searchr2.questions import read_questions
    from searchr2.training.deepspeed_json import for_grpo
    from searchr2.training.loop import Trainer
    from searchr2.training.peers import ALONE
    from searchr2.training.policy import Policy, frozen_copy

    peers = peers or ALONE
    retriever = load_retriever(Path(config.paths.index))
    codec = Codec.load(weights)
    prompts = load_prompts(config.prompts, codec)
    model = load_model(weights)
    settings = for_grpo(config.deepspeed, config.grpo)
    adapted = config.lora.rank is not None
    reference = None if adapted else frozen_copy(model, settings)
    adapt(model, config)
    policy = Policy(model, settings, peers, config.deepspeed.activation_checkpointing)
    if reference is None:
        from searchr2.training.lora import WithoutAdapters

        reference = WithoutAdapters(policy.engine, policy.model)
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
        peers=peers,
        sampling=policy.gathered,
    )


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
