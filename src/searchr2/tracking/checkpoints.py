"""Checkpoints as MLflow models, each with what was measured of it per data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from searchr2.files import digest
from searchr2.tracking.folders import RecordFolder
from searchr2.tracking.store import DataSet, Run, Store, Value

WEIGHTS = "model"
SEARCH = "search"
"""The method whose evaluation is the checkpoint's own; others get a model beside it."""
RANKED = ("em", "f1", "title_recall")
"""Figures of an evaluation that a checkpoint is compared by; the run has them all."""
VALIDATION = "validation"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint under the method it is evaluated by.

    ``made`` is the record that left it; ``None``: it came from elsewhere, from ``place``.
    """

    made: RecordFolder | None
    place: str
    step: int
    method: str

    @property
    def identity(self) -> str:
        return digest([self.made.id if self.made else self.place, self.step, self.method])

    @property
    def name(self) -> str:
        """``search-r2-seed1-step24``, and ``base-step1600-rag`` for another method."""
        place = self.place.removeprefix("train/").strip("/").replace("/", "-").replace(".", "_")
        return f"{place}-step{self.step}" + ("" if self.method == SEARCH else f"-{self.method}")

    def params(self, tags: Mapping[str, str]) -> dict[str, str]:
        """What the UI shows of it; ``tags`` are those of the run that made it."""
        known = {key: tags[key] for key in ("backbone", "seed") if key in tags}
        weights = str(self.made.path / WEIGHTS) if self.made else self.place
        about = {"run": tags["method"], "method": self.method, "step": str(self.step)}
        return {**known, **about, "weights": weights}


class Checkpoints:
    """Makes the model of a checkpoint when it is first heard of; weights stay in place."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = store.models()

    def trained(self, record: RecordFolder, run: Run) -> None:
        """The checkpoint a finished run leaves, with its last validation."""
        step, last = record.last
        checkpoint = Checkpoint(record, record.key, step, SEARCH)
        model = self._model(checkpoint, record.about["tags"], run)
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
        tags = record.about["tags"]
        place, step = (made.key, made.last[0]) if made else (tags["checkpoint"], 0)
        checkpoint = Checkpoint(made, place, step, _method(record))
        model = self._model(checkpoint, made.about["tags"] if made else tags, by)
        sets = [_data_set(record, name) for name in record.result["sets"]] if record.result else []
        self._store.use(run, sets, model)
        self._store.write(run, scores(record, step, model), tags={"model": checkpoint.name})
        return model

    def _model(self, checkpoint: Checkpoint, tags: Mapping[str, str], run: Run) -> str:
        identity = checkpoint.identity
        if identity not in self._models:
            self._models[identity] = self._store.create_model(
                identity, checkpoint.name, run, checkpoint.params(tags)
            )
        return self._models[identity]


def maker(evaluation: RecordFolder, records: Mapping[str, RecordFolder]) -> RecordFolder | None:
    """The record that left the checkpoint an evaluation is of: by its place, or by its path."""
    checkpoint = str(evaluation.about["tags"]["checkpoint"])
    if checkpoint in records:
        return records[checkpoint]
    weights = Path(checkpoint).resolve()
    folder = weights.parent if weights.name == WEIGHTS else weights
    return next((r for r in records.values() if r.path.resolve() == folder), None)


def scores(evaluation: RecordFolder, step: int, model: str | None) -> list[Value]:
    """``em/nq``, ``f1/nq`` ... of each set, and ``em/average`` ... over them."""
    result = evaluation.result or {"sets": {}, "average": {}}
    moment = int(evaluation.about["end"] or evaluation.about["start"])
    sets = result["sets"].items()
    found: list[tuple[str, dict[str, float | None], DataSet | None]]
    found = [(name, figures, _data_set(evaluation, name)) for name, figures in sets]
    found.append(("average", result["average"], None))
    return [
        Value(
            f"{metric}/{name}",
            float(value),
            moment,
            step,
            model if metric in RANKED else None,
            data if metric in RANKED else None,
        )
        for name, figures, data in found
        for metric, value in figures.items()
        if value is not None
    ]


def _method(evaluation: RecordFolder) -> str:
    settings = evaluation.about["config"].get("evaluation", {})
    refined = "-refined" if settings.get("refine") else ""
    return f"{evaluation.about['tags']['method']}{refined}"


def _data_set(record: RecordFolder, name: str) -> DataSet:
    """A data set by name, with the digest the record says was read."""
    read = record.inputs.get(name, {})
    return DataSet(name, str(read.get("digest") or "unknown")[:32], str(read.get("path") or name))
