"""Score a predictions file: EM, F1 and sub-EM after SQuAD's normalisation, in percent.

Rows are JSON lines with at least id, question, golden_answers and prediction; a prediction of null
counts as wrong. Where rows name a dataset, each set is scored too.

example: searchr2 score --predictions results/evaluate/search-r1/seed1/predictions.jsonl --json
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--predictions", type=Path, required=True, help="predictions, JSON lines")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(options: argparse.Namespace) -> None:
    import json
    from dataclasses import asdict

    from searchr2.predictions import by_dataset, read_predictions, score

    predictions = read_predictions(options.predictions)
    total = score(predictions)
    sets = {name: score(rows) for name, rows in by_dataset(predictions).items()}
    if options.json:
        named = {"sets": {name: asdict(scores) for name, scores in sets.items()}} if sets else {}
        print(json.dumps({**asdict(total), **named}))
        return
    print(f"{'':16}{'EM':>7}{'F1':>7}{'sub-EM':>8}{'n':>8}{'unanswered':>12}")
    for name, row in {**sets, "all": total}.items():
        figures = f"{row.em:7.1f}{row.f1:7.1f}{row.sub_em:8.1f}{row.n:8}{row.unanswered:12}"
        print(f"{name:16}{figures}")
