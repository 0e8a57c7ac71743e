"""Vectors on disk, and FAISS over them.

Vectors are written in the layout of FAISS's own Flat file (a short header, then float32 rows), so
that a finished file IS the exact index: nothing is copied, and no process ever holds all of it.
Other indexes (scalar quantiser, IVF, PQ, HNSW: whatever FAISS's factory can name) are trained and
filled from such a file, a block of rows at a time.

Files are opened memory-mapped where FAISS can: Flat, SQ and HNSW as a whole, IVF in its lists.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from searchr2.config import ConfigError
from searchr2.files import DataError
from searchr2.progress import bar

Vectors = NDArray[np.float32]

BLOCK = 1 << 16
"""Rows handled at once (192 MiB of 768 dimensions)."""
TRAINING = 1 << 17
"""Rows a quantiser is trained on at least; 64 for each list of an IVF."""
faiss.cvar.distance_compute_blas_threshold = 2048
"""Queries times dimensions from which on a Flat search is a product of matrices: three queries of
768. FAISS's own 128,000 spends four times the seconds on batches of 8 to 128."""
_COUNT_AT = 8
"""Where FAISS's header holds the number of vectors (int64); its last eight bytes count floats."""


def flat_header(dimension: int, count: int) -> bytes:
    """What FAISS writes before the rows of an inner-product Flat index."""
    header = bytearray(faiss.serialize_index(faiss.IndexFlatIP(dimension)).tobytes())
    struct.pack_into("<q", header, _COUNT_AT, count)
    struct.pack_into("<Q", header, len(header) - 8, count * dimension)
    return bytes(header)


def create_flat(path: Path, dimension: int, count: int) -> None:
    """A Flat file of ``count`` rows, which take room on disk once they are written."""
    header = flat_header(dimension, count)
    with path.open("wb") as file:
        file.write(header)
        file.truncate(len(header) + 4 * dimension * count)


def write_rows(path: Path, start: int, rows: Vectors) -> None:
    """Put ``rows`` at ``start`` of a Flat file; on disk when this returns."""
    dimension = rows.shape[1]
    at = len(flat_header(dimension, 0)) + 4 * dimension * start
    with path.open("r+b") as file:
        file.seek(at)
        file.write(np.ascontiguousarray(rows, dtype="<f4").data)
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: Path) -> Vectors:
    """The rows of a Flat file, mapped; raises ``DataError`` where it is another kind of index."""
    index = open_index(path)
    if not isinstance(faiss.downcast_index(index), faiss.IndexFlat):
        raise DataError(f"{path}: holds {kind(index)}, no exact vectors; give a Flat index")
    offset = len(flat_header(index.d, 0))
    return np.memmap(path, "<f4", "r", offset, (index.ntotal, index.d))


def empty(dimension: int, factory: str, parameters: str) -> Any:
    """The index that ``factory`` names, without vectors; raises ``ConfigError`` (also ``tune``)."""
    try:
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        raise ConfigError(
            f"retrieval.factory: FAISS cannot make {factory!r} of {dimension} dimensions "
            f"({_reason(error)}); Flat, SQ8, HNSW64 and IVF4096,PQ64 are examples"
        ) from None
    tune(index, parameters)
    return index


def build(flat: Path, index: Any, out: Path) -> None:
    """Fill ``index`` (``empty``) with the vectors of ``flat`` and write it.

    Raises ``ConfigError`` where FAISS cannot train it on so few.
    """
    rows = read_rows(flat)
    count = len(rows)
    try:
        if not index.is_trained:
            index.train(_sample(rows, index))
    except RuntimeError as error:
        raise ConfigError(
            f"retrieval.factory: FAISS cannot train {kind(index)} on {count} vectors "
            f"({_reason(error)})"
        ) from None
    with bar(count, "index", "vectors") as shown:
        for start in range(0, count, BLOCK):
            block = np.ascontiguousarray(rows[start : start + BLOCK])
            index.add(block)
            shown.update(len(block))
    faiss.write_index(index, str(out))


def _sample(rows: Vectors, index: Any) -> Vectors:
    """Rows at equal distances, enough to train ``index`` on."""
    lists = getattr(faiss.try_extract_index_ivf(index), "nlist", 0)
    wanted = max(TRAINING, 64 * lists)
    return np.ascontiguousarray(rows[:: -(-len(rows) // wanted)])


def open_index(path: Path) -> Any:
    """A FAISS index, mapped where FAISS can; raises ``DataError`` naming a file it cannot read."""
    try:
        with path.open("rb") as file:
            name = file.read(4)
        inverted = name.startswith(b"Iw") or name == b"IxPT"  # IVF, or a transform before it
        how = faiss.IO_FLAG_MMAP if inverted else faiss.IO_FLAG_MMAP_IFC
        return faiss.read_index(str(path), how)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None
    except RuntimeError as error:
        raise DataError(
            f"{path}: FAISS cannot read it ({_reason(error)}): not an index, or cut short; "
            "download or build it again"
        ) from None


def tune(index: Any, parameters: str) -> None:
    """Set search parameters by FAISS's names ("nprobe=32", "efSearch=128"; commas between).

    Raises ``ConfigError`` where the index has none of that name.
    """
    try:
        space: Any = faiss.ParameterSpace()
        space.set_index_parameters(index, parameters)
    except (RuntimeError, ValueError) as error:
        raise ConfigError(
            f"retrieval.search_parameters: {kind(index)} does not take {parameters!r} "
            f"({_reason(error)}); nprobe=32 is for IVF, efSearch=128 for HNSW"
        ) from None


def kind(index: Any) -> str:
    """FAISS's name of what an index is."""
    return type(faiss.downcast_index(index)).__name__


def inner_product(index: Any) -> bool:
    return bool(index.metric_type == faiss.METRIC_INNER_PRODUCT)


def _reason(error: Exception) -> str:
    """What FAISS says, without where in its source it says so."""
    return str(error).strip().rpartition(":")[2].strip()[:200]
