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
"""What a checkpoint is for where its run does not say."""
RANKED = ("em", "f1", "title_recall")
"""Figures of an evaluation that a checkpoint is compared by; the run has them all."""
VALIDATION = "validation"
DIGITS = 2
"""Decimals of an evaluation's figures, in percent; the files have all of them."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights under the method they are evaluated by.

    ``made`` is the record that left them; ``None``: they came from elsewhere, from ``place``.
    """

    made: RecordFolder | None
    place: str
    step: int
    method: str
    weights: str

    @property
    def identity(self) -> str:
        return digest([self.made.id if self.made else self.place, self.step, self.method])

    @property
    def name(self) -> str:
        """``search-r2-seed1-step24``, and ``base-step1600-rag`` for another method than its own."""
        place = self.place.removeprefix("train/").strip("/").replace("/", "-").replace(".", "_")
        other = "" if self.method == _own_method(self.made) else f"-{self.method}"
        return f"{place}-step{self.step}{other}"

    def params(self, tags: Mapping[str, str]) -> dict[str, str]:
        """What the UI shows of it; ``tags`` are those of the run that made it."""
        known = {key: tags[key] for key in ("backbone", "seed") if key in tags}
        about = {"run": tags["method"], "method": self.method, "step": str(self.step)}
        return {**known, **about, "weights": self.weights}


class Checkpoints:
    """Makes the model of a checkpoint when it is first heard of; weights stay in place."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._models = store.models()

    def trained(self, record: RecordFolder, run: Run) -> None:
        """Every checkpoint a finished run leaves, each with the validation at its step.

        The questions it read are noted at the run.
        """
        read = [_data_set(record, name) for name in record.questions]
        self._store.use(run, read, "training", None)
        lines, _ = record.lines(0)
        for step, folder in record.checkpoints():
            checkpoint = _left_by(record, step, folder, _own_method(record))
            model = self._model(checkpoint, record.about["tags"], run)
            validated = [
                Value(name, value, line["time"], step, model, _data_set(record, VALIDATION))
                for line in lines
                if line["step"] == step
                for name, value in line["metrics"].items()
                if name.startswith(f"{VALIDATION}/")
            ]
            self._store.write(run, validated)

    def evaluated(self, record: RecordFolder, run: Run, of: Checkpoint, by: Run) -> str:
        """Attach an evaluation's scores to its checkpoint's model, and its data sets to the run.

        ``by`` is the run that made the checkpoint, or else this one. Returns the model's id.
        """
        model = self._model(of, (of.made or record).about["tags"], by)
        sets = [_data_set(record, name) for name in record.result["sets"]] if record.result else []
        self._store.use(run, sets, "evaluation", model)
        self._store.write(run, scores(record, of.step, model), tags={"model": of.name})
        return model

    def _model(self, checkpoint: Checkpoint, tags: Mapping[str, str], run: Run) -> str:
        identity = checkpoint.identity
        if identity not in self._models:
            self._models[identity] = self._store.create_model(
                identity, checkpoint.name, run, checkpoint.params(tags)
            )
        return self._models[identity]


def find(evaluation: RecordFolder, records: Mapping[str, RecordFolder]) -> Checkpoint:
    """The checkpoint an evaluation is of: one that a record here left, or one from elsewhere."""
    method, tag = _method(evaluation), str(evaluation.about["tags"]["checkpoint"])
    manifest = str(evaluation.about["inputs"]["checkpoint"]["path"])
    folder = (evaluation.path.parent / manifest).resolve().parent
    for record in records.values():
        if record.result is None and folder.is_relative_to(record.path.resolve()):
            for step, left in record.checkpoints():
                if left.resolve() == folder:
                    return _left_by(record, step, left, method)
    return Checkpoint(None, tag, evaluation.snapshot or 0, method, tag)


def _left_by(record: RecordFolder, step: int, folder: Path, method: str) -> Checkpoint:
    return Checkpoint(record, record.key, step, method, str(folder / WEIGHTS))


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
            round(float(value), DIGITS),
            moment,
            step,
            model if metric in RANKED else None,
            data if metric in RANKED else None,
        )
        for name, figures, data in found
        for metric, value in figures.items()
        if value is not None
    ]


def _own_method(made: RecordFolder | None) -> str:
    """The method that a run trained; evaluations by others get a model beside the checkpoint's."""
    return str(made.about["config"].get("method", SEARCH)) if made else SEARCH


def _method(evaluation: RecordFolder) -> str:
    settings = evaluation.about["config"].get("evaluation", {})
    refined = "-refined" if settings.get("refine") else ""
    return f"{evaluation.about['tags']['method']}{refined}"


def _data_set(record: RecordFolder, name: str) -> DataSet:
    """A data set by name, with the digest the record says was read."""
    read = record.inputs.get(name, {})
    return DataSet(name, str(read.get("digest") or "unknown")[:32], str(read.get("path") or name))
