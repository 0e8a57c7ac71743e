"""What every section is: frozen, complete, and refused with the key that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from searchr2.files import UserError

Set = Literal["nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle"]


SETS: tuple[str, ...] = get_args(Set)
"""The seven evaluation sets, in the order of the paper's Table 2."""


class ConfigError(UserError):
    """A setting that cannot be used; the message names the key, its place and what is allowed."""


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


S = TypeVar("S", bound=Section)


def load(kind: type[S], data: Any, source: str | Path) -> S:
    """A validated section of type ``kind``; raises ``ConfigError`` naming key, place and reason."""
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        lines = [
            f"{source}: {'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}"
            for e in error.errors()
        ]
        raise ConfigError("\n".join(lines)) from None
