"""Every setting, one frozen section per concern; a function takes its section, never the whole.

``config.yaml`` holds the settings a person turns; whatever it leaves out takes the default here.
The JSON schema that the workflow checks a config against is generated from these classes
(``searchr2 schema``), and a test fails where the two drift apart.
"""

from __future__ import annotations

from searchr2.config.commands import (
    BaseConfig,
    DataConfig,
    EvaluateConfig,
    GainsConfig,
    Line,
    QualityConfig,
    StepTimeConfig,
    TableConfig,
    TrainConfig,
    TrainPaths,
    WorldConfig,
)
from searchr2.config.experiment import Experiment, Kind, Run, Settings
from searchr2.config.machines import Deepspeed, Engine, Lora, Tracking
from searchr2.config.method import Grpo, Judge, JudgeModel, Prompts, Refiner, Reward, Rollout
from searchr2.config.models import Base, Demonstrated, Instruct, Model, Role, Supervised, Updates
from searchr2.config.outcomes import (
    METHODS,
    Evaluation,
    Gains,
    Method,
    Quality,
    QualityJudge,
    Row,
    StepTime,
    Table,
)
from searchr2.config.sections import SETS, ConfigError, S, Section, Set, load
from searchr2.config.sources import Data, Encoding, Remote, Retrieval, World

__all__ = [
    "METHODS",
    "SETS",
    "Base",
    "BaseConfig",
    "ConfigError",
    "Data",
    "DataConfig",
    "Deepspeed",
    "Demonstrated",
    "Encoding",
    "Engine",
    "EvaluateConfig",
    "Evaluation",
    "Experiment",
    "Gains",
    "GainsConfig",
    "Grpo",
    "Instruct",
    "Judge",
    "JudgeModel",
    "Kind",
    "Line",
    "Lora",
    "Method",
    "Model",
    "Prompts",
    "Quality",
    "QualityConfig",
    "QualityJudge",
    "Refiner",
    "Remote",
    "Retrieval",
    "Reward",
    "Role",
    "Rollout",
    "Row",
    "Run",
    "S",
    "Section",
    "Set",
    "Settings",
    "StepTime",
    "StepTimeConfig",
    "Supervised",
    "Table",
    "TableConfig",
    "Tracking",
    "TrainConfig",
    "TrainPaths",
    "Updates",
    "World",
    "WorldConfig",
    "load",
]
