"""Encode a corpus into vectors, as one of any number of processes.

Started several times on the same folder, on one machine or on several that share it, each takes
passages that nobody has encoded; killed and started again it goes on. `searchr2 index --kind dense`
does the same by itself in .NAME.encoding beside its --out folder: name that to help it.

example:
  searchr2 encode --corpus wiki-18.jsonl --encoder intfloat/e5-base-v2 \\
      --out indexes/.wiki-18.encoding
"""

from __future__ import annotations

import argparse
from pathlib import Path

from searchr2.cli.index import encoding_arguments, refuse_within


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--corpus", type=Path, required=True, help="passages, JSON lines")
    parser.add_argument("--out", type=Path, required=True, help="the folder they all work in")
    parser.add_argument("--device", help="such as cuda:1 (default: the first GPU, or the CPU)")
    encoding_arguments(parser)


def run(options: argparse.Namespace) -> None:
    from searchr2.build import quiet
    from searchr2.config import Encoding, load
    from searchr2.retrieval import shards
    from searchr2.retrieval.encoder import Encoder

    quiet()
    refuse_within(options.out, options.corpus)
    given = {name: getattr(options, name) for name in Encoding.model_fields}
    encoder = Encoder.load(load(Encoding, given, "options"), options.device)
    shards.prepare(options.out, options.corpus, encoder)
    shards.encode(options.out, encoder)
    print(f"{options.out}: all is encoded; `searchr2 index` makes an index of it")
