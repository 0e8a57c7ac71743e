"""Brings MLflow up to date with the record folders: one pass at a time, doing nothing twice.

The store itself remembers, in a tag of each run, how much of its record it holds; copying a point
twice adds nothing, since points carry their recorded time. So a pass may stop anywhere and be
repeated.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean

from searchr2.files import UserError, digest, read_jsonl
from searchr2.tracking import views
from searchr2.tracking.checkpoints import DIGITS, Checkpoints, find, scores
from searchr2.tracking.folders import Line, RecordFolder, find_records
from searchr2.tracking.ledger import now
from searchr2.tracking.store import STATUS, Run, Store, Value
from searchr2.tracking.trajectories import sample

PARENT = "mlflow.parentRunId"
RUNNING = STATUS["running"]

log = logging.getLogger(__name__)


class Mirror:
    """Copies the records under ``results`` into ``store``."""

    def __init__(self, results: Path, store: Store, traces: int) -> None:
        """``traces`` of each data set and kind of outcome are shown of every evaluation."""
        self._results = results
        self._store = store
        self._traces = traces
        self._runs = store.runs()
        self._checkpoints = Checkpoints(store)
        store.describe(views.tags(now()))

    def update(self) -> None:
        """One pass over all records. Raises what the store raises; what was copied stays.

        A record that cannot be understood is named in the log and passed over.
        """
        records = {record.key: record for record in find_records(self._results)}
        changed = []
        for record in records.values():
            try:
                if self._copy(record, records):
                    changed.append(record)
            except (UserError, LookupError, TypeError, ValueError) as error:
                log.warning("%s: cannot be mirrored: %r", record.key, error)
        for group in sorted({record.group for record in changed if record.group}):
            self._summarise([record for record in records.values() if record.group == group])

    def abandon(self) -> int:
        """End the runs that go on in the store but have no record here; returns how many."""
        present = set()
        for record in find_records(self._results):
            present |= {record.id, _group_identity(record)}
        lost = [
            run for id, run in self._runs.items() if run.status == RUNNING and id not in present
        ]
        for run in lost:
            self._store.set_status(run, "killed", now())
        return len(lost)

    def _copy(self, record: RecordFolder, records: dict[str, RecordFolder]) -> bool:
        """Copy what is new of a record; returns whether that was more than ledger lines."""
        run = self._runs.get(record.id) or self._begin(record)
        lines, offset = record.lines(run.mirrored.get("ledger", 0))
        if lines:
            self._store.write(run, list(_values(lines)), ledger=offset)
        if run.mirrored.get("state") == record.state:
            return False
        if record.result is not None:
            checkpoint = find(record, records)
            by = self._runs[checkpoint.made.id] if checkpoint.made else run
            model = self._checkpoints.evaluated(record, run, checkpoint, by)
            self._trace(record, run, {"mlflow.modelId": model}, checkpoint.step)
        elif record.about["status"] == "finished":
            self._checkpoints.trained(record, run)
            self._trace(record, run, {})
        self._store.set_status(run, record.about["status"], record.about["end"])
        self._store.write(run, tags=_tags(record), state=record.state)
        return True

    def _trace(
        self, record: RecordFolder, run: Run, metadata: dict[str, str], evaluated: int = 0
    ) -> None:
        """Show a sample of a record's trajectories; ``metadata`` goes with each.

        ``evaluated`` is the step of the checkpoint that an evaluation is of.
        """
        known = record.about["tags"]
        tags = {key: known[key] for key in ("stage", "method", "backbone", "seed") if key in known}
        for path, step, moment in record.trajectories(evaluated):
            rows = sample((row for _, row in read_jsonl(path)), self._traces)
            about = {**tags, "row": record.group or record.key, "step": str(step)}
            self._store.trace(rows, moment, about, {**metadata, "mlflow.sourceRun": run.id})

    def _begin(self, record: RecordFolder) -> Run:
        """Make the run of a record, under the parent of its group."""
        about, parent = record.about, {}
        if record.group:
            parent = {PARENT: self._parent(record).id}
        source = {
            "mlflow.source.name": f"searchr2 {about['stage']}",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": about["tags"]["commit"],
        }
        tags = {**_tags(record), **source, **parent}
        run = self._store.create_run(record.id, about["name"], about["start"], tags)
        self._store.write(run, params=about["parameters"])
        self._store.attach(run, "config.yaml", about["config"])
        self._runs[record.id] = run
        return run

    def _parent(self, record: RecordFolder) -> Run:
        identity = _group_identity(record)
        if identity not in self._runs:
            backbone = record.about["tags"].get("backbone", "")
            tags = {"stage": "summary", "method": str(record.group), "backbone": backbone}
            tags[views.DESCRIPTION] = "Means over seeds; the runs below it are one seed each."
            name = f"{record.group}/{backbone}".strip("/")
            self._runs[identity] = self._store.create_run(
                identity, name, record.about["start"], tags
            )
        return self._runs[identity]

    def _summarise(self, group: list[RecordFolder]) -> None:
        """Write to the parent of a group the mean over seeds of what its evaluations found.

        Those of snapshots are not in it.
        """
        parent = self._parent(group[0])
        found: dict[str, list[float]] = {}
        for record in group:
            if record.snapshot is not None:
                continue
            for value in scores(record, 0, None):
                found.setdefault(value.name, []).append(value.value)
        end = max(int(record.about["end"] or record.about["start"]) for record in group)
        means = [Value(n, round(fmean(values), DIGITS), end, 0) for n, values in found.items()]
        seeds = len({record.about["tags"].get("seed") for record in group})
        self._store.write(parent, means, tags={"seeds": str(seeds)})
        statuses = [record.about["status"] for record in group]
        worst = next((s for s in ("running", "failed", "killed") if s in statuses), "finished")
        self._store.set_status(parent, worst, end)


def _tags(record: RecordFolder) -> dict[str, str]:
    """The record's tags, which sets of questions it read, and where its files are."""
    about = {"data": " ".join(record.questions), views.DESCRIPTION: f"Files: `{record.path}`"}
    return {**record.about["tags"], **about}


def _group_identity(record: RecordFolder) -> str:
    return digest(["group", record.group, record.about["tags"].get("backbone", "")])


def _values(lines: Iterable[Line]) -> Iterator[Value]:
    for line in lines:
        for name, value in line["metrics"].items():
            yield Value(name, value, line["time"], line["step"])
