"""The whole of ``config.yaml``: what runs may override, and the runs."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from searchr2.config.machines import Deepspeed, Engine, Lora, Tracking
from searchr2.config.method import Grpo, Judge, Prompts, Refiner, Reward, Rollout
from searchr2.config.models import Base, Instruct, Model, Supervised
from searchr2.config.outcomes import Evaluation, Gains, Method, Quality, Row, StepTime, Table
from searchr2.config.sections import Section
from searchr2.config.sources import Data, Retrieval, World


class Settings(Section):
    """The sections a run may override."""

    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    refiner: Refiner = Refiner()
    reward: Reward = Reward()
    judge: Judge = Judge()
    grpo: Grpo = Grpo()
    supervised: Supervised = Supervised()
    deepspeed: Deepspeed = Deepspeed()
    lora: Lora = Lora()


Kind = Literal["grpo", "sft", "rejection", "verdicts"]
"""GRPO; or supervised on gold answers, on own rollouts that were right, or on verdicts by gold
evidence on own rollouts, as many accepting as not (a warm start for the Meta-Refiner)."""


class Run(Section):
    """A training run: what it starts from, how it trains, and the settings in which it differs."""

    start: str = "base"
    """What it starts from: ``base``, ``instruct`` or another run."""
    model: str | None = None
    """A ``save_pretrained`` folder or hub id to take as the trained run, instead of training."""
    kind: Kind = "grpo"
    """How it trains."""
    method: Method = "search"
    """How questions are answered while it trains; SFT always has Direct Inference's prompt."""
    prompts: dict[str, Any] = {}
    rollout: dict[str, Any] = {}
    refiner: dict[str, Any] = {}
    reward: dict[str, Any] = {}
    judge: dict[str, Any] = {}
    grpo: dict[str, Any] = {}
    supervised: dict[str, Any] = {}
    deepspeed: dict[str, Any] = {}
    lora: dict[str, Any] = {}


def _null_first(schema: dict[str, Any]) -> None:
    """Snakemake fills defaults into whatever it tries; a null has no room for them."""
    schema["anyOf"].reverse()


class Experiment(Settings):
    """The whole of ``config.yaml``."""

    name: str = "mini"
    """The scale, printed with every table."""
    results: str = "results"
    """Folder everything is written to."""
    seeds: list[int] = Field([1], min_length=1, json_schema_extra={"uniqueItems": True})
    """Training seeds, each another; every run is trained once with each."""
    world: World = World()
    data: Data = Data()
    retrieval: Retrieval = Retrieval()
    model: Model = Model()
    base: Base = Base()
    instruct: Instruct = Instruct()
    engine: Engine = Engine()
    evaluation: Evaluation = Evaluation()
    gains: Gains = Gains()
    quality: Quality = Quality()
    tracking: Tracking = Tracking()
    runs: dict[str, Run] = {}
    """Training runs: name -> what it does and the settings in which it differs."""
    rows: dict[str, Row] = {}
    """Ways of answering: name -> row."""
    step_time: StepTime | None = Field(None, json_schema_extra=_null_first)
    """Which runs' step times are compared; ``None``: no such table."""
    tables: dict[str, Table] = {}
    """Tables of exact match: name -> the rows it has; ``<results>/<name>.csv``."""
