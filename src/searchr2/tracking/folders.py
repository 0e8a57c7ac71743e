"""Reading record folders: what ran, how far it came, and what is new in its ledger."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchr2.files import MANIFEST, DataError, UserError, digest, read_json
from searchr2.tracking.lock import is_held
from searchr2.tracking.record import LEDGER, LOCK, ROLLOUTS, RUN, SNAPSHOTS, STATE

PLACES = ("base", "instruct", "train/*/*", "evaluate/*/*", "evaluate/*/*/steps/*")
PREDICTIONS = "predictions.jsonl"
RESULT = "metrics.json"
"""An evaluation's outcome: ``{"sets": {set: {"em": ..., ...}}, "average": {...}}``."""

Line = dict[str, Any]
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordFolder:
    """A record folder as it was when it was read; ``key`` is its place under the results folder."""

    path: Path
    key: str
    about: dict[str, Any]
    result: dict[str, Any] | None

    @property
    def id(self) -> str:
        return str(self.about["id"])

    @property
    def group(self) -> str | None:
        """The run or row that this is one seed of (``train/search-r2/seed1`` is of search-r2)."""
        parts = self.key.split("/")
        return parts[1] if len(parts) > 2 else None

    @property
    def snapshot(self) -> int | None:
        """The step of the snapshot that an evaluation under ``steps/`` is of."""
        return _step(self.path) if self.path.parent.name == "steps" else None

    @property
    def inputs(self) -> dict[str, dict[str, str | None]]:
        """What it read: file stem -> ``path`` and ``digest``."""
        return {Path(str(i["path"])).stem: i for i in self.about["inputs"].values()}

    @property
    def questions(self) -> list[str]:
        """Names of the data sets it read."""
        return [name for name, read in self.inputs.items() if str(read["path"]).endswith(".jsonl")]

    @property
    def state(self) -> str:
        """A digest that changes when anything but the ledger does."""
        return digest([self.about, self.result])

    def trajectories(self, evaluated: int) -> Iterator[tuple[Path, int, int]]:
        """Files of trajectories worth showing, each with its step and time (epoch ms).

        An evaluation's predictions, with the step ``evaluated`` of its checkpoint; the first and
        the last rollouts that training kept.
        """
        if (self.path / PREDICTIONS).exists():
            yield self.path / PREDICTIONS, evaluated, self.about["start"]
        kept = sorted((self.path / ROLLOUTS).glob("step-*.jsonl"))
        moments = {line["step"]: line["time"] for line in self.lines(0)[0]} if kept else {}
        for path in dict.fromkeys((*kept[:1], *kept[-1:])):
            step = int(path.stem.removeprefix("step-"))
            yield path, step, moments.get(step, self.about["start"])

    @property
    def last(self) -> int:
        """The highest step in the ledger; 0 without a ledger."""
        return max((line["step"] for line in self.lines(0)[0]), default=0)

    def checkpoints(self) -> Iterator[tuple[int, Path]]:
        """The weights a training run kept, by step: snapshots on its way, then its last ones."""
        for path in sorted((self.path / SNAPSHOTS).glob(f"*/{MANIFEST}")):
            if (step := _step(path.parent)) is not None:
                yield step, path.parent
        yield self.last, self.path

    def lines(self, offset: int) -> tuple[list[Line], int]:
        """The ledger's whole lines from byte ``offset`` on, and the byte after the last of them."""
        live = self.path / STATE / LEDGER
        path = live if live.exists() else self.path / LEDGER
        if not path.exists():
            return [], offset
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read()
        end = content.rfind(b"\n") + 1
        return [json.loads(line) for line in content[:end].splitlines()], offset + end


def _step(folder: Path) -> int | None:
    """The step a folder is named by: 8 for ``step0008``."""
    digits = re.fullmatch(r"step(\d+)", folder.name)
    return int(digits[1]) if digits else None


def find_evaluations(results: Path, name: str) -> list[Path]:
    """The evaluation folders of a row, one a seed; ``name`` may also be such a folder itself.

    Raises ``DataError`` naming the rows there are.
    """
    if Path(name, PREDICTIONS).is_file():
        return [Path(name)]
    evaluations = results / "evaluate"
    if found := [path.parent for path in evaluations.glob(f"{name}/*/{PREDICTIONS}")]:
        return sorted(found, key=lambda folder: (len(folder.name), folder.name))
    rows = ", ".join(sorted({path.parts[-3] for path in evaluations.glob(f"*/*/{PREDICTIONS}")}))
    raise DataError(
        f"{name}: no predictions of that name in {evaluations} (there: {rows or 'none'})"
    )


def find_records(results: Path) -> Iterator[RecordFolder]:
    """Every record under ``results``, by place: the base, training runs, then evaluations."""
    for place in PLACES:
        for path in sorted(results.glob(f"{place}/{RUN}")):
            try:
                yield read_record(results, path.parent)
            except (UserError, OSError, LookupError, TypeError) as error:
                log.warning("%s: not a record: %r", path, error)


def last_written(folder: Path) -> int:
    """When the writer of a record last wrote, epoch ms."""
    files = (folder / RUN, folder / STATE / LEDGER)
    return int(1000 * max(file.stat().st_mtime for file in files if file.exists()))


def read_record(results: Path, folder: Path) -> RecordFolder:
    """The record in ``folder``; a run whose process died without saying so reads as "killed"."""
    about = read_json(folder / RUN)
    if about["status"] == "running" and not is_held(folder / LOCK):
        about = read_json(folder / RUN)  # it may have ended properly just now
        if about["status"] == "running":
            about |= {"status": "killed", "end": last_written(folder)}
    outcome = folder / RESULT
    return RecordFolder(
        folder,
        folder.relative_to(results).as_posix(),
        about,
        read_json(outcome) if outcome.exists() else None,
    )
