"""The mirror as a process: one pass, or passes for as long as a workflow lives.

Nothing waits for it. A pass that fails is logged and tried again; what it could not copy stays in
the files for the next ``searchr2 sync``.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from searchr2.config import Tracking, load
from searchr2.files import UserError, read_json, results_folder
from searchr2.processes import alive
from searchr2.tracking.lock import exclusive

if TYPE_CHECKING:
    from searchr2.tracking.mirror import Mirror

EVERY = 10.0
"""Seconds between passes."""
GRACE = 60.0
"""Seconds the last pass may take after the workflow has ended."""

LOCK = ".sync.lock"
SETTINGS = Path("config", "tracking.json")

log = logging.getLogger(__name__)


class SyncError(UserError):
    """The store could not take everything; the message says why."""


def read_settings(results: Path) -> Tracking:
    """The ``tracking`` section of the workflow's config, or its defaults."""
    path = results_folder(results) / SETTINGS
    settings: Tracking = load(Tracking, read_json(path) if path.exists() else {}, path)
    return settings


def sync_once(results: Path, settings: Tracking, abandon: bool = False) -> int:
    """Bring the store up to date; raises ``SyncError`` where it cannot be reached or written.

    With ``abandon``, runs that go on in the store without a record here are ended: returns their
    number.
    """
    with exclusive(results / LOCK):
        try:
            mirror = _mirror(results, settings)
            mirror.update()
            return mirror.abandon() if abandon else 0
        except Exception as error:  # MLflow lets through what its database or connection raises
            raise SyncError(
                f"not everything is in MLflow: {_line(error)}; files hold all of it, sync again"
            ) from error


def follow(results: Path, settings: Tracking, parent: int) -> None:
    """Keep the store up to date until the process ``parent`` has ended, then once more.

    Prints what that cost.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the workflow; its end ends us
    threading.Thread(target=_leave_in_time, args=(parent,), daemon=True).start()
    mirror = None
    with exclusive(results / LOCK):
        last = False
        while not last:
            last = not alive(parent)
            try:
                mirror = mirror or _mirror(results, settings)
                mirror.update()
            except Exception as error:  # whatever a store may raise must not end the mirroring
                log.warning("not mirrored yet: %s", _line(error))
                mirror = None
            _wait(parent, 0 if last else EVERY)
    print(f"mirrored {results} with {time.process_time():.1f} s of processor time")


def _mirror(results: Path, settings: Tracking) -> Mirror:
    from searchr2.tracking.mirror import Mirror
    from searchr2.tracking.store import Store

    return Mirror(results, Store(results, settings), settings.traces)


def _line(error: Exception) -> str:
    return (str(error).splitlines() or [repr(error)])[0]


def _wait(parent: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and alive(parent):
        time.sleep(0.5)


def _leave_in_time(parent: int) -> None:
    """End this process ``GRACE`` seconds after its parent, whatever it is waiting for."""
    while alive(parent):
        time.sleep(1)
    time.sleep(GRACE)
    log.warning("gave up; `searchr2 sync` copies the rest")
    os._exit(1)
