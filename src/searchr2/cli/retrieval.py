"""Measure how often an index finds what questions need, by data set, in percent.

title_recall_at_k: mean share of a question's supporting titles among its top k passages, over the
with_titles questions whose titles are known and in the corpus; behind a server (kind http) nobody
knows what is in it, and all count. answer_recall_at_k: share of questions with a gold answer inside
a top-k passage. The query is the question as it stands; an empty cell had nothing to measure.
_ci_low and _ci_high are the ends of a figure's 95 % interval over questions.

example: searchr2 retrieval --index results/index/task --questions results/data/questions/*.jsonl \\
             --k 3 10 --out results/retrieval.csv
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.cli.search import depth


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--index", type=Path, required=True, help="an index folder")
    parser.add_argument(
        "--questions", type=Path, nargs="+", required=True, help="JSON lines, a set a file"
    )
    parser.add_argument("--out", type=Path, required=True, help="the table, CSV")
    parser.add_argument("--k", type=depth, nargs="+", default=[3, 10], help="depths (%(default)s)")


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    from searchr2.build import load_retriever, quiet
    from searchr2.files import write_text
    from searchr2.questions import read_questions
    from searchr2.retrieval.recall import present_titles, recall
    from searchr2.tables import to_csv
    from searchr2.tracking.provenance import made

    quiet()
    inputs = {str(path): path for path in (options.index, *options.questions)}
    with made(options.out, stage="retrieval", config={"k": options.k}, inputs=inputs):
        sets = {path.stem: read_questions(path) for path in options.questions}
        index = load_retriever(options.index)
        asked = [question for questions in sets.values() for question in questions]
        present = present_titles(asked, index.titles())
        rows = [
            {"dataset": name, **recall(questions, index, present, options.k)}
            for name, questions in sets.items()
        ]
        write_text(options.out, to_csv(pd.DataFrame(rows)))
