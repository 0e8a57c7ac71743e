"""The settings a plan is of: files laid over each other as snakemake does, runs as they resolve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from searchr2.config import ConfigError, Deepspeed, Experiment, Run, load
from searchr2.training.deepspeed_json import for_grpo

OVERRIDABLE = [
    name for name, field in Run.model_fields.items() if field.annotation == dict[str, Any]
]
"""The sections in which a run may differ."""
MODELS = ("base", "instruct")
"""The stages that make the small model where none is brought."""


def read_config(paths: list[Path]) -> Experiment:
    """The settings of YAML files, each laid over those before it as snakemake does.

    Raises ``ConfigError`` naming a file that is missing or not YAML, or the setting that is wrong.
    """
    settings: dict[str, Any] = {}
    for path in paths:
        try:
            said = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{path}: not YAML: {error}") from None
        if not isinstance(said, dict):
            raise ConfigError(f"{path}: not a mapping of settings")
        settings = laid_over(settings, said)
    return load(Experiment, settings, " with ".join(map(str, paths)))


def laid_over(under: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """``over`` laid over ``under`` key by key; a list takes a list's place."""
    merged = dict(under)
    for key, value in over.items():
        below = under.get(key)
        is_section = isinstance(value, dict)
        merged[key] = (
            laid_over(below if isinstance(below, dict) else {}, value) if is_section else value
        )
    return merged


def of_run(settings: Experiment, name: str) -> Experiment:
    """The settings with those in which run ``name`` differs."""
    changes = {key: getattr(settings.runs[name], key) for key in OVERRIDABLE}
    return load(Experiment, laid_over(settings.model_dump(), changes), f"runs.{name}")


def only_tables(settings: Experiment, names: list[str]) -> Experiment:
    """The settings with these tables alone; ``ConfigError`` names one that is not there."""
    for name in names:
        if name not in settings.tables:
            raise ConfigError(f"--tables {name}: not one of {', '.join(settings.tables)}")
    return settings.model_copy(update={"tables": {name: settings.tables[name] for name in names}})


def trained(settings: Experiment) -> list[str]:
    """Stages and runs that the tables need and that nobody brought, in the order they are made."""
    rows = {row for table in settings.tables.values() for row in table.rows}
    rows |= {
        name.partition("@")[0]
        for table in settings.tables.values()
        for pair in table.compare
        for name in pair
    }
    wanted = {settings.rows[row].checkpoint for row in rows}
    for name in list(wanted):
        while name in settings.runs and settings.runs[name].model is None:
            name = settings.runs[name].start
            wanted.add(name)
    stages = []
    if settings.model.path is None:
        stages = ["base"] if settings.model.instruct or "instruct" not in wanted else list(MODELS)
    runs = [name for name, run in settings.runs.items() if name in wanted and run.model is None]
    return [*stages, *runs]


def of_zero(run: Experiment) -> dict[str, Any]:
    """DeepSpeed's section on ZeRO, as it will be told."""
    zero: dict[str, Any] = for_grpo(run.deepspeed, run.grpo)["zero_optimization"]
    return zero


def resolved(run: Experiment) -> Deepspeed:
    """The section ``deepspeed`` with what the user's JSON file says filled in."""
    made = for_grpo(run.deepspeed, run.grpo)
    zero = made["zero_optimization"]
    offloaded = {
        part: zero.get(f"offload_{part}", {}).get("device", "none") != "none"
        for part in ("optimizer", "param")
    }
    return run.deepspeed.model_copy(
        update={
            "zero_stage": zero["stage"],
            "bf16": made["bf16"]["enabled"],
            "offload_optimizer": offloaded["optimizer"],
            "offload_parameters": offloaded["param"],
        }
    )
