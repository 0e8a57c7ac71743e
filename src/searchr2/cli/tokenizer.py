"""Train the tokenizer of the small model on passages and questions.

Writes a transformers tokenizer folder (AutoTokenizer opens it). It encodes any text, since its
alphabet is the 256 bytes; words it was trained on become single tokens while N allows.

example: searchr2 tokenizer --corpus results/world/corpus.jsonl \\
           --texts results/world/demonstrations.jsonl --vocab-size 1536 --out results/tokenizer
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--corpus", type=Path, nargs="+", required=True, metavar="FILE", help="passages (JSONL)")
    add("--texts", type=Path, nargs="+", default=[], metavar="FILE", help="questions (JSONL)")
    add("--vocab-size", type=int, default=1536, metavar="N", help="at most so many ids")
    add("--out", type=Path, required=True, metavar="DIR")


def run(options: argparse.Namespace) -> None:
    from searchr2.tracking.provenance import made
    from searchr2.vocabulary import train_tokenizer

    config = {"vocab_size": options.vocab_size}
    inputs = {str(path): path for path in (*options.corpus, *options.texts)}
    with made(options.out, stage="tokenizer", config=config, inputs=inputs):
        size = train_tokenizer(options.corpus, options.texts, options.vocab_size, options.out)
    print(f"{options.out}: {size} ids")
