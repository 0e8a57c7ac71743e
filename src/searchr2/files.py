"""Files that are whole or absent: atomic writes, JSON lines, digests and manifests."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

MANIFEST = "manifest.json"
PROVENANCE = "provenance.json"


class UserError(Exception):
    """Something a person can put right; printed as one line, without a traceback."""


class DataError(UserError):
    """A file that cannot be used; the message names the file, the line and the reason."""


class ArtifactError(UserError):
    """A missing or damaged artefact; the message names it and the rule that rebuilds it."""


def results_folder(path: Path) -> Path:
    """``path``, which a workflow wrote; raises ``UserError`` where there is no such folder."""
    if not path.is_dir():
        raise UserError(f"{path}: no such folder; the workflow writes it")
    return path


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write ``path`` anew in, which replaces it at the end or is removed on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` so that a reader sees the old file or the new one, never a part."""
    with replacing(path) as file:
        file.write(text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


def write_jsonl(path: Path, rows: Iterable[Any]) -> None:
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def read_json(path: Path) -> Any:
    """The value of a JSON file; raises ``DataError`` naming a file that is missing or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON: {error}") from None


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """``json_lines`` of a file; raises ``DataError`` naming one that cannot be opened."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    with file:
        yield from json_lines(file, path)


def json_lines(lines: Iterable[bytes], path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, object) of each non-blank line of the file at ``path``.

    Raises ``DataError`` naming file and line where a line is not a JSON object in UTF-8.
    """
    for number, raw in enumerate(lines, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            row = json.loads(line) if line else None
            refuse_half_pairs(line, row)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not a line of JSON: {error}") from None
        if row is None and not line:
            continue
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
        yield number, row


def refuse_half_pairs(line: str, value: Any) -> None:
    """Raise ``UnicodeError`` where ``value``, ``line`` in JSON, has half a surrogate pair in it:
    it could be written nowhere."""
    if "\\ud" in line or "\\uD" in line:
        json.dumps(value, ensure_ascii=False).encode()


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A short stable digest (16 hex digits) of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_manifest(folder: Path, about: dict[str, Any], below: str = ".") -> None:
    """Record size and sha256 of every file under ``folder / below`` beside ``about``, in
    ``folder / "manifest.json"``, which a digest of its own seals.

    The provenance is left out: it is written last, and tells of the manifest.
    """
    files = {
        str(path.relative_to(folder)): {"size": path.stat().st_size, "sha256": sha256(path)}
        for path in sorted((folder / below).rglob("*"))
        if path.is_file() and path.name not in (MANIFEST, PROVENANCE)
    }
    sealed = {**about, "files": files}
    write_json(folder / MANIFEST, {**sealed, "digest": digest(sealed)})


def verify_manifest(folder: Path, rebuilt_by: str, hash_limit: float = math.inf) -> dict[str, Any]:
    """The manifest of ``folder``, once every file in it has its recorded size and sha256.

    Where the files sum to more than ``hash_limit`` bytes their sizes alone are compared. Raises
    ``ArtifactError`` naming the file that is missing or differs, and ``rebuilt_by``.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ArtifactError(f"{folder}: no {MANIFEST} here; {rebuilt_by}")
    try:
        manifest: dict[str, Any] = read_json(path)
        seal = manifest.pop("digest", None)  # None: written before manifests were sealed
        recorded = {name: (e["size"], e["sha256"]) for name, e in manifest["files"].items()}
        hashing = sum(size for size, _ in recorded.values()) <= hash_limit
    except (DataError, KeyError, TypeError, AttributeError):
        raise ArtifactError(f"{path}: unreadable; {rebuilt_by}") from None
    if seal not in (None, digest(manifest)):
        raise ArtifactError(f"{path}: does not match its own digest (damaged?); {rebuilt_by}")
    for name, (size, sum_) in recorded.items():
        file = folder / name
        shown = f"{file} (a link to {file.resolve()})" if file.is_symlink() else file
        if not file.is_file():
            raise ArtifactError(f"{shown}: missing; {rebuilt_by}")
        if file.stat().st_size != size or (hashing and sha256(file) != sum_):
            raise ArtifactError(f"{shown}: does not match {path.name} (damaged?); {rebuilt_by}")
    return manifest
