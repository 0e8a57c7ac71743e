"""The language model, and the supervised stages that make the small one."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from searchr2.config.sections import Section


class Model(Section):
    """The language model of both roles. Without ``path``, a small Qwen2 is trained from scratch."""

    path: str | None = None
    """A ``save_pretrained`` folder or hub id to start from instead of the base stage."""
    instruct: str | None = None
    """The same of its instruct version; ``None`` is the base model after the instruction stage,
    or ``path`` itself."""
    backbone: str = "qwen2-mini"
    """The name in the tables."""
    vocab_size: int = Field(1536, ge=300)
    hidden_size: int = Field(128, ge=8)
    intermediate_size: int = Field(256, ge=8)
    layers: int = Field(3, ge=1)
    heads: int = Field(4, ge=1)
    kv_heads: int = Field(4, ge=1)
    max_positions: int = Field(4096, ge=128)


class Updates(Section):
    """Next-token training: how many updates, and how large."""

    steps: int = Field(300, ge=1)
    """Updates in all."""
    batch_size: int = Field(16, ge=1)
    """Sequences an update."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Sequences of one forward and backward pass (memory, not method); ``None``: all of them."""
    learning_rate: float = Field(5e-4, gt=0)
    warmup_ratio: float = Field(0.02, ge=0, le=1)
    weight_decay: float = Field(0.1, ge=0)
    adam_beta2: float = Field(0.99, ge=0, lt=1)
    checkpoint_every: int = Field(200, ge=1)


class Supervised(Updates):
    """A run of kind ``sft``, ``rejection`` or ``verdicts``; the last two roll out first."""

    samples: int = Field(5, ge=1)
    """Rollouts of a prompt: Rejection Sampling keeps the right ones, verdicts are on all."""
    prompts: int | None = Field(400, ge=1)
    """Training prompts rolled out; ``None`` is all of them."""


Role = Literal["search", "rag", "direct", "refiner", "cot", "ircot", "search-o1", "note"]
"""What a demonstration shows: a method of answering, a verdict, or a note on what was found."""


class Demonstrated(Updates):
    """Next-token training on demonstrations that were searched for real in the generated world."""

    seed: int = 1
    copying_steps: int = Field(0, ge=0)
    """Updates on runs of names said twice, which come first: to copy at all."""
    reading_steps: int = Field(0, ge=0)
    """Updates on reading drills, which come next: to copy what a query asks for."""
    shares: dict[Role, float] = {}
    """Role -> its share of the demonstrations; they sum to 1."""
    full_query: float = Field(0.3, ge=0, le=1)
    """How often a demonstrated query is as good as it can be: the head-room of GRPO."""
    partial_share: float = Field(0.8, ge=0, le=1)
    """Of the other queries, how many drop the first piece of the name; the rest are worse."""
    sound_share: float = Field(0.5, ge=0, le=1)
    """Refiner demonstrations that are to accept: both classes are common."""

    @model_validator(mode="after")
    def _all_of_it(self) -> Demonstrated:
        if self.shares and abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(f"shares sum to {sum(self.shares.values()):g}, not to 1")
        return self


class Base(Demonstrated):
    """The base stage: the small model from random weights, in place of a pretrained one.

    So that GRPO has a policy that knows the format, explores, and leaves room.
    """

    steps: int = Field(4400, ge=1)
    """Updates in all; what the drills leave goes to demonstrations."""
    batch_size: int = Field(8, ge=1)
    """Sequences an update."""
    learning_rate: float = Field(2e-3, gt=0)
    copying_steps: int = Field(150, ge=0)
    """Updates on runs of names said twice, which come first: to copy at all."""
    reading_steps: int = Field(1100, ge=0)
    """Updates on reading drills, which come next: to copy what a query asks for."""
    shares: dict[Role, float] = {
        "search": 0.6,
        "refiner": 0.15,
        "rag": 0.15,
        "direct": 0.05,
        "cot": 0.05,
    }
    """Role -> its share of the demonstrations; they sum to 1."""


class Instruct(Demonstrated):
    """The instruction stage: the base model learns the prompts of the prompting methods."""

    steps: int = Field(500, ge=1)
    """Updates in all."""
    shares: dict[Role, float] = {
        "cot": 0.1,
        "ircot": 0.3,
        "search-o1": 0.2,
        "note": 0.15,
        "search": 0.15,
        "rag": 0.05,
        "direct": 0.05,
    }
    """Role -> its share of the demonstrations; they sum to 1."""
