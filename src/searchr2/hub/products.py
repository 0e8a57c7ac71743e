"""What fetched files are made into: an index of its parts, a corpus of its archive."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from searchr2.files import replacing
from searchr2.formats import unpack
from searchr2.hub.catalogue import Product
from searchr2.hub.lock import FetchError
from searchr2.progress import bar

_BLOCK = 16 << 20


def is_made(product: Product, folder: Path) -> bool:
    """Whether ``product`` stands in ``folder``: it is given its name when it is whole."""
    path = folder / product.name
    return path.is_file() and product.size in (None, path.stat().st_size)


def make(product: Product, sources: Sequence[Path], folder: Path) -> None:
    """Write ``product`` into ``folder`` from its sources, which stay.

    Raises ``FetchError`` where it comes out in another size than it must have.
    """
    target = folder / product.name
    if product.how == "join":
        _join(sources, target)
    else:
        [source] = sources
        with replacing(target) as file:
            unpack(source, file, product.size or 0)
    if not is_made(product, folder):
        size = target.stat().st_size
        target.unlink()
        raise FetchError(f"{target}: {size} bytes instead of {product.size}; it was removed")


def _join(parts: Sequence[Path], target: Path) -> None:
    """Write the parts one behind the other, going on where a killed attempt stopped."""
    aside = target.with_name(f".{target.name}.part")
    total = sum(part.stat().st_size for part in parts)
    with aside.open("ab") as joined, bar(total, target.name, "B", done=joined.tell()) as shown:
        begins = 0
        for part in parts:
            size = part.stat().st_size
            if (skip := max(joined.tell() - begins, 0)) < size:
                with part.open("rb") as file:
                    file.seek(skip)
                    while block := file.read(_BLOCK):
                        joined.write(block)
                        shown.update(len(block))
            begins += size
        joined.flush()
        os.fsync(joined.fileno())
    aside.replace(target)
