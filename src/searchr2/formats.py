"""Files of rows, whatever they are kept in: what a file is, its first bytes say and not its name.

    JSON lines, one JSON array of objects, tab-separated text    also inside gzip, tar, or a gzipped
                                                                 tar, as wiki-18.jsonl.gz is one
    Parquet                                                      as it stands

Rows are streamed: memory does not grow with the file.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

from searchr2.files import DataError, json_lines, refuse_half_pairs
from searchr2.progress import bar

Row = tuple[str, dict[str, Any]]
"""Where a row stands, as an error names it ("corpus.jsonl:17"), and the row."""

_HEAD, _BLOCK, _BATCH = 512, 1 << 20, 1024
_LARGEST = 64 << 20
"""Characters of one object in a JSON array, or cell of a table; beyond them a bracket or a quote
was never closed."""
csv.field_size_limit(_LARGEST)


@dataclass(frozen=True)
class Opened:
    """A file of rows: what it is, and its bytes, out of the archives around it."""

    path: Path
    kind: Literal["jsonl", "array", "parquet", "tsv"]
    stream: BinaryIO
    packed: bool
    archive: tarfile.TarFile | None

    def finish(self) -> None:
        """After the last byte: refuse an archive with more files, of which one would be chosen."""
        while self.archive and (member := self.archive.next()):
            if member.isfile():
                raise DataError(f"{self.path}: more than one file in this archive; unpack it first")


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a file of rows at its first byte.

    Raises ``DataError``, also from within the ``with``: nothing this module reads, an archive that
    is cut short or damaged, or what the operating system says.
    """
    try:
        with ExitStack() as stack:
            stream: BinaryIO = stack.enter_context(path.open("rb"))
            head, packed, archive = _head(stream), False, None
            if head.startswith(b"\x1f\x8b"):
                stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=stream)))
                head, packed = _head(stream), True
            if head[257:262] == b"ustar" and b"\0" in head[:100]:  # the name, padded
                archive = stack.enter_context(tarfile.open(fileobj=stream, mode="r:"))
                stream = _first_file(archive, path)
                head, packed = _head(stream), True
            yield Opened(path, _kind(head, path, packed), stream, packed, archive)
    except (EOFError, zlib.error, tarfile.TarError, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: this archive is cut short or damaged: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None


def rows(path: Path) -> Iterator[Row]:
    """The rows of a file in order, each with its place.

    Raises ``DataError`` (file, row, reason) at a row that is not one.
    """
    with opened(path) as file:
        read = {"jsonl": _lines, "array": _array, "parquet": _parquet, "tsv": _table}[file.kind]
        yield from read(file.stream, path)
        file.finish()


def is_json_lines(path: Path) -> bool:
    """Whether a file is JSON lines as it stands, in no archive: it can be read row by row."""
    with opened(path) as file:
        return file.kind == "jsonl" and not file.packed


def unpack(path: Path, target: BinaryIO, size: int = 0) -> None:
    """Copy the file inside an archive, byte by byte; ``size`` of them where that is known."""
    with opened(path) as file, bar(size, f"unpacking {path.name}", "B") as shown:
        while block := file.stream.read(_BLOCK):
            target.write(block)
            shown.update(len(block))
        file.finish()


def _head(stream: BinaryIO) -> bytes:
    head = stream.read(_HEAD)
    stream.seek(0)
    return head


def _first_file(archive: tarfile.TarFile, path: Path) -> BinaryIO:
    while member := archive.next():
        if member.isfile() and (file := archive.extractfile(member)):
            return cast(BinaryIO, file)
    raise DataError(f"{path}: no file in this archive")


def _kind(head: bytes, path: Path, packed: bool) -> Literal["jsonl", "array", "parquet", "tsv"]:
    text = head.removeprefix(codecs.BOM_UTF8).lstrip()
    if text.startswith(b"PAR1"):
        if packed:
            raise DataError(f"{path}: Parquet inside an archive; unpack it first")
        return "parquet"
    if text.startswith(b"["):
        return "array"
    if not text or text.startswith(b"{"):
        return "jsonl"
    if b"\t" in text.partition(b"\n")[0]:
        return "tsv"
    raise DataError(
        f"{path}: not JSON, Parquet or tab-separated text in UTF-8: it begins with {text[:40]!r}"
    )


def _lines(stream: BinaryIO, path: Path) -> Iterator[Row]:
    for number, row in json_lines(stream, path):
        yield f"{path}:{number}", row


def _array(stream: BinaryIO, path: Path) -> Iterator[Row]:
    """The objects of ``[{...}, {...}]``, of which one block and one object are held at a time."""
    decoder, decode = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8-sig")().decode
    text, at, number, ended = "", 0, 0, False
    opening = "["
    while True:
        while at < len(text) and (text[at].isspace() or text[at] == opening):
            opening = "," if text[at] == opening else opening
            at += 1
        if text[at : at + 1] == "]":
            break
        place = f"{path}, item {number + 1}"
        try:
            if at < len(text) and text[at] != "{":
                raise DataError(f"{place}: expected a JSON object")
            row, end = decoder.raw_decode(text, at)
            refuse_half_pairs(text[at:end], row)
            at = end
        except json.JSONDecodeError as error:
            if ended or len(text) - at > _LARGEST:
                raise DataError(f"{place}: not JSON: {error.msg}") from None
            block = stream.read(_BLOCK)
            try:
                text, at = text[at:] + decode(block, not block), 0
            except UnicodeDecodeError as wrong:
                raise DataError(f"{place}: not JSON: {wrong}") from None
            ended = not block
            continue
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place}: {error}") from None
        number += 1
        yield place, row


def _table(stream: BinaryIO, path: Path) -> Iterator[Row]:
    """Passages, a row each: columns named in a first row, or id and contents, or id, text, title.

    Quotes are CSV's: a cell in quotes, doubled inside.
    """
    names: list[str] = []
    text = io.TextIOWrapper(stream, "utf-8-sig", newline="")
    table = csv.reader(text, delimiter="\t")
    try:
        for cells in table:
            place = f"{path}:{table.line_num}"
            if not names:
                first = [cell.strip().lower() for cell in cells]
                named = "id" in first
                names = first if named else ["id", "contents"] if len(cells) == 2 else _DPR
                if named:
                    continue
            if cells and len(cells) != len(names):
                raise DataError(f"{place}: {len(cells)} columns instead of {len(names)}")
            if any("\n" in cell for cell in cells):
                raise DataError(f"{place}: a cell over several lines: a quote that is not closed?")
            if cells:
                yield place, dict(zip(names, cells, strict=True))
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}:{table.line_num}: {error}") from None
    finally:
        text.detach()


_DPR = ["id", "text", "title"]
"""The columns of DPR's psgs_w100.tsv."""


def _parquet(stream: BinaryIO, path: Path) -> Iterator[Row]:
    import pyarrow
    from pyarrow import parquet

    number = 0
    try:
        for batch in parquet.ParquetFile(stream).iter_batches(_BATCH):
            for row in batch.to_pylist():
                number += 1
                yield f"{path}, row {number}", row
    except pyarrow.ArrowException as error:
        raise DataError(f"{path}: not a whole Parquet file: {error}") from None
