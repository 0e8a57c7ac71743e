"""Where an artefact came from: ``provenance.json`` beside it, enough to say if it still holds."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from searchr2.files import MANIFEST, PROVENANCE, digest, sha256, write_json
from searchr2.tracking.ledger import now

PACKAGES = (
    "bm25s",
    "deepspeed",
    "faiss-cpu",
    "mlflow",
    "numpy",
    "tokenizers",
    "torch",
    "transformers",
)
Inputs = dict[str, dict[str, str | None]]
"""Name of an input -> its ``path`` and its ``digest`` (``None``: it was not there)."""
SOURCE = Path(__file__).resolve().parents[1]


@contextmanager
def made(
    artefact: Path, *, stage: str, config: Mapping[str, Any], inputs: Mapping[str, Path]
) -> Iterator[None]:
    """Write the provenance of ``artefact`` once the block, which makes it, has ended well.

    ``inputs`` name files or folders, taken note of before.
    """
    start, read = now(), read_inputs(artefact, inputs)
    yield
    write_provenance(artefact, stage=stage, config=config, inputs=read, start=start)


def write_provenance(
    artefact: Path,
    *,
    stage: str,
    config: Mapping[str, Any],
    inputs: Inputs,
    start: int,
) -> None:
    """Write what made ``artefact`` beside it, once the artefact and its manifest are whole.

    ``inputs`` come from ``read_inputs``, called before the work; ``start`` is epoch ms.
    """
    write_json(
        provenance_path(artefact),
        {
            "stage": stage,
            "artefact": artefact.name,
            "digest": content_digest(artefact),
            "config": config,
            "inputs": inputs,
            "code": code(),
            "packages": packages(),
            "hardware": hardware(),
            "command": shlex.join(["searchr2", *sys.argv[1:]]),  # wherever it stands here
            "start": start,
            "end": now(),
        },
    )


def read_inputs(artefact: Path, paths: Mapping[str, Path]) -> Inputs:
    """Place (seen from the folder ``artefact`` stands in) and digest of files, or of folders."""
    return {
        name: {"path": os.path.relpath(path, artefact.parent), "digest": content_digest(path)}
        for name, path in sorted(paths.items())
    }


def provenance_path(artefact: Path) -> Path:
    """``DIR/provenance.json`` of a folder, ``NAME.provenance.json`` of a file."""
    if artefact.is_dir():
        return artefact / PROVENANCE
    return artefact.with_name(f"{artefact.stem}.{PROVENANCE}")


def content_digest(path: Path) -> str | None:
    """sha256 of a file or a folder's manifest, a digest of other folders; ``None`` of nothing."""
    if not path.is_dir():
        return sha256(path) if path.is_file() else None
    if (path / MANIFEST).is_file():
        return sha256(path / MANIFEST)
    return digest({str(file.relative_to(path)): sha256(file) for file in _content(path)})


def _content(folder: Path) -> Iterator[Path]:
    """What a folder holds, save for what changes when nothing of substance does.

    Evaluations of snapshots (``steps/``) have a provenance of their own.
    """
    for file in sorted(folder.rglob("*")):
        place = file.relative_to(folder).parts
        if file.is_file() and place[0] not in ("run.json", PROVENANCE, "state", "steps"):
            yield file


@lru_cache
def code() -> dict[str, Any]:
    """The code that runs: digest of the package's source, git commit, what differs from it.

    Outside a git work tree (or without git) ``commit``, ``dirty`` and ``diff`` are ``None``.
    """
    whole = hashlib.sha256()
    for file in sorted(SOURCE.rglob("*")):
        if file.suffix in (".py", ".txt"):
            whole.update(f"{file.relative_to(SOURCE)}\0".encode() + file.read_bytes() + b"\0")
    commit, diff = _git("rev-parse", "HEAD"), _git("diff", "HEAD", "--no-ext-diff")
    return {
        "digest": whole.hexdigest()[:16],
        "commit": commit.decode().strip() if commit else None,
        "dirty": None if diff is None else bool(diff),
        "diff": diff.decode(errors="replace") if diff else None,
    }


def packages() -> dict[str, str]:
    """Installed versions of the packages results depend on, without importing them."""
    versions = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def hardware() -> dict[str, Any]:
    """The machine: name, system, cores, memory in GiB, and GPUs where torch is loaded already."""
    torch = sys.modules.get("torch")
    gpus = torch.cuda.device_count() if torch else 0
    return {
        "host": platform.node(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": [torch.cuda.get_device_name(i) for i in range(gpus)] if torch else [],
    }


def _git(*arguments: str) -> bytes | None:
    try:
        return subprocess.run(
            ("git", "-C", str(SOURCE), *arguments),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=True,
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
