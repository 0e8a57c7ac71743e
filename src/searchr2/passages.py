"""Random access to the passages of a corpus, however many: opened in milliseconds, held nowhere.

Beside ``corpus.jsonl`` stands ``corpus.jsonl.offsets``, made once: little-endian uint64, the byte
each row begins at and, last, the size of the corpus. A passage is two reads at a place, one in each
file: nothing is kept in memory, and threads and forked processes can share what is open.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Self, overload

import numpy as np
from numpy.typing import NDArray

from searchr2.corpus import parse_passage
from searchr2.files import DataError
from searchr2.formats import is_json_lines
from searchr2.progress import bar
from searchr2.tracking.lock import exclusive
from searchr2.trajectory import Document

_BLOCK, _PROBES = 8 << 20, 64
_PAIR = struct.Struct("<QQ")


class PassageFile(Sequence[Document]):
    """The passages of a JSON-lines corpus by row, ``score`` 0."""

    def __init__(self, corpus: Path, offsets: Path | None = None, make: bool = True) -> None:
        """Open ``corpus``; its offsets are made first where there are none that fit it.

        ``offsets`` says where they stand if not beside it. Raises ``DataError``: no corpus of JSON
        lines, no passage in it, no place to write the offsets to, or none to ``make`` that fit.
        """
        self.path = corpus
        self.offsets_path = offsets or corpus.with_name(f"{corpus.name}.offsets")
        if not is_json_lines(corpus):
            raise DataError(f"{corpus}: passages are read by row from plain JSON lines only")
        try:
            if not _fits(corpus, self.offsets_path):
                if not make:
                    raise DataError(
                        f"{corpus.resolve()}: not the corpus that {self.offsets_path} is of; bring"
                        " that one back, or build the index again"
                    )
                _make_offsets(corpus, self.offsets_path)
            self._offsets, self._file = self.offsets_path.open("rb"), corpus.open("rb")
            self._rows = os.fstat(self._offsets.fileno()).st_size // 8 - 1
        except OSError as error:
            raise DataError(f"{error.filename}: {error.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._offsets.close()
        self._file.close()

    def __len__(self) -> int:
        return self._rows

    @overload
    def __getitem__(self, row: int) -> Document: ...
    @overload
    def __getitem__(self, row: slice) -> list[Document]: ...
    def __getitem__(self, row: int | slice) -> Document | list[Document]:
        """Raises ``IndexError`` past the last row, ``DataError`` at a row that is no passage."""
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        at = range(len(self))[row]
        start, end = _PAIR.unpack(os.pread(self._offsets.fileno(), 16, 8 * at))
        raw = os.pread(self._file.fileno(), end - start, start)
        try:
            return parse_passage(json.loads(raw.decode("utf-8-sig")))
        except (ValueError, AttributeError) as error:
            raise DataError(
                f"{self.path}, row {at}: {error}; if the corpus was edited, delete"
                f" {self.offsets_path}"
            ) from None


def _fits(corpus: Path, offsets: Path) -> bool:
    """Whether ``offsets`` are whole and of this corpus, by its size and by rows all over it."""
    if not offsets.is_file() or offsets.stat().st_size < 16 or offsets.stat().st_size % 8:
        return False
    starts = np.memmap(offsets, dtype="<u8", mode="r")
    if int(starts[-1]) != corpus.stat().st_size:
        return False
    with corpus.open("rb") as file:
        for at in np.linspace(0, len(starts) - 2, _PROBES).astype(int):
            start = int(starts[at])
            before = os.pread(file.fileno(), 1, start - 1) if start else b"\n"
            if before != b"\n" or _is_blank(file.fileno(), start):
                return False
    return True


def _make_offsets(corpus: Path, offsets: Path) -> None:
    """Write ``offsets``, going on where a killed attempt stopped; a second process waits."""
    part = offsets.with_name(f".{offsets.name}.part")
    with exclusive(offsets.with_name(f".{offsets.name}.lock"), wait=True):
        if _fits(corpus, offsets):  # the process we waited for has made them
            return
        size = corpus.stat().st_size
        for attempt in ("go on", "anew"):
            with corpus.open("rb") as source, part.open("a+b") as target:
                if attempt == "anew":  # what was there belongs to another corpus
                    target.truncate(0)
                at = _resume(target)
                with bar(size, "finding the passages", "B", done=at) as shown:
                    for starts in _line_starts(source, at):
                        target.write(starts.astype("<u8").tobytes())
                        shown.update(source.tell() - shown.n)
                target.write(np.uint64(size).astype("<u8").tobytes())
                target.flush()
                os.fsync(target.fileno())
                rows = target.tell() // 8 - 1
            if not rows:
                part.unlink()
                raise DataError(f"{corpus}: no passage in this corpus")
            if _fits(corpus, part):
                part.replace(offsets)
                return
        part.unlink()
        raise DataError(f"{corpus}: it changed while its passages were counted")


def _resume(target: BinaryIO) -> int:
    """Where the last row that was found begins; it is found again, so it is dropped here."""
    found = target.seek(0, os.SEEK_END) // 8
    if not found:
        target.truncate(0)
        return 0
    target.seek(8 * (found - 1))
    at = int.from_bytes(target.read(8), "little")
    target.truncate(8 * (found - 1))
    return at


def _line_starts(file: BinaryIO, at: int) -> Iterator[NDArray[np.int64]]:
    """Where the lines from byte ``at`` on begin, blank ones left out, a block at a time."""
    file.seek(at)
    begins = True
    while block := file.read(_BLOCK):
        data = np.frombuffer(block, np.uint8)
        starts = np.flatnonzero(data == ord("\n")) + 1
        if begins:
            starts = np.concatenate([[0], starts])
        begins = bool(len(starts)) and starts[-1] == len(block)
        starts = starts[:-1] if begins else starts
        rows = data[starts] == ord("{")
        for odd in np.flatnonzero(~rows):
            rows[odd] = not _is_blank(file.fileno(), at + int(starts[odd]))
        yield at + starts[rows]
        at += len(block)


def _is_blank(descriptor: int, start: int) -> bool:
    """Whether there is nothing but space from byte ``start`` to the end of the line."""
    while window := os.pread(descriptor, 256, start):
        line, newline, _ = window.partition(b"\n")
        if line.strip() or newline:
            return not line.strip()
        start += len(window)
    return True
