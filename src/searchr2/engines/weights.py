"""The weights that servers are to sample from: a folder on disk and a version that names them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from searchr2.files import MANIFEST, digest, read_json

Once = Callable[[Callable[[], None]], object]
"""Runs some work in one of the processes that train together; the others wait for it."""


def call(work: Callable[[], None]) -> None:
    """The ``Once`` of a process that is alone."""
    work()


class Weights(Protocol):
    """A version, and where it lies in ``save_pretrained``'s layout."""

    @property
    def version(self) -> str: ...

    def folder(self) -> str:
        """A folder of the present version, written if need be, as the servers are to find it."""

    def loaded(self) -> None:
        """The servers have the present version: earlier ones may go."""


@dataclass(frozen=True)
class Fixed:
    """A checkpoint that nobody trains: a folder, or a hub id."""

    source: str

    @property
    def version(self) -> str:
        """A digest of where it lies and, of an export of our own, of what is in it."""
        seal = Path(self.source).with_name(MANIFEST)
        return digest([self.folder(), read_json(seal).get("digest") if seal.is_file() else None])

    def folder(self) -> str:
        path = Path(self.source)
        return str(path.resolve()) if path.is_dir() else self.source

    def loaded(self) -> None:
        pass


@dataclass(frozen=True)
class Snapshots:
    """The weights in training: a folder for each version, of which the last ``keep`` stay.

    ``updates`` counts the optimizer's steps, over restarts too; ``write`` saves the weights below a
    folder and gives where they are. Where several processes train, all of them call ``folder``, and
    one ``loaded``.
    """

    root: Path
    name: str
    keep: int
    updates: Callable[[], int]
    write: Callable[[Path], Path]

    @property
    def version(self) -> str:
        return f"{self.name}-{self.updates():06d}"

    def folder(self) -> str:
        return str(self.write(self.root / self.version).resolve())

    def loaded(self) -> None:
        folders = [path for path in self.root.iterdir() if path.is_dir()]
        folders.sort(key=lambda p: (p.name == self.version, p.stat().st_mtime_ns), reverse=True)
        for old in folders[self.keep :]:
            shutil.rmtree(old)
