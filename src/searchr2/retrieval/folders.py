"""An index folder: built beside its place and renamed, so that it is whole or absent.

Whatever the index, the folder has a copy of the passages in it, ``passages.jsonl`` with its offsets
(``searchr2.passages``): a corpus itself.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from searchr2.corpus import join_contents
from searchr2.files import MANIFEST, PROVENANCE, DataError
from searchr2.passages import PassageFile
from searchr2.trajectory import Document

PASSAGES, OFFSETS = "passages.jsonl", "passages.jsonl.offsets"
HASH_LIMIT = 1 << 30
"""Bytes up to which opening an index verifies sha256; above it, sizes alone."""
VECTORS, PROBE_VECTOR = "vectors.index", "probe.npy"
"""The files of a dense index beside its passages."""
_KNOWN = (PASSAGES, OFFSETS, VECTORS, PROBE_VECTOR, MANIFEST, PROVENANCE)


def rebuilt_by(folder: Path) -> str:
    """What to do about an index that is damaged; results/index/<name> is made by index_<name>."""
    name = folder.resolve().name
    return f"`snakemake --forcerun index_{name}` or `searchr2 index` rebuilds it"


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """A folder to build in, which takes the place of ``folder`` at the end.

    A build that fails leaves ``folder`` as it was. Raises ``DataError`` where it holds files that
    are no index.
    """
    _refuse_strangers(folder)
    aside = folder.with_name(f".{folder.name}.building")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        yield aside
    except BaseException:
        shutil.rmtree(aside)
        raise
    if folder.exists():
        shutil.rmtree(folder)
    aside.rename(folder)


def _refuse_strangers(folder: Path) -> None:
    """A rebuilt index replaces its folder, so the folder must hold nothing else."""
    if not folder.exists():
        return
    for path in folder.iterdir() if folder.is_dir() else [folder]:
        if path.name not in _KNOWN and not path.name.endswith((".index.npy", ".index.json")):
            raise DataError(f"{path}: not part of an index; give --out a folder of its own")


def write_passages(folder: Path, passages: Iterable[Document]) -> Iterator[Document]:
    """Yield each passage once its row is written; when all are consumed, they can be opened."""
    with (folder / PASSAGES).open("wb") as file:
        for passage in passages:
            row = {"id": passage.id, "contents": join_contents(passage.title, passage.text)}
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
            yield passage
    with open_passages(folder):
        (folder / f".{OFFSETS}.lock").unlink()


def open_passages(folder: Path) -> PassageFile:
    """The passages of an index folder by row."""
    return PassageFile(folder / PASSAGES)


def link(source: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system has no links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
