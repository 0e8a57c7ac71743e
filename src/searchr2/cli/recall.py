"""Measure an approximate dense index against the exact one.

recall_at_k is the mean share of the exact top k that the approximate index has in its own, in
percent; ms_exact and ms_approximate are milliseconds a query, encoding aside. The queries are the
questions. Both indexes must be of the same passages and encoding.

example:
  searchr2 recall --index indexes/wiki-18-sq8 --exact indexes/wiki-18 \\
      --questions results/data/questions/*.jsonl --k 3 10
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.cli.search import depth


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", type=Path, required=True, help="the approximate index")
    parser.add_argument("--exact", type=Path, required=True, help="the Flat index")
    parser.add_argument("--questions", type=Path, nargs="+", required=True, help="JSON lines")
    parser.add_argument("--k", type=depth, nargs="+", default=[3, 10], help="depths (%(default)s)")
    parser.add_argument(
        "--search-parameters", help="instead of the index's own: nprobe=32, efSearch=128"
    )


def run(options: argparse.Namespace) -> None:
    import json

    from searchr2.build import quiet
    from searchr2.files import MANIFEST, DataError, read_json
    from searchr2.questions import read_questions
    from searchr2.retrieval.agreement import agreement
    from searchr2.retrieval.dense import Dense
    from searchr2.retrieval.vectors import tune

    quiet()
    exact = Dense.load(options.exact)
    approximate = Dense.load(options.index, exact.encoder)
    corpora = {read_json(f / MANIFEST).get("corpus_sha256") for f in (options.index, options.exact)}
    if len(corpora) > 1:
        raise DataError(f"{options.index}: not of the passages of {options.exact}: index those")
    if options.search_parameters:
        tune(approximate.index, options.search_parameters)
    queries = [question.text for path in options.questions for question in read_questions(path)]
    print(json.dumps(agreement(approximate, exact, queries, options.k)))
