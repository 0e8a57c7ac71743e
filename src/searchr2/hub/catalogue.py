"""The catalogue: what can be fetched, from which commit of which repository, to where."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, TypeAdapter, ValidationError

from searchr2.config import ConfigError, Section

SHIPPED = Path(__file__).with_name("catalogue.toml")

Commit = Annotated[str, Field(pattern="^[0-9a-f]{40}$")]


class File(Section):
    """What a file must be; ``None`` leaves it to the hub's listing of the commit."""

    size: int | None = Field(None, ge=0)
    sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")


class Product(Section):
    """What the files are made into: parts ``join`` to one file, an archive is to ``unpack``."""

    name: str
    how: Literal["join", "unpack"]
    size: int | None = Field(None, ge=0)
    """Bytes, where known: demanded of the product, and counted before anything is fetched."""


class Item(Section):
    what: str
    repo: str
    type: Literal["dataset", "model"]
    revision: Commit | None = None
    """The commit; ``None`` is the newest at the first fetch, then what the lock file says."""
    folder: str
    """Where the files go, below the folder everything is fetched to."""
    licence: str
    files: dict[str, File]
    """Path or pattern in the repository -> what it must be."""
    makes: Product | None = None
    gigabytes: float | None = None
    """About how much it is, where no sizes of files are given."""

    def size(self) -> float | None:
        """Bytes of the files, about; ``None`` where the catalogue does not say."""
        if self.gigabytes is not None:
            return self.gigabytes * 1e9
        sizes = [file.size for file in self.files.values()]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def load(path: Path = SHIPPED) -> dict[str, Item]:
    """The items of a catalogue by name; raises ``ConfigError`` naming key and reason."""
    try:
        return TypeAdapter(dict[str, Item]).validate_python(tomllib.loads(path.read_text()))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{path}: {'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise ConfigError("\n".join(lines)) from None
