"""Checkpoints as MLflow models, each with what was measured of it per data set."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchr2.files import digest
from searchr2.tracking.folders import RecordFolder
from searchr2.tracking.store import DataSet, Run, Store, Value

WEIGHTS = "model"
SEARCH = "search"
"""The method whose evaluation is the checkpoint's own; others get a model beside it."""
UNSCORED = ("n",)
"""Figures of an evaluation that rank nothing."""
VALIDATION = "validation"


class Checkpoints:
    """Makes the model of a checkpoint when it is first heard of; weights stay in place."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = store.models()

    def trained(self, record: RecordFolder, run: Run) -> None:
        """The checkpoint a finished run leaves, with its last validation."""
        step, last = record.last
        model = self._model(record, None, run, step)
        validated = [
            Value(name, value, record.about["end"], step, model, _data_set(record, VALIDATION))
            for name, value in last.items()
            if name.startswith(f"{VALIDATION}/")
        ]
        self._store.write(run, validated)

    def evaluated(self, record: RecordFolder, run: Run, made: RecordFolder | None, by: Run) -> str:
        """Attach an evaluation's scores to its checkpoint's model, and its data sets to the run.

        ``made`` is the record that left the checkpoint (``None``: it came from elsewhere) and
        ``by`` its run. Returns the model's id.
        """
        step = made.last[0] if made else 0
        model = self._model(made, record, by, step)
        sets = [_data_set(record, name) for name in record.result["sets"]] if record.result else []
        self._store.use(run, sets, model)
        self._store.write(run, scores(record, step, model))
        return model

    def _model(
        self, made: RecordFolder | None, evaluation: RecordFolder | None, run: Run, step: int
    ) -> str:
        """The model of a checkpoint under the method it is evaluated by; made where it is new."""
        about = [record.about["tags"] for record in (evaluation, made) if record]
        tags = {key: text for found in about for key, text in found.items()}
        method = evaluation.about["tags"]["method"] if evaluation else SEARCH
        checkpoint = made.key if made else tags["checkpoint"]
        identity = digest([made.id if made else checkpoint, step, method])
        if identity not in self._models:
            params = {key: tags[key] for key in ("backbone", "seed") if key in tags}
            params |= {"run": tags["method"], "method": method, "step": str(step)}
            params["weights"] = str(made.path / WEIGHTS) if made else checkpoint
            name = model_name(checkpoint, step, method)
            self._models[identity] = self._store.create_model(identity, name, run, params)
        return self._models[identity]


def maker(evaluation: RecordFolder, records: Mapping[str, RecordFolder]) -> RecordFolder | None:
    """The record that left the checkpoint an evaluation is of: by its place, or by its path."""
    checkpoint = str(evaluation.about["tags"]["checkpoint"])
    if checkpoint in records:
        return records[checkpoint]
    weights = Path(checkpoint).resolve()
    folder = weights.parent if weights.name == WEIGHTS else weights
    return next((r for r in records.values() if r.path.resolve() == folder), None)


def model_name(checkpoint: str, step: int, method: str) -> str:
    """``model_name("train/search-r2/seed1", 24, "search") == "search-r2-seed1-step24"``."""
    name = checkpoint.removeprefix("train/").strip("/").replace("/", "-").replace(".", "_")
    return f"{name}-step{step}" + ("" if method == SEARCH else f"-{method}")


def scores(evaluation: RecordFolder, step: int, model: str | None) -> list[Value]:
    """``em/nq``, ``f1/nq`` ... of each set, and ``em/average`` ... over them."""
    result = evaluation.result or {"sets": {}, "average": {}}
    moment = int(evaluation.about["end"] or evaluation.about["start"])
    values = [
        Value(f"{metric}/{name}", value, moment, step, model, _data_set(evaluation, name))
        for name, found in result["sets"].items()
        for metric, value in _figures(found)
    ]
    values += [
        Value(f"{metric}/average", value, moment, step, model)
        for metric, value in _figures(result["average"])
    ]
    return values


def _figures(found: Mapping[str, Any]) -> list[tuple[str, float]]:
    return [
        (metric, float(value))
        for metric, value in found.items()
        if value is not None and metric not in UNSCORED
    ]


def _data_set(record: RecordFolder, name: str) -> DataSet:
    """A data set by name, with the digest the record says was read."""
    read = record.inputs.get(name, {})
    return DataSet(name, str(read.get("digest") or "unknown")[:32], str(read.get("path") or name))
