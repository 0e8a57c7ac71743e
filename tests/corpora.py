"""Corpora for tests, as files."""

import json
from collections.abc import Iterable
from pathlib import Path

from searchr2.corpus import join_contents
from searchr2.trajectory import Document


def write_corpus(path: Path, passages: Iterable[Document]) -> Path:
    """``passages`` as JSON lines, in wiki-18's layout."""
    rows = [{"id": one.id, "contents": join_contents(one.title, one.text)} for one in passages]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path
