"""Telling the record of runs that died: a killed process cannot write its own end."""

from __future__ import annotations

from pathlib import Path

from searchr2.files import read_json, write_json
from searchr2.tracking.folders import PLACES, last_written
from searchr2.tracking.lock import LockedError, exclusive
from searchr2.tracking.record import LOCK, RUN


def reconcile(results: Path) -> list[str]:
    """Mark every record that says "running" and has no writer as killed; returns their names.

    Its end is the last time it wrote.
    """
    marked = []
    for place in PLACES:
        for path in sorted(results.glob(f"{place}/{RUN}")):
            if read_json(path)["status"] != "running":
                continue
            try:
                with exclusive(path.parent / LOCK):
                    about = read_json(path)
                    if about["status"] == "running":
                        end = {"status": "killed", "end": last_written(path.parent)}
                        about["attempts"][-1] |= end
                        write_json(path, about | end)
                        marked.append(about["name"])
            except LockedError:  # it lives
                continue
    return marked
