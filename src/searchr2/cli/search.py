"""Ask an index; prints one JSON line a passage: rank, id, title, score, text.

example: searchr2 search --index results/index/world --k 3 "who founded the city of Arvane?"
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.config import Retrieval


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("query", help="words to look for")
    parser.add_argument("--index", type=Path, required=True, help="an index folder")
    parser.add_argument(
        "--k", type=depth, default=Retrieval().k, help="passages at most (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    import json

    from searchr2.build import load_retriever

    [documents] = load_retriever(options.index).search([options.query], options.k)
    for rank, document in enumerate(documents, start=1):
        row = {
            "rank": rank,
            "id": document.id,
            "title": document.title,
            "score": round(document.score, 4),
            "text": document.text,
        }
        print(json.dumps(row, ensure_ascii=False))


def depth(text: str) -> int:
    """A number of passages, at least one; ``ValueError`` is argparse's way to refuse."""
    if (k := int(text)) < 1:
        raise ValueError
    return k
