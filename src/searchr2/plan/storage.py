"""What an experiment takes of disk, and its index of RAM, by component."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from searchr2.config import ConfigError, Experiment, Retrieval
from searchr2.files import read_json
from searchr2.plan.footprint import Bytes

WIKI18 = (21_015_324, 14_393_573_105)
"""Passages and bytes of the paper's corpus, wiki-18."""
PASSAGE = WIKI18[1] / WIKI18[0]
"""Bytes of a passage where nobody has counted."""
WORLD = (2.4, 148)
"""Passages of the generated world a work, and bytes of one: 1,006 of 420 works in 148,636 bytes."""
OFFSETS = 8
"""Bytes a passage of the table that finds it by row."""
DIMENSION = 768
"""Numbers of a vector where the encoder is not here to be asked: E5-base's."""
POSTING = 8
"""Bytes of a BM25 score and its passage."""
WORDS = 60
"""Different words of a passage of about a hundred."""
PREDICTION = 4.5
"""Bytes of a prediction row a token of its trajectory."""


@dataclass(frozen=True)
class Corpus:
    passages: int
    bytes: float
    counted: bool
    """Whether the numbers are known, or taken from the size of a file."""


def corpus_of(settings: Experiment) -> Corpus:
    """The corpus searched; of a file that is not here yet only wiki-18's size is known."""
    if settings.data.corpus is None:
        passages = round(settings.world.works * WORLD[0])
        return Corpus(passages, passages * WORLD[1], False)
    path = Path(settings.data.corpus)
    if path.is_file():
        size = path.stat().st_size
        if size == WIKI18[1]:
            return Corpus(*WIKI18, True)
        return Corpus(max(1, round(size / PASSAGE)), size, False)
    if path.name.startswith("wiki-18"):
        return Corpus(*WIKI18, True)
    raise ConfigError(
        f"data.corpus: {path} does not exist, so that nothing can be said of its size"
    )


def dimension(settings: Retrieval) -> int:
    """Numbers of a vector, from the encoder's ``config.json`` where it is here."""
    path = Path(settings.encoder or "", "config.json")
    return int(read_json(path)["hidden_size"]) if path.is_file() else DIMENSION


def index_bytes(factory: str, passages: int, size: int) -> float:
    """Bytes of a FAISS index by its factory string.

    A code a passage (fp32, SQn's bits a number, PQm's m bytes); IVFn adds ids and n centroids,
    HNSWm 2 m links and about 12 bytes besides.
    """
    total = 0.0
    parts = factory.split(",")
    if lists := re.match(r"IVF(\d+)", parts[0]):
        total += passages * 8 + int(lists[1]) * size * 4
        parts = parts[1:]
    if graph := re.match(r"HNSW(\d*)", parts[0] if parts else ""):
        total += passages * (2 * int(graph[1] or 32) * 4 + 12)
        parts = parts[1:]
    return total + passages * _code(parts[-1] if parts else "Flat", size)


def _code(name: str, size: int) -> float:
    if name == "Flat":
        return size * 4
    if name.startswith("SQ"):
        bits = {"SQfp16": 16, "SQbf16": 16}.get(name) or int(re.sub(r"\D", "", name) or 8)
        return size * bits / 8
    if quantised := re.match(r"PQ(\d+)(?:x(\d+))?", name):
        return math.ceil(int(quantised[1]) * int(quantised[2] or 8) / 8)
    return size * 4  # an unknown code is taken for an exact one, the largest


def index(settings: Experiment, corpus: Corpus) -> tuple[Bytes, Bytes]:
    """Bytes of the task's index on disk, and in RAM where it is searched without the disk."""
    retrieval = settings.retrieval
    if retrieval.kind == "http":
        return {}, {}
    if retrieval.kind == "bm25":
        postings = corpus.passages * WORDS * POSTING
        return {"index (BM25)": postings}, {"index": postings}
    size = index_bytes(retrieval.factory, corpus.passages, dimension(retrieval))
    parts = {f"index ({retrieval.factory})": size}
    if retrieval.factory != "Flat" and not retrieval.vectors:
        exact = index_bytes("Flat", corpus.passages, dimension(retrieval))
        parts["vectors it is made of"] = exact
    return parts, {"index": size}


def checkpoint_bytes(parameters: int, trained: int, width: int) -> tuple[float, float]:
    """Bytes of an exported model, and of a rolling checkpoint of what is trained."""
    moments = 8 + (4 if width == 2 else 0)
    return parameters * width, trained * (width + moments)


def data(settings: Experiment, corpus: Corpus) -> Bytes:
    """Bytes of the passages and what finds them; a corpus of plain lines is linked, not copied."""
    made = (
        {}
        if settings.data.corpus and Path(settings.data.corpus).is_file()
        else {"corpus": corpus.bytes}
    )
    return {**made, "offsets of passages": corpus.passages * OFFSETS}
