"""Write the generated world: a small encyclopedia and questions about it.

FILE is JSON, {"world": {...}}, with the keys of config.yaml's section ``world``. Under DIR come
corpus.jsonl, questions/<set>.jsonl (test), train.jsonl, validation.jsonl and demonstrations.jsonl.

example: searchr2 world --config results/config/world.json --out results/world
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, metavar="FILE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")


def run(options: argparse.Namespace) -> None:
    from searchr2.config import WorldConfig, load
    from searchr2.files import read_json
    from searchr2.tracking.provenance import made
    from searchr2.world.write import write_world

    settings = load(WorldConfig, read_json(options.config), options.config)
    with made(options.out, stage="world", config=settings.model_dump(), inputs={}):
        write_world(settings.world, options.out)
