"""The ledger: a run's metrics as an append-only file of lines with their time.

``{"time": epoch ms, "step": n, "metrics": {name: value}}``. What a resumed run computes again it
finds already written, so a point has one time for ever and mirroring a ledger twice adds nothing.
"""

from __future__ import annotations

import json
import logging
import math
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchr2.files import read_jsonl, write_jsonl

MEASURED = "time/"
"""Prefix of metrics that depend on the moment (seconds, rates): the first one stands."""
NONFINITE = "alarms/nonfinite"
"""How many values of a line were infinite or not a number; only there when some were."""

log = logging.getLogger(__name__)
Point = tuple[int, float]
"""(epoch ms, value)"""


class Ledger:
    """Appends lines to ``path``; a last line torn by a killed writer is dropped on opening."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _drop_torn_line(path)
        self._points = _points(path)
        self._earlier: dict[tuple[int, str], Point] = {}
        self._file = path.open("ab", buffering=0)

    def append(self, metrics: Mapping[str, float | None], step: int) -> None:
        """Record what is new of ``metrics``; ``None`` is left out, non-finite ones are counted."""
        moment = now()
        new = {}
        for name, value in _finite(metrics, step).items():
            known = self._points.get((step, name)) or self._earlier.get((step, name))
            if known is None or (known[1] != value and not name.startswith(MEASURED)):
                if known is not None:
                    log.warning("step %d: %s is %r now, was %r", step, name, value, known[1])
                known = (moment, value)
                new[name] = value
            self._points[step, name] = known
        if new:
            line = json.dumps({"time": moment, "step": step, "metrics": new})
            self._file.write(f"{line}\n".encode())

    def rewind(self, step: int) -> None:
        """Take back the points after ``step``, which are about to be computed again."""
        later = {key: point for key, point in self._points.items() if key[0] > step}
        self._earlier.update(later)
        for key in later:
            del self._points[key]

    def copy(self, path: Path) -> None:
        """Write the points that stand to ``path``: one line a step and moment, in order of both."""
        lines: dict[tuple[int, int], dict[str, float]] = {}
        for (step, name), (moment, value) in self._points.items():
            lines.setdefault((step, moment), {})[name] = value
        write_jsonl(
            path,
            (
                {"time": moment, "step": step, "metrics": metrics}
                for (step, moment), metrics in sorted(lines.items(), key=lambda item: item[0])
            ),
        )

    def __len__(self) -> int:
        return len(self._points)

    def close(self) -> None:
        self._file.close()


def now() -> int:
    """Epoch milliseconds."""
    return time.time_ns() // 1_000_000


def _points(path: Path) -> dict[tuple[int, str], Point]:
    if not path.exists():
        return {}
    return {
        (line["step"], name): (line["time"], value)
        for _, line in read_jsonl(path)
        for name, value in line["metrics"].items()
    }


def _finite(metrics: Mapping[str, Any], step: int) -> dict[str, float]:
    values = {name: float(value) for name, value in metrics.items() if value is not None}
    bad = sorted(name for name, value in values.items() if not math.isfinite(value))
    if bad:
        log.warning("step %d: not finite: %s", step, ", ".join(bad))
    kept = {name: value for name, value in values.items() if math.isfinite(value)}
    return {**kept, NONFINITE: float(len(bad))} if bad else kept


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    with path.open("rb+") as file:
        content = file.read()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            log.warning("%s: dropped a last line that was cut short", path)
            os.truncate(file.fileno(), whole)
