"""Write a table of exact match, as CSV and Markdown, and paired differences between its lines.

Exact match in percent on each of the seven sets; the average is their mean and its interval a
stratified bootstrap over questions. A set that was not evaluated is an empty cell. Differences are
paired, of the average and set by set, with McNemar's exact p, Holm-corrected over the sets.

example: searchr2 table --config results/config/tables/table1.json --evaluations results/evaluate \\
             --out results/table1.csv --differences results/table1_differences.csv --print
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="lines, pairs to compare (JSON)")
    parser.add_argument(
        "--evaluations",
        type=Path,
        default=Path("results/evaluate"),
        help="folder of <row>/seed<N>/predictions.jsonl (%(default)s)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        required=True,
        help="the table; .md and _cells.csv, an interval a cell, beside it",
    )
    parser.add_argument("--differences", type=Path, required=True, help="paired differences, CSV")
    parser.add_argument("--print", action="store_true", help="print the Markdown page too")


def run(options: argparse.Namespace) -> None:
    from searchr2 import config, table_page, tables
    from searchr2.files import read_json, write_text
    from searchr2.tracking.provenance import made

    settings = config.load(config.TableConfig, read_json(options.config), options.config)
    read = [options.evaluations / of for line in settings.lines.values() for of in line.folders]
    inputs = {str(path): path for path in (folder / "predictions.jsonl" for folder in read)}
    scores = tables.read_scores(options.evaluations, settings)
    table = tables.main_table(scores, settings)
    differences = tables.differences(scores, settings)
    page = table_page.markdown(table, differences, scores, settings)
    write_text(options.differences, tables.to_csv(differences))
    write_text(options.out.with_suffix(".md"), page)
    cells = options.out.with_name(f"{options.out.stem}_cells.csv")
    write_text(cells, tables.to_csv(tables.cells(scores, settings)))
    with made(options.out, stage="table", config=settings.model_dump(), inputs=inputs):
        write_text(options.out, tables.to_csv(table))
    if options.print:
        print(page, end="")
