"""Compare how two rows worked: six rubrics, wins and losses over the same questions (Table 9).

A judge scores both trajectories of a question 0, 1 or 2 on each rubric without knowing whose they
are. The config says which two rows, how many questions of each set, and who judges: rules computed
from gold evidence, or a language model in this process or behind a server. Every pair with its
scores stands in a .jsonl beside the table.

example: searchr2 quality --config results/config/quality.json --evaluations results/evaluate \\
             --out results/table_quality.csv --print
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the two rows, pairs, the judge")
    parser.add_argument(
        "--evaluations",
        type=Path,
        default=Path("results/evaluate"),
        help="folder of <row>/seed<N>/predictions.jsonl (%(default)s)",
    )
    parser.add_argument("--out", type=Path, required=True, help="the table; .jsonl beside it")
    parser.add_argument(
        "--figure",
        type=Path,
        help="path without ending; .png and .pdf are written (figures/quality beside the table)",
    )
    parser.add_argument("--print", action="store_true", help="print the averages too")


def run(options: argparse.Namespace) -> None:
    from searchr2 import progress
    from searchr2.build import make_pair_judge
    from searchr2.config import QualityConfig, load
    from searchr2.files import read_json, write_jsonl, write_text
    from searchr2.plots import save
    from searchr2.quality import pairs as sampling
    from searchr2.quality.figure import draw
    from searchr2.quality.table import page, table
    from searchr2.tables import to_csv
    from searchr2.tracking.provenance import made

    config = load(QualityConfig, read_json(options.config), options.config)
    lines = [config.lines[row] for row in config.rows]
    folders = [folder for line in lines for folder in line.folders]
    inputs = {folder: options.evaluations / folder / "predictions.jsonl" for folder in folders}
    figure = options.figure or options.out.parent / "figures" / "quality"
    labels = [line.label for line in lines]
    judge = make_pair_judge(config.judge)
    with made(options.out, stage="quality", config=config.model_dump(), inputs=inputs):
        pairs = sampling.draw(options.evaluations, config)
        bar = progress.bar(sum(map(len, pairs.values())), "quality", "pairs")
        records = sampling.judge(pairs, config.rows, judge, bar.update)
        bar.close()
        found = table(records, config.rows)
        write_jsonl(options.out.with_suffix(".jsonl"), records)
        save(draw(found, *labels), figure)
        write_text(options.out, to_csv(found))
    if options.print:
        print(page(found, *labels), end="")
