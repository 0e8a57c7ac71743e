"""Rolling checkpoints: written aside, sealed by a manifest, renamed; the newest sound is used.

Processes that train together write one checkpoint, each its parts of it.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from searchr2.files import ArtifactError, verify_manifest, write_manifest
from searchr2.training.peers import ALONE, Peers

KEEP = 2
"""Checkpoints kept: the newest, and one to fall back on."""

log = logging.getLogger(__name__)


def save(
    folder: Path,
    step: int,
    write: Callable[[Path], None],
    about: dict[str, Any],
    peers: Peers = ALONE,
) -> None:
    """Make ``folder/step-000012``, whole or not at all.

    ``write``, called by all processes, fills it aside; the manifest seals it, a rename shows it.
    """
    target = folder / f"step-{step:06d}"
    aside = target.with_suffix(".tmp")
    if peers.first:
        for stale in (aside, target):
            shutil.rmtree(stale, ignore_errors=True)
        aside.mkdir(parents=True)
    peers.meet()
    write(aside)
    peers.meet()
    if peers.first:
        _show(aside, target, {**about, "step": step})
    peers.meet()


def _show(aside: Path, target: Path, about: dict[str, Any]) -> None:
    write_manifest(aside, about)
    sync_tree(aside)
    aside.rename(target)
    folder = target.parent
    sync_file(folder)
    kept = [path for path in found(folder) if path <= target][:KEEP]
    for other in found(folder):  # later ones are damaged or of other settings: not in our way
        if other not in kept:
            shutil.rmtree(other)


def resume(
    folder: Path,
    identity: str,
    load: Callable[[Path], None],
    parts: int = 1,
    peers: Peers = ALONE,
) -> int:
    """Have ``load`` read the newest checkpoint; its step, or 0 where there is none.

    Raises ``ArtifactError`` where it does not lie in so many ``parts``.
    """
    path, step = peers.first_does(lambda: newest(folder, identity, parts)) or (None, 0)
    if path is not None:
        load(path)
    return step


def newest(folder: Path, identity: str, parts: int = 1) -> tuple[Path, int] | None:
    """The newest checkpoint of this identity that verifies, and its step; ``None`` to start anew.

    A damaged one is named in the log and passed over; those of another identity (other settings)
    are not this run's and are ignored. Raises ``ArtifactError`` where it has other ``parts``.
    """
    for path in found(folder):
        try:
            manifest = verify_manifest(path, rebuilt_by="an older checkpoint is used")
        except ArtifactError as error:
            log.warning("%s", error)
            continue
        if manifest.get("identity") != identity:
            continue
        if (wrote := manifest.get("parts", 1)) != parts:
            raise ArtifactError(
                f"{path}: written by {wrote} processes, and ZeRO can give it to no other number;"
                f" go on with {wrote} (deepspeed.processes), or delete {folder} to start anew"
            )
        return path, int(manifest["step"])
    return None


def found(folder: Path) -> list[Path]:
    """The complete-looking checkpoints of a folder, newest first."""
    return sorted((p for p in folder.glob("step-*") if p.suffix != ".tmp"), reverse=True)


def sync_tree(folder: Path) -> None:
    """Flush every file and folder below to disk, so that the rename cannot outrun the data."""
    for path in (*folder.rglob("*"), folder):
        sync_file(path)


def sync_file(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
