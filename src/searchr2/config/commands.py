"""What each command reads: made by the workflow, or by hand."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from searchr2.config.experiment import Kind, Settings
from searchr2.config.machines import Deepspeed, Engine
from searchr2.config.method import Judge, Prompts, Refiner, Reward, Rollout
from searchr2.config.models import Base, Demonstrated, Model
from searchr2.config.outcomes import Evaluation, Gains, Method, Quality, StepTime
from searchr2.config.sections import Section
from searchr2.config.sources import Data, Retrieval, World


class WorldConfig(Section):
    """``searchr2 world --config``."""

    world: World = World()


class DataConfig(Section):
    """``searchr2 data --config``."""

    data: Data = Data()


class TrainPaths(Section):
    """What a training run reads."""

    model: str
    index: str
    train: list[str]
    validation: list[str]


class TrainConfig(Settings):
    """``searchr2 train --config``: one run, resolved; made by the workflow from ``runs``."""

    run: str
    seed: int
    kind: Kind = "grpo"
    method: Method = "search"
    backbone: str
    retrieval_k: int = 3
    engine: Engine = Engine()
    paths: TrainPaths


class StepTimeConfig(Section):
    """``searchr2 steptime --config``: the runs that take turns; made by the workflow."""

    runs: list[TrainConfig] = Field(min_length=2)
    labels: dict[str, str]
    """Run -> its name in the table."""
    steps: int = StepTime().steps
    resamples: int = Evaluation().bootstrap


class Line(Section):
    """A line of a table and what it is read from."""

    label: str
    folders: list[str] = Field(min_length=1)
    """Its evaluations, one a training seed, below the folder of all evaluations."""
    step: int | None = None
    """The training step that was evaluated, in tables over steps; supervised training has none."""
    shown: bool = True
    """Off: compared, but not a line of the table."""


class TableConfig(Section):
    """``searchr2 table --config``: the lines of a table, what is compared; from the workflow."""

    name: str
    """The scale."""
    title: str
    backbone: str
    evaluation: Evaluation = Evaluation()
    lines: dict[str, Line]
    compare: list[tuple[str, str]] = []


class QualityConfig(Quality):
    """``searchr2 quality --config``: the comparison, and what it reads; made by the workflow."""

    rows: tuple[str, str]
    """The two rows: wins are the first one's."""
    lines: dict[str, Line]
    """Row -> its label and evaluations."""

    @model_validator(mode="after")
    def _lines_of_rows(self) -> QualityConfig:
        if missing := set(self.rows) - set(self.lines):
            raise ValueError(f"no lines of {' and '.join(sorted(missing))}")
        return self


class BaseConfig(Section):
    """``searchr2 base --config``: the sections the base stage reads, or the instruction stage."""

    stage: Literal["base", "instruct"] = "base"
    lessons: Demonstrated = Base()
    model: Model = Model()
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    retrieval: Retrieval = Retrieval()
    deepspeed: Deepspeed = Deepspeed()


class EvaluateConfig(Section):
    """``searchr2 evaluate --config`` and ``searchr2 ask``: the sections they read."""

    backbone: str = ""
    checkpoint: str = ""
    """Name of the evaluated checkpoint in the record, e.g. ``train/search-r2/seed1``."""
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    retrieval: Retrieval = Retrieval()
    refiner: Refiner = Refiner()
    engine: Engine = Engine()
    evaluation: Evaluation = Evaluation()


class GainsConfig(Section):
    """``searchr2 gains --config``: the sections it reads of the run that is measured."""

    run: str = ""
    seed: int = 1
    backbone: str = ""
    prompts: Prompts = Prompts()
    rollout: Rollout = Rollout()
    refiner: Refiner = Refiner()
    reward: Reward = Reward()
    judge: Judge = Judge()
    retrieval_k: int = 3
    engine: Engine = Engine()
    gains: Gains = Gains()
