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
        "--k", type=int, default=Retrieval().k, help="passages at most (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    import json

    from searchr2.retrieval.bm25 import Bm25

    [documents] = Bm25.load(options.index).search([options.query], options.k)
    for rank, document in enumerate(documents, start=1):
        row = {
            "rank": rank,
            "id": document.id,
            "title": document.title,
            "score": round(document.score, 4),
            "text": document.text,
        }
        print(json.dumps(row, ensure_ascii=False))
