"""A progress bar with rate and time left on a terminal, silence elsewhere."""

from __future__ import annotations

import sys
from typing import Any

from tqdm import tqdm


def bar(total: int, what: str, unit: str = "it", done: int = 0) -> Any:
    """A ``tqdm`` bar for ``total`` units of work, ``done`` of them already there; quiet off a terminal."""
    return tqdm(
        total=total,
        initial=done,
        desc=what,
        unit=f" {unit}",
        dynamic_ncols=True,
        disable=not sys.stderr.isatty(),
    )
