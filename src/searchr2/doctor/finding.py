"""What a check finds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, what was found, and what to do where it is not well."""

    what: str
    state: Literal["ok", "note", "bad"]
    found: str
    remedy: str = ""
