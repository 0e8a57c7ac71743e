"""The default world and a tokenizer for it, made once a test session."""

import functools
import tempfile
from pathlib import Path

from searchr2.config import SETS, World
from searchr2.files import read_jsonl
from searchr2.world.write import write_world

HELD_OUT = tuple(f"questions/{name}" for name in SETS)
FILES = ("train", "validation", "demonstrations", *HELD_OUT)


@functools.cache
def _kept():
    return tempfile.TemporaryDirectory(prefix="searchr2-world-")


@functools.cache
def world():
    """The folder of the default world."""
    folder = Path(_kept().name, "world")
    write_world(World(), folder)
    return folder


@functools.cache
def tokenizer():
    """The folder of its tokenizer."""
    from searchr2.vocabulary import train_tokenizer

    folder = Path(_kept().name, "tokenizer")
    texts = [world() / "demonstrations.jsonl", world() / "train.jsonl"]
    train_tokenizer([world() / "corpus.jsonl"], texts, 1536, folder)
    return folder


@functools.cache
def rows(file):
    """The rows of one of its files, by name without ending."""
    return [row for _, row in read_jsonl(world() / f"{file}.jsonl")]


@functools.cache
def passages():
    """Passage id -> (title, text)."""
    parted = {row["id"]: row["contents"].split("\n") for row in rows("corpus")}
    return {id_: (title.strip('"'), text) for id_, (title, text) in parted.items()}
