"""Set our tables beside the paper's, with verdicts by rules that were written down before.

At the paper's scale every cell gets one: inside our 95 % interval, outside, or not run. At any
other scale, the default mini one first of all, values are not compared: only the order of the
methods (Spearman's rho) and the sign of each step. The rules: docs/replication.md.

example: searchr2 reference --config results/config/tables/table*.json --out results/comparison.md
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", type=Path, nargs="+", required=True, help="the tables' settings, NAME.json"
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=Path("workflow/reference"),
        help="folder of the paper's tables, NAME.csv (%(default)s)",
    )
    parser.add_argument(
        "--data",
        type=Path,
        default=Path("results/config/data.json"),
        help="settings of the data: made up, or one's own (%(default)s)",
    )
    parser.add_argument(
        "--evaluations",
        type=Path,
        default=Path("results/evaluate"),
        help="folder of <row>/seed<N>/predictions.jsonl (%(default)s)",
    )
    parser.add_argument(
        "--others",
        type=Path,
        nargs="*",
        default=[],
        metavar="TABLE",
        help="table_step_time.csv, table_quality.csv: Search-R2 against Search-R1",
    )
    parser.add_argument("--out", type=Path, required=True, help="the page, Markdown; .csv beside")


def run(options: argparse.Namespace) -> None:
    import pandas as pd

    from searchr2 import config, tables
    from searchr2.files import UserError, read_json, write_text
    from searchr2.reference import others, page, verdicts
    from searchr2.tracking.provenance import made

    papers = {path.stem: options.reference / f"{path.stem}.csv" for path in options.config}
    papers = {name: path for name, path in papers.items() if path.is_file()}
    if not papers:
        raise UserError(f"{options.reference}: holds none of the tables named with --config")
    data = config.load(config.DataConfig, read_json(options.data), options.data).data
    ours = {}
    for path in options.config:
        if path.stem in papers:
            settings = config.load(config.TableConfig, read_json(path), path)
            scores = tables.read_scores(options.evaluations, settings)
            ours[path.stem] = verdicts.Ours(settings, scores)
    signs = [
        line
        for path in options.others
        for line in others.compare(path.stem, options.reference / path.name, path)
    ]
    compared = (
        verdicts.compare(name, verdicts.read_reference(path), ours[name], data)
        for name, path in papers.items()
    )
    found = pd.concat([*compared, verdicts.frame(signs)])
    sizes = tables.read_table(options.reference / "sets.csv", "set", "questions")
    folders = [of for o in ours.values() for line in o.config.lines.values() for of in line.folders]
    read = [options.evaluations / of / "predictions.jsonl" for of in folders]
    read += [*papers.values(), *options.others]
    configs = {name: of.config.model_dump() for name, of in ours.items()}
    inputs = {str(path): path for path in read}
    with made(options.out, stage="reference", config=configs, inputs=inputs):
        write_text(options.out, page.markdown(found, ours, sizes, data))
        csv = found.to_csv(index=False, lineterminator="\n")
        write_text(options.out.with_suffix(".csv"), csv)
