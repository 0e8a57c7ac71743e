"""Passages: {"id", "contents"}, as wiki-18 is distributed, ``contents`` being a quoted title on the
first line and the text below it; or {"id", "title", "text"}; or {"id", "text"}.

``formats`` says what files such rows are read from. Row ``n`` of a corpus is passage ``n`` of its
index, whatever the ids are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchr2.files import DataError, replacing
from searchr2.formats import opened, rows, unpack
from searchr2.trajectory import Document


def read_corpus(path: Path) -> Iterator[Document]:
    """Each passage of a corpus file in file order, ``score`` 0.

    Raises ``DataError`` (file, row, reason) at a row without id or text, at an id met before, and
    where the file holds no passage.
    """
    ids = _Ids()
    for place, row in rows(path):
        try:
            passage = parse_passage(row)
        except ValueError as error:
            raise DataError(f"{place}: {error}") from None
        if not ids.add(passage.id):
            raise DataError(f"{place}: id {passage.id!r} occurs twice")
        yield passage
    if not ids:
        raise DataError(f"{path}: no passage in this corpus")


class _Ids:
    """The ids met so far. While they count up from the first, as wiki-18's do, none is kept."""

    def __init__(self) -> None:
        self.first, self.count = 0, 0
        self.others: set[str] = set()

    def __bool__(self) -> bool:
        return bool(self.count or self.others)

    def add(self, id_: str) -> bool:
        """Whether ``id_`` is new."""
        number = int(id_) if id_.isascii() and id_.isdecimal() and len(id_) < 19 else None
        if number is not None and str(number) == id_:
            if not self:
                self.first = number
            if number == self.first + self.count and id_ not in self.others:
                self.count += 1
                return True
            if self.first <= number < self.first + self.count:
                return False
        if id_ in self.others:
            return False
        self.others.add(id_)
        return True


def parse_passage(row: dict[str, Any]) -> Document:
    """A row as a passage; raises ``ValueError`` saying what is wrong with it."""
    id_, contents, title = row.get("id"), row.get("contents", row.get("text")), row.get("title")
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise ValueError('"id" must be a string or an integer')
    if not isinstance(contents, str) or not contents.strip():
        raise ValueError('"contents" must be a string that is not empty')
    if title is None or "contents" in row:
        return Document(str(id_), *split_contents(contents), 0.0)
    if not isinstance(title, str):
        raise ValueError('"title" must be a string')
    return Document(str(id_), " ".join(title.split()), contents.strip(), 0.0)


def split_contents(contents: str) -> tuple[str, str]:
    """Title (without its quotes; CSV's doubled quotes undone) and text, which is left as it stands.

    A first line without quotes is the title and stays in the text: nothing is lost where the title
    is missing.
    """
    whole = contents.strip()
    first, _, rest = (part.strip() for part in whole.partition("\n"))
    quoted = len(first) > 2 and first[0] == first[-1] == '"'
    title = (first[1:-1] if quoted else first).replace('""', '"').strip()
    return title, (rest or title) if quoted else whole


def join_contents(title: str, text: str) -> str:
    """What ``split_contents`` parts into this title and text, as it stood if it did in a corpus."""
    if split_contents(text) == (title, text):  # the title was the first line and was not quoted
        return text
    quoted = title.replace('"', '""')
    return f'"{quoted}"\n{text}'


def passage_row(passage: Document) -> dict[str, str]:
    """The row that ``parse_passage`` reads the passage from; in wiki-18's layout if that can be."""
    contents = join_contents(passage.title, passage.text)
    if split_contents(contents) == (passage.title, passage.text):
        return {"id": passage.id, "contents": contents}
    return {"id": passage.id, "title": passage.title, "text": passage.text}


def import_corpus(source: Path, target: Path) -> None:
    """Write ``target``, a corpus of JSON lines, from any corpus ``read_corpus`` reads.

    JSON lines in an archive come out byte by byte. ``target`` appears whole or not at all.
    """
    with replacing(target) as file:
        with opened(source) as found:
            as_they_are = found.kind == "jsonl"
        if as_they_are:
            unpack(source, file)
            return
        for passage in read_corpus(source):
            file.write(json.dumps(passage_row(passage), ensure_ascii=False).encode() + b"\n")
