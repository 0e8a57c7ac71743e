"""``fetch.lock.json``: the commit of each repository, and the sha256 of each file it gave.

Whatever was fetched once is demanded ever after, here and on every machine the file is copied to.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from searchr2.files import UserError, read_json, write_json


class FetchError(UserError):
    """Something that cannot be fetched; the message says why, what was kept and what to do."""


class Lock:
    """The lock file at ``path``, or an empty one; every change is written at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._repositories: dict[str, Any] = read_json(path) if path.exists() else {}
        if not isinstance(self._repositories, dict):
            raise FetchError(f"{path}: not a lock file; move it away")

    def revision(self, repo: str, wanted: str | None) -> str | None:
        """The commit ``repo`` is held to, else ``wanted``; ``FetchError`` where they differ."""
        held: str | None = self._repositories.get(repo, {}).get("revision")
        if held and wanted and held != wanted:
            raise FetchError(
                f"{self.path}: {repo} is locked at {held}, the catalogue wants {wanted}; to go"
                " over to it remove the repository from the lock file and its files from the disk"
            )
        return held or wanted

    def pin(self, repo: str, revision: str) -> None:
        """Hold ``repo`` to ``revision``."""
        if repo not in self._repositories:
            self._repositories[repo] = {"revision": revision, "items": {}, "files": {}}
            self._write()

    def paths(self, repo: str, item: str) -> list[str] | None:
        """The files of an item that was listed before; ``None`` for one that never was."""
        found: list[str] | None = self._repositories.get(repo, {}).get("items", {}).get(item)
        return found

    def list(self, repo: str, item: str, paths: list[str]) -> None:
        self._repositories[repo]["items"][item] = paths
        self._write()

    def file(self, repo: str, path: str) -> tuple[int, str] | None:
        """Size and sha256 of a file that was fetched; ``None`` for one that never was."""
        found = self._repositories.get(repo, {}).get("files", {}).get(path)
        return (found["size"], found["sha256"]) if found else None

    def record(self, repo: str, path: str, size: int, sha256: str) -> None:
        self._repositories[repo]["files"][path] = {"size": size, "sha256": sha256}
        self._write()

    def _write(self) -> None:
        write_json(self.path, self._repositories)
