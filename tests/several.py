"""A small run under many of DeepSpeed's settings, by as many processes as torchrun starts.

    torchrun --nproc-per-node 2 tests/several.py OUT

writes what became of each of ``CASES`` below OUT; ``play`` is one of them, with one process too.
A random model is trained by two GRPO steps, saved, trained by a third; then the third once more,
from what was saved.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rollouts import CODEC, Library, document, prompt_book
from transformers import Qwen2Config, Qwen2ForCausalLM

from searchr2.assembly import exporter, policies
from searchr2.config import TrainConfig
from searchr2.engines.local import LocalEngine
from searchr2.files import write_json
from searchr2.rewards import Reward
from searchr2.training import checkpoints
from searchr2.training.loop import Trainer
from searchr2.training.peers import Peers, join
from searchr2.trajectory import Question

CASES: dict[str, dict[str, Any]] = {
    **{f"zero{stage}": {"deepspeed": {"zero_stage": stage}} for stage in range(4)},
    "zero2-offload": {"deepspeed": {"zero_stage": 2, "offload_optimizer": True}},
    "offload": {
        "deepspeed": {
            "zero_stage": 3,
            "offload_optimizer": True,
            "offload_parameters": True,
            "activation_checkpointing": True,
        }
    },
    "zero1-bf16": {"deepspeed": {"bf16": True}},
    "zero3-bf16": {"deepspeed": {"zero_stage": 3, "bf16": True}},
    "zero0-lora": {"deepspeed": {"zero_stage": 0}, "lora": {"rank": 4}},
    "zero2-lora": {"deepspeed": {"zero_stage": 2}, "lora": {"rank": 4}},
    "zero3-lora": {"deepspeed": {"zero_stage": 3}, "lora": {"rank": 4}},
    "updates": {"grpo": {"updates_per_step": 2, "importance_cap": 2.0}},
    "zero3-updates": {
        "deepspeed": {"zero_stage": 3},
        "grpo": {"updates_per_step": 2, "importance_cap": 2.0},
    },
}
GRPO = {"prompts_per_step": 3, "group_size": 3, "learning_rate": 1e-3, "micro_batch_tokens": 1000}
"""Three groups, so that two processes have unlike numbers of trajectories and of passes."""
QUESTIONS = [
    Question(f"q{n}", "nq", f"Where is town number {n}?", ("x",), ("Town",)) for n in range(5)
]


def network() -> Any:
    torch.manual_seed(0)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=CODEC.vocab_size,
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=4,
            num_key_value_heads=2,
            initializer_range=0.2,
            tie_word_embeddings=True,
        )
    )


class Paid(Trainer):
    """Pays for length, since what a random model writes is never right."""

    def roll_out(self, questions: Any, step: int) -> Any:
        rollouts = super().roll_out(questions, step)
        return [replace(r, reward=Reward(len(r.trace.final.ids) / 100, None)) for r in rollouts]


def trainer(case: dict[str, Any], peers: Peers) -> Paid:
    settings = {
        "run": "r",
        "seed": 1,
        "backbone": "b",
        "paths": {"model": "", "index": "", "train": [], "validation": []},
        "rollout": {"max_turn_tokens": 30, "max_turns": 3, "max_context_tokens": 10_000},
        "refiner": {"margin": -1.0},
    }
    config = TrainConfig.model_validate(settings | case | {"grpo": GRPO | case.get("grpo", {})})
    policy, reference = policies(network(), config, peers)
    return Paid(
        config=config,
        policy=policy,
        reference=reference,
        engine=LocalEngine(policy.model, CODEC),
        retriever=Library({"a": [document("Town")]}),
        judge=None,
        prompts=prompt_book(),
        questions=QUESTIONS,
        validation=QUESTIONS,
        peers=peers,
        sampling=policy.gathered,
    )


def play(case: dict[str, Any], out: Path, peers: Peers) -> None:
    """Train, and write ``metrics.json`` and the exports of the third step, first and again."""
    one = trainer(case, peers)
    metrics = [one.validate() | one.step(0), one.step(1)]
    about = {"identity": "i", "parts": one.policy.parts}
    checkpoints.save(out, 2, one.policy.save, about, peers)
    metrics.append(one.step(2))
    exporter(one.policy, one.config)(out / "model")
    one.policy.engine.destroy()

    again = trainer(case, peers)
    start = checkpoints.resume(out, "i", again.policy.load, again.policy.parts, peers)
    metrics.append(again.step(start))
    exporter(again.policy, again.config)(out / "again")
    again.policy.engine.destroy()
    if peers.first:
        write_json(out / "metrics.json", metrics)
    peers.meet()


if __name__ == "__main__":
    processes = join()
    for name, case in CASES.items():
        play(case, Path(sys.argv[1], name), processes)
