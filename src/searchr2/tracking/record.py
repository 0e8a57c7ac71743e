"""A record folder while it is written: ``run.json``, the ledger, the lock and the provenance.

Training and evaluation write here and meet no a tracking server; ``mirror`` reads it later.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from searchr2.files import DataError, digest, read_json, write_json, write_jsonl
from searchr2.processes import abandoned
from searchr2.tracking.ledger import Ledger, now
from searchr2.tracking.lock import exclusive
from searchr2.tracking.provenance import code, hardware, read_inputs, write_provenance

RUN = "run.json"
LEDGER = "metrics.jsonl"
STATE = "state"
ROLLOUTS = "rollouts"
SNAPSHOTS = "snapshots"
"""Weights that a training run keeps on its way, in folders ``step<NNNN>``."""
LOCK = Path(STATE, "lock")
IDENTITY = ("name", "stage", "config", "inputs")
"""What makes a run in a folder the same run when it is started again."""
Status = Literal["running", "finished", "failed", "killed"]


class Record:
    """One writer's hold on a record folder (a ``ports.Tracker``); made by ``Record.open``."""

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        self._about = about
        self._ledger: Ledger
        self._held = ExitStack()

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        name: str,
        stage: str,
        tags: Mapping[str, Any],
        config: Mapping[str, Any],
        inputs: Mapping[str, Path] | None = None,
    ) -> Self:
        """A record to enter: ``with Record.open(...) as record``.

        ``config`` is the resolved settings (JSON); flattened, they are the run's parameters. The
        same name, stage, config and content of ``inputs`` (files, or folders with a manifest) in
        the same folder is the same run, reopened; anything else starts anew. Leaving by
        ``KeyboardInterrupt`` or ``SystemExit``, or after the workflow or launcher has died, is
        "killed", by another exception "failed". Entering raises ``LockedError`` while another
        process writes this folder.
        """
        about = {
            "name": name,
            "stage": stage,
            "tags": {key: str(value) for key, value in tags.items()},
            "parameters": flatten(config),
            "config": dict(config),
            "inputs": read_inputs(Path(folder), inputs or {}),
        }
        return cls(Path(folder), about)

    def __enter__(self) -> Self:
        with ExitStack() as held:
            held.enter_context(exclusive(self.folder / LOCK))
            earlier = self._earlier()
            ledger = self.folder / STATE / LEDGER
            if not earlier:
                ledger.unlink(missing_ok=True)
                for left in (ROLLOUTS, SNAPSHOTS):
                    shutil.rmtree(self.folder / left, ignore_errors=True)
            self._ledger = Ledger(ledger)
            held.callback(self._ledger.close)
            self._begin(earlier)
            self._held = held.pop_all()
        return self

    def log(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Append metrics of a step to the ledger; see ``Ledger.append``."""
        self._ledger.append(metrics, step)

    def keep(self, rows: Iterable[Mapping[str, Any]], step: int) -> None:
        """Write the trajectories of a step (rows of a predictions file) to ``rollouts/``."""
        write_jsonl(self.folder / ROLLOUTS / f"step-{step:06d}.jsonl", rows)

    def rewind(self, step: int) -> None:
        """Say that work goes on after ``step`` (a checkpoint's); call it before logging that."""
        self._ledger.rewind(step)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._held:
            if kind is None:
                self._conclude()
                self._end("finished")
            else:
                stopped = issubclass(kind, (KeyboardInterrupt, SystemExit))
                self._end("killed" if stopped or abandoned() else "failed")

    def _conclude(self) -> None:
        if len(self._ledger):
            self._ledger.copy(self.folder / LEDGER)
        write_provenance(
            self.folder,
            stage=self._about["stage"],
            config=self._about["config"],
            inputs=self._about["inputs"],
            start=self._about["start"],
        )

    def _earlier(self) -> list[dict[str, Any]]:
        """The attempts of the run in this folder, where it is the same run."""
        try:
            found = read_json(self.folder / RUN)
            this = json.loads(json.dumps(self._about))  # as it reads back: tuples become lists
            same = all(found[key] == this[key] for key in IDENTITY)
            return list(found["attempts"]) if same else []
        except (DataError, KeyError, TypeError):
            return []

    def _begin(self, earlier: list[dict[str, Any]]) -> None:
        for attempt in earlier:  # one that died could not say so
            if attempt["status"] == "running":
                attempt.update(status="killed", end=now())
        this = {"start": now(), "end": None, "status": "running"}
        this |= {"host": socket.gethostname(), "pid": os.getpid()}
        attempts = [*earlier, this]
        about, made_by = self._about, code()
        about["start"] = attempts[0]["start"]
        about["tags"] |= {
            "stage": about["stage"],
            "config": digest(about["config"]),
            "code": made_by["digest"],
            "commit": str(made_by["commit"]),
            "dirty": str(made_by["dirty"]),
            "attempt": str(len(attempts)),
        }
        about["id"] = digest([about[key] for key in (*IDENTITY, "start")])
        about |= {"attempts": attempts, "hardware": hardware()}
        self._write("running", None)

    def _end(self, status: Status) -> None:
        end = now()
        self._about["attempts"][-1].update(status=status, end=end)
        self._write(status, end)

    def _write(self, status: Status, end: int | None) -> None:
        write_json(self.folder / RUN, {**self._about, "status": status, "end": end})


class NoRecord:
    """What a process holds in the place of a ``Record`` that another one writes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def log(self, metrics: Mapping[str, float | None], step: int) -> None:
        pass

    def keep(self, rows: Iterable[Mapping[str, Any]], step: int) -> None:
        pass

    def rewind(self, step: int) -> None:
        pass


def flatten(config: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as ``{"section.key": text}``; lists become JSON, empty sections vanish."""
    flat: dict[str, str] = {}
    for key, value in config.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value if isinstance(value, str) else json.dumps(value)
    return flat
