"""Check and split the passages and questions a config names.

FILE is JSON, {"data": {...}}, with the keys of config.yaml's section ``data``; where they are null
the files of WORLD are taken. Under DIR come corpus.jsonl (your own is linked to where it is JSON
lines), questions/<set>.jsonl, train.jsonl and validation.jsonl. docs/data.md has what can be read;
a row that cannot be used is named by file and row.

example: searchr2 data --config results/config/data.json --world results/world --out results/data
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--world", type=Path, required=True, metavar="WORLD")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def run(options: argparse.Namespace) -> None:
    from searchr2.config import DataConfig, load
    from searchr2.data import prepare
    from searchr2.files import read_json
    from searchr2.tracking.provenance import made

    settings = load(DataConfig, read_json(options.config), options.config)
    own = [settings.data.corpus, *(settings.data.questions or {}).values()]
    inputs = {name: Path(name) for name in (*own, *(settings.data.train or [])) if name}
    inputs["world"] = options.world
    with made(options.out, stage="data", config=settings.model_dump(), inputs=inputs):
        prepare(settings.data, options.world, options.out)
