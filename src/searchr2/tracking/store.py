"""The MLflow store: the only module that speaks to MLflow about runs and models.

Everything is addressed by explicit ids through the client, so nothing depends on an active run. A
call that fails raises within seconds (``LIMITS``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from searchr2.config import Tracking
from searchr2.tracking.lock import exclusive
from searchr2.tracking.trajectories import Row

LIMITS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",  # the default waits minutes for a dead server
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_ASYNC_TRACE_LOGGING_RETRY_TIMEOUT": "10",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
for name, value in LIMITS.items():
    os.environ.setdefault(name, value)

import mlflow  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelInput,
    Metric,
    Param,
    RunTag,
)
from mlflow.tracing.client import TracingClient  # noqa: E402

from searchr2.tracking.traces import upload  # noqa: E402

ID, MIRRORED, MODEL = "searchr2.id", "searchr2.mirrored", "searchr2.model"
"""Tags: a record's identity, how much of it the store holds, and a checkpoint's identity."""
STATUS = {
    "running": "RUNNING",
    "finished": "FINISHED",
    "failed": "FAILED",
    "killed": "KILLED",
}
DATABASE, ARTIFACTS, LOCK = "mlflow.db", "mlartifacts", ".mlflow.lock"
METRICS_A_CALL, PARAMS_A_CALL = 900, 100  # log_batch takes 1000 entities, 100 of them params
T = TypeVar("T")


@dataclass(frozen=True)
class DataSet:
    name: str
    digest: str
    source: str


@dataclass(frozen=True)
class Value:
    """One value of a metric; ``time`` is epoch ms. ``model`` is a checkpoint it also belongs to."""

    name: str
    value: float
    time: int
    step: int
    model: str | None = None
    dataset: DataSet | None = None


@dataclass
class Run:
    """A run in the store, and what of its record it holds already."""

    id: str
    status: str = STATUS["running"]
    mirrored: dict[str, Any] = field(default_factory=dict)


class Store:
    """One experiment of a tracking store, created where it does not exist."""

    def __init__(self, results: Path, settings: Tracking) -> None:
        self.uri = settings.uri or f"sqlite:///{(results / DATABASE).resolve()}"
        mlflow.set_tracking_uri(self.uri)
        # Two processes that open a fresh sqlite store at once break it for good.
        with exclusive(results / LOCK, wait=True):
            self.client = mlflow.MlflowClient(self.uri)
            found = self.client.get_experiment_by_name(settings.experiment)
            if found:
                self.experiment = found.experiment_id
            else:
                place = None if settings.uri else (results / ARTIFACTS).resolve().as_uri()
                self.experiment = self.client.create_experiment(settings.experiment, place)

    def describe(self, tags: Mapping[str, str]) -> None:
        """Give the experiment those of ``tags`` that it lacks."""
        known = self.client.get_experiment(self.experiment).tags
        for key, text in tags.items():
            if key not in known:
                self.client.set_experiment_tag(self.experiment, key, text)

    def runs(self) -> dict[str, Run]:
        """Every run of ours, by its record's identity; ``ValueError`` where two share one."""
        runs: dict[str, Run] = {}
        for found in _pages(
            lambda token: self.client.search_runs([self.experiment], page_token=token)
        ):
            tags = found.data.tags
            if ID in tags:
                if tags[ID] in runs:
                    raise ValueError(f"two runs have {ID} {tags[ID]}: delete one of them")
                mirrored = json.loads(tags.get(MIRRORED, "{}"))
                runs[tags[ID]] = Run(found.info.run_id, found.info.status, mirrored)
        return runs

    def create_run(self, record: str, name: str, start: int, tags: Mapping[str, str]) -> Run:
        run = self.client.create_run(self.experiment, start, {**tags, ID: record}, name)
        return Run(run.info.run_id)

    def write(
        self,
        run: Run,
        values: Sequence[Value] = (),
        params: Mapping[str, str] | None = None,
        tags: Mapping[str, str] | None = None,
        **mirrored: Any,
    ) -> None:
        """Add to a run; ``mirrored`` notes what it holds then. Values it has are not repeated."""
        for part in _parts((params or {}).items(), PARAMS_A_CALL):
            self.client.log_batch(run.id, params=[Param(key, text) for key, text in part])
        noted = {**run.mirrored, **mirrored}
        texts = {**(tags or {}), MIRRORED: json.dumps(noted)}
        *first, last = list(_parts((_metric(run, v) for v in values), METRICS_A_CALL)) or [[]]
        for metrics in first:
            self.client.log_batch(run.id, metrics=metrics)
        self.client.log_batch(
            run.id, metrics=last, tags=[RunTag(key, text) for key, text in texts.items()]
        )
        run.mirrored = noted

    def set_status(self, run: Run, status: str, end: int | None) -> None:
        run.status = STATUS[status]
        if status == "running":
            self.client.update_run(run.id, STATUS[status])
        else:
            self.client.set_terminated(run.id, STATUS[status], end)

    def attach(self, run: Run, file: str, content: Mapping[str, Any]) -> None:
        """Keep a mapping as an artifact (``.json`` or ``.yaml``) of the run."""
        self.client.log_dict(run.id, dict(content), file)

    def use(self, run: Run, data: Iterable[DataSet], purpose: str, model: str | None) -> None:
        """Say which data sets a run read, for what, and which checkpoint it read."""
        tags = [InputTag("mlflow.data.context", purpose)]
        inputs = [
            DatasetInput(Dataset(d.name, d.digest, "local", json.dumps({"uri": d.source})), tags)
            for d in data
        ]
        self.client.log_inputs(run.id, inputs, [LoggedModelInput(model)] if model else None)

    def models(self) -> dict[str, str]:
        """Every checkpoint of ours: identity to model id."""
        found = _pages(
            lambda token: self.client.search_logged_models([self.experiment], page_token=token)
        )
        return {model.tags[MODEL]: model.model_id for model in found if MODEL in model.tags}

    def create_model(self, identity: str, name: str, run: Run, params: Mapping[str, str]) -> str:
        """A checkpoint as a model whose weights stay where they are; returns its id."""
        model = mlflow.create_external_model(
            name=name,
            source_run_id=run.id,
            tags={MODEL: identity},
            params=dict(params),
            model_type="checkpoint",
            experiment_id=self.experiment,
        )
        return str(model.model_id)

    def trace(
        self, rows: Sequence[Row], start: int, tags: Mapping[str, str], metadata: Mapping[str, str]
    ) -> None:
        """Show trajectories as traces; ``start`` is epoch ms."""
        upload(TracingClient(self.uri), self.experiment, rows, start, tags, metadata)


def _metric(run: Run, value: Value) -> Metric:
    return Metric(
        value.name,
        value.value,
        value.time,
        value.step,
        model_id=value.model,
        dataset_name=value.dataset.name if value.dataset else None,
        dataset_digest=value.dataset.digest if value.dataset else None,
        run_id=run.id,
    )


def _parts(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part


def _pages(search: Any) -> Iterator[Any]:
    page = search(None)
    yield from page
    while page.token:
        page = search(page.token)
        yield from page
