"""Passages: JSON lines {"id", "contents"}, the layout wiki-18 is distributed in.

``contents`` is a quoted title on the first line and the text below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from searchr2.files import DataError, read_jsonl
from searchr2.trajectory import Document


def read_corpus(path: Path) -> Iterator[Document]:
    """Each passage of a corpus file in file order, ``score`` 0.

    Raises ``DataError`` (file, line, reason) at a row without id or contents, at an id met before,
    and where the file holds no passage.
    """
    seen: set[str] = set()
    for number, row in read_jsonl(path):
        try:
            passage = parse_passage(row)
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        if passage.id in seen:
            raise DataError(f"{path}:{number}: id {passage.id!r} occurs twice")
        seen.add(passage.id)
        yield passage
    if not seen:
        raise DataError(f"{path}: no passage in this corpus")


def parse_passage(row: dict[str, Any]) -> Document:
    """A row as a passage; raises ``ValueError`` saying what is wrong with it."""
    id_, contents = row.get("id"), row.get("contents")
    if isinstance(id_, bool) or not isinstance(id_, str | int) or id_ == "":
        raise ValueError('"id" must be a string or an integer')
    if not isinstance(contents, str) or not contents.strip():
        raise ValueError('"contents" must be a string that is not empty')
    title, text = split_contents(contents)
    return Document(str(id_), title, text, 0.0)


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
