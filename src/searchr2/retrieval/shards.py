"""Encoding a corpus: any number of processes fill one file of vectors, shard by shard.

Each shard is a run of rows. Who encodes it holds a kernel lock; when the rows are on disk a mark
says so. A process that is killed lets go of its lock, and its shard is encoded again. So processes
may join, die and come back at any time, on one machine or on several that share the folder. Shards,
and batches within them, are the same whoever encodes them, so the file is too, up to the rounding
of different hardware.

    passages.jsonl, its offsets   the passages (``folders``)
    vectors.index                 their vectors, in the layout of FAISS's Flat index
    encoding.json                 what is encoded, and how; another encoding is refused
    shards/000000.done ...        the marks, beside the locks
"""

from __future__ import annotations

from pathlib import Path

from searchr2.corpus import join_contents
from searchr2.files import DataError, read_json, write_json
from searchr2.progress import bar
from searchr2.retrieval.encoder import Encoder
from searchr2.retrieval.folders import (
    PASSAGES,
    VECTORS,
    corpus_digest,
    open_passages,
    refer,
    take_passages,
)
from searchr2.retrieval.vectors import create_flat, write_rows
from searchr2.tracking.lock import LockedError, exclusive

ENCODING = "encoding.json"
SHARD = 1 << 14
"""Passages of a shard: what a killed process loses."""


class OtherEncoding(DataError):
    """A folder with vectors of other passages, or encoded otherwise."""


def prepare(folder: Path, corpus: Path, encoder: Encoder) -> str:
    """Lay out ``folder`` for the vectors of ``corpus``, unless somebody has; returns its sha256.

    Raises ``OtherEncoding`` where the folder is of another corpus, or another encoding.
    """
    sha256 = corpus_digest(corpus)
    wanted = {"corpus_sha256": sha256, **encoder.encoding.model_dump(), "shard": SHARD}
    with exclusive(folder / "prepare.lock", wait=True):
        if not (folder / ENCODING).is_file():
            count = sum(1 for _ in take_passages(folder, corpus))
            create_flat(folder / VECTORS, encoder.dimension, count)
            write_json(folder / ENCODING, wanted)
    found = read_json(folder / ENCODING)
    for key, value in wanted.items():
        if found.get(key) != value:
            raise OtherEncoding(
                f"{folder / ENCODING}: vectors of another encoding: {key} is {found.get(key)!r} "
                f"there, {value!r} here; give another folder, or remove this one"
            )
    if not (folder / PASSAGES).is_file():
        refer(folder, corpus)  # the same corpus, moved since
    return sha256


def encode(folder: Path, encoder: Encoder) -> None:
    """Encode what nobody has encoded, until all is.

    What others are at work on is waited for, and taken over where they die.
    """
    passages = open_passages(folder)
    left = list(range(0, len(passages), SHARD))
    shown = bar(len(passages), "encode", "passages")
    for wait in (False, True):
        for start in tuple(left):
            mark = folder / "shards" / f"{start // SHARD:06d}.done"
            try:
                with exclusive(mark.with_suffix(".lock"), wait):
                    if not mark.exists():
                        read = passages[start : start + SHARD]
                        contents = [join_contents(one.title, one.text) for one in read]
                        write_rows(folder / VECTORS, start, encoder.passages(contents))
                        mark.touch()
            except LockedError:
                continue
            left.remove(start)
            shown.update(min(SHARD, len(passages) - start))
    shown.close()
