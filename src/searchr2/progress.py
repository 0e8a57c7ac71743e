"""A progress bar with rate and time left on a terminal, silence elsewhere.

The workflow sends a stage's output to a log file and leaves the terminal open for the bar, under
the descriptor that ``SEARCHR2_PROGRESS_FD`` names.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from tqdm import tqdm


def terminal() -> TextIO | None:
    """Where a bar may be drawn; ``None`` where nobody watches, or another process draws it."""
    if os.environ.get("RANK", "0") != "0":
        return None
    if sys.stderr.isatty():
        return sys.stderr
    descriptor = int(os.environ.get("SEARCHR2_PROGRESS_FD", "-1"))
    if descriptor < 0 or not os.isatty(descriptor):
        return None
    return open(descriptor, "w", closefd=False)


def bar(total: int, what: str, unit: str = "it", done: int = 0) -> Any:
    """A ``tqdm`` bar for ``total`` units of work, ``done`` of them there; quiet off a terminal."""
    file = terminal()
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        dynamic_ncols=True,
        file=file,
        disable=file is None,
    )
