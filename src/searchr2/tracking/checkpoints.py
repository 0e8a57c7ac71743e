"""Checkpoints as MLflow models, each with the scores of its evaluations per data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from searchr2.files import digest
from searchr2.tracking.folders import RecordFolder
from searchr2.tracking.store import DataSet, Run, Store, Value

SEARCH = "search"
"""The method whose evaluation is the checkpoint's own; others get a model beside it."""


class Checkpoints:
    """Makes the model of a checkpoint when its first evaluation arrives; weights stay in place."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = store.models()

    def add(self, evaluation: RecordFolder, run: Run, trained: RecordFolder | None, by: Run) -> str:
        """Attach an evaluation's scores to its checkpoint's model, and its data sets to the run.

        ``trained`` is the record that made the checkpoint (``None``: it came from elsewhere) and
        ``by`` its run. Returns the model's id.
        """
        tags = evaluation.about["tags"]
        step = trained.last_step if trained else 0
        method = tags.get("method", SEARCH)
        identity = digest([trained.id if trained else tags["checkpoint"], step, method])
        if identity not in self._models:
            name = model_name(tags["checkpoint"], step, method)
            params = _params(evaluation, trained, step)
            self._models[identity] = self._store.create_model(identity, name, by, params)
        model = self._models[identity]
        self._store.use(run, data_sets(evaluation).values(), "evaluation")
        self._store.write(run, scores(evaluation, step, model))
        return model


def model_name(checkpoint: str, step: int, method: str) -> str:
    """``model_name("train/search-r2/seed1", 24, "search") == "search-r2-seed1-step24"``."""
    name = checkpoint.removeprefix("train/").strip("/").replace("/", "-").replace(".", "_")
    return f"{name}-step{step}" + ("" if method == SEARCH else f"-{method}")


def data_sets(evaluation: RecordFolder) -> dict[str, DataSet]:
    """The data set behind each set of an evaluation, by what its record says was read."""
    sets = (evaluation.result or {}).get("sets", {})
    return {
        name: DataSet(name, str(found.get("digest", ""))[:32], str(found.get("source", name)))
        for name, found in sets.items()
    }


def scores(evaluation: RecordFolder, step: int, model: str | None) -> list[Value]:
    """``em/nq``, ``f1/nq`` ... of each set, and ``em/average`` ... over them."""
    result = evaluation.result or {}
    moment = int(evaluation.about["end"] or evaluation.about["start"])
    data = data_sets(evaluation)
    values = [
        Value(f"{metric}/{name}", value, moment, step, model, data[name])
        for name, found in result.get("sets", {}).items()
        for metric, value in _numbers(found)
    ]
    values += [
        Value(f"{metric}/average", value, moment, step, model)
        for metric, value in _numbers(result.get("average", {}))
    ]
    return values


def _numbers(found: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (metric, float(value))
        for metric, value in found.items()
        if isinstance(value, int | float) and not isinstance(value, bool)
    ]


def _params(evaluation: RecordFolder, trained: RecordFolder | None, step: int) -> dict[str, str]:
    tags = {**(trained.about["tags"] if trained else {}), **evaluation.about["tags"]}
    kept = ("method", "backbone", "seed", "checkpoint")
    run = (trained.group or trained.key) if trained else tags["checkpoint"]
    return {**{key: tags[key] for key in kept if key in tags}, "run": run, "step": str(step)}
