"""Building a dense index: encode a corpus, or take the vectors that somebody else computed."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from searchr2.config import Retrieval
from searchr2.corpus import join_contents
from searchr2.files import DataError
from searchr2.passages import PassageFile
from searchr2.retrieval import shards, vectors
from searchr2.retrieval.dense import ALIKE, METRIC, check, cosine
from searchr2.retrieval.encoder import PROBE, Encoder
from searchr2.retrieval.folders import (
    PROBE_VECTOR,
    VECTORS,
    corpus_digest,
    link,
    open_passages,
    replacing_folder,
    seal,
    share_passages,
    take_passages,
)

EXACT = ("IndexFlat", "IndexFlatIP", "IndexHNSWFlat")
"""Indexes that keep the vectors as they were."""


def encoding_folder(folder: Path) -> Path:
    """Where the vectors of an index are encoded, until it is built."""
    return folder.with_name(f".{folder.name}.encoding")


def build(folder: Path, corpus: Path, settings: Retrieval) -> int:
    """Encode ``corpus`` and index it in ``folder``; returns the number of passages.

    Encoding that was cut off goes on where it was; others may help in ``encoding_folder`` with
    ``shards``. Raises ``ConfigError`` where encoder or factory cannot be used.
    """
    encoder, work = Encoder.load(settings.encoding()), encoding_folder(folder)
    wanted = _wanted(encoder.dimension, settings)
    try:
        sha256 = shards.prepare(work, corpus, encoder)
    except shards.OtherEncoding:  # left half done under an earlier config
        shutil.rmtree(work)
        sha256 = shards.prepare(work, corpus, encoder)
    shards.encode(work, encoder)
    with replacing_folder(folder) as aside:
        share_passages(work, aside)
        _put(work / VECTORS, wanted, aside)
        count = _finish(aside, encoder, settings, {"corpus_sha256": sha256})
    shutil.rmtree(work)
    return count


def adopt(folder: Path, corpus: Path, settings: Retrieval) -> int:
    """Make ``folder`` of a FAISS index of ``corpus`` that is there already; returns the passages.

    ``settings.vectors`` are the index, or the parts that one after the other are it. A factory
    other than Flat builds that index from the vectors. Raises ``DataError`` where index, corpus
    and encoder do not belong together.
    """
    encoder = Encoder.load(settings.encoding())
    about = {"corpus_sha256": corpus_digest(corpus), "vectors": settings.vectors}
    with replacing_folder(folder) as aside:
        given = _whole([Path(name) for name in settings.vectors], aside / "joined")
        index, remedy = vectors.open_index(given), "give the corpus and encoder it is made from"
        check(given, index, encoder.dimension, index.ntotal, remedy)
        wanted = _wanted(encoder.dimension, settings)
        count = sum(1 for _ in take_passages(aside, corpus))  # minutes, if there are many
        check(given, index, encoder.dimension, count, remedy)
        _same_vectors(given, index, open_passages(aside), encoder)
        _put(given, wanted, aside)
        (aside / "joined").unlink(missing_ok=True)
        return _finish(aside, encoder, settings, about)


def _wanted(dimension: int, settings: Retrieval) -> Any:
    """The index to fill with vectors; ``None`` where the file of vectors serves as it is."""
    if settings.factory == "Flat":
        return None
    return vectors.empty(dimension, settings.factory, settings.search_parameters)


def _put(given: Path, wanted: Any, aside: Path) -> None:
    if wanted is None:
        link(given, aside / VECTORS)
    else:
        vectors.build(given, wanted, aside / VECTORS)


def _finish(aside: Path, encoder: Encoder, settings: Retrieval, about: dict[str, Any]) -> int:
    """The files that say what the vectors are; returns the number of passages."""
    index, count = vectors.open_index(aside / VECTORS), len(open_passages(aside))
    vectors.tune(index, settings.search_parameters)
    np.save(aside / PROBE_VECTOR, encoder.queries([PROBE])[0])
    known = {
        "kind": "dense",
        "passages": count,
        "dimension": index.d,
        "metric": METRIC,
        "factory": None if _as_it_is(settings) else settings.factory,
        "index": vectors.kind(index),
        "search_parameters": settings.search_parameters,
        "encoding": encoder.encoding.model_dump(),
    }
    seal(aside, {**known, **about})
    return count


def _as_it_is(settings: Retrieval) -> bool:
    """Whether the index is somebody else's: of which factory, only its type says."""
    return bool(settings.vectors) and settings.factory == "Flat"


def _whole(files: Sequence[Path], joined: Path) -> Path:
    """The one file, or ``joined``, made of all parts one after the other."""
    if len(files) == 1:
        return files[0]
    with joined.open("wb") as whole:
        for file in files:
            try:
                with file.open("rb") as part:
                    shutil.copyfileobj(part, whole, 1 << 24)
            except OSError as error:
                raise DataError(f"{file}: {error.strerror}") from None
    return joined


def _same_vectors(path: Path, index: Any, passages: PassageFile, encoder: Encoder) -> None:
    """First, middle and last passage encode to the vectors that stand in the index."""
    if vectors.kind(index) not in EXACT:
        return
    for row in sorted({0, len(passages) // 2, len(passages) - 1}):
        one = passages[row]
        [now] = encoder.passages([join_contents(one.title, one.text)])
        alike = cosine(now, index.reconstruct(row))
        if not alike >= ALIKE:  # NaN neither
            raise DataError(
                f"{path}: row {row} is not what {encoder.encoding.encoder} makes of passage "
                f"{one.id} ({one.title!r}): their cosine is {alike:.3f}; the corpus is another, or "
                "the encoder, its prefixes, pooling or length are"
            )
