"""An index folder: built beside its place and renamed, so that it is whole or absent.

Whatever the index, the folder has the passages in it, ``passages.jsonl`` with its offsets
(``searchr2.passages``): a corpus itself. A corpus of plain JSON lines is not copied but linked to,
relative to the folder. The manifest has its size and digest, so that it is missed when it is gone,
and refused when it is another one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from searchr2.corpus import import_corpus, read_corpus
from searchr2.files import (
    MANIFEST,
    PROVENANCE,
    ArtifactError,
    DataError,
    read_json,
    sha256,
    verify_manifest,
    write_manifest,
)
from searchr2.formats import is_json_lines
from searchr2.passages import PassageFile
from searchr2.progress import bar
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
    rule = f"`snakemake --forcerun index_{name}` or " if name in ("task", "world") else ""
    return f"{rule}`searchr2 index` rebuilds it"


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


def take_passages(folder: Path, corpus: Path) -> Iterator[Document]:
    """Yield each passage of ``corpus``; when all are consumed, ``open_passages`` finds them.

    Raises ``DataError`` (file, row, reason) at a row that cannot be used.
    """
    count = 0
    if is_json_lines(corpus):
        refer(folder, corpus)
        with PassageFile(corpus, folder / OFFSETS) as found:
            count = len(found)
    else:
        import_corpus(corpus, folder / PASSAGES)
    with bar(count, "reading", "passages") as shown:
        for passage in read_corpus(corpus):
            yield passage
            shown.update()
    with PassageFile(folder / PASSAGES):
        (folder / f".{OFFSETS}.lock").unlink()


def refer(folder: Path, corpus: Path) -> None:
    """Make ``corpus`` the passages of ``folder`` by a link, which holds where both move."""
    place, there = folder / PASSAGES, corpus.parent.resolve() / corpus.name
    place.unlink(missing_ok=True)
    place.symlink_to(os.path.relpath(there, folder.resolve()))


def share_passages(folder: Path, beside: Path) -> None:
    """Give the passages of ``folder`` to a folder ``beside`` it too."""
    place = folder / PASSAGES
    if place.is_symlink():
        (beside / PASSAGES).symlink_to(place.readlink())
    else:
        link(place, beside / PASSAGES)
    link(folder / OFFSETS, beside / OFFSETS)


def open_passages(folder: Path) -> PassageFile:
    """The passages of an index folder by row; raises ``DataError`` where they are others now."""
    return PassageFile(folder / PASSAGES, make=False)


def corpus_digest(corpus: Path) -> str:
    """sha256 of a corpus; raises ``DataError`` where there is none."""
    if not corpus.is_file():
        raise DataError(f"{corpus}: no such file")
    return sha256(corpus)


def read_manifest(folder: Path, kind: str, keys: Sequence[str]) -> dict[str, Any]:
    """The manifest of an index, its files verified; large ones by their sizes.

    Raises ``ArtifactError``: a file is missing or damaged, it is another ``kind`` of index, or one
    of ``keys`` is not in its manifest.
    """
    remedy = rebuilt_by(folder)
    manifest = verify_manifest(folder, remedy, HASH_LIMIT)
    if manifest.get("kind") != kind:
        raise ArtifactError(f"{folder / MANIFEST}: not an index of kind {kind}; {remedy}")
    if missing := [key for key in keys if key not in manifest]:
        raise ArtifactError(f"{folder / MANIFEST}: no {', '.join(missing)} in it; {remedy}")
    return manifest


def seal(folder: Path, about: dict[str, Any]) -> None:
    """Write the manifest of a folder that is whole.

    Raises ``DataError`` where the corpus it links to is not the one of ``corpus_sha256`` any more.
    """
    write_manifest(folder, about)
    place = folder / PASSAGES
    if place.is_symlink():
        now = read_json(folder / MANIFEST)["files"][PASSAGES]["sha256"]
        if now != about["corpus_sha256"]:
            raise DataError(f"{place.resolve()}: it changed while it was indexed; start again")


def link(source: Path, target: Path) -> None:
    """The same bytes under another name; a copy where the file system has no links."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
