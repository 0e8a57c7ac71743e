"""Names of two invented words, dealt so that words are shared and full names are not.

Every word of a pool is dealt once before any is dealt again. The training entities are named first,
so the words of validation and test names have all been seen in training, in other names.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

HEADS = ("Bal", "Bren", "Cor", "Dov", "Fal", "Gor", "Hel", "Jas", "Kel", "Lum", "Mel", "Nor", "Pas",
         "Quin", "Ros", "Sar", "Tam", "Vel", "Wes", "Zan")  # fmt: skip
TAILS = ("bek", "dor", "fin", "gar", "kas", "lan", "mir", "nok", "pel", "rin", "sul", "tov", "ved",
         "wyn", "zar")  # fmt: skip


def words(count: int, rng: np.random.Generator) -> list[str]:
    """``count`` distinct invented words of two syllables, or of three where those run out."""
    every = [head + tail for head in HEADS for tail in TAILS]
    if count > len(every):
        every += [word + tail for word in every for tail in TAILS]
    return [every[i] for i in rng.permutation(len(every))[:count]]


def deal(first: list[str], second: list[str] | None, rng: np.random.Generator) -> Iterator[str]:
    """Distinct names "A B": A from ``first``, B from ``second`` (``None``: from ``first`` too).

    No two hold the same two words, whatever their order. Ends in ``ValueError`` where the pools
    hold no further name.
    """
    capacity = len(first) * len(second) if second else len(first) * (len(first) - 1) // 2
    left, right = _rounds(first, rng), _rounds(second or first, rng)
    taken: set[frozenset[str]] = set()
    while len(taken) < capacity:
        one = next(left)
        other = next(right if second else left)
        pair = frozenset((one, other))
        if len(pair) == 2 and pair not in taken:
            taken.add(pair)
            yield f"{one} {other}"
    raise ValueError(f"all {capacity} names are taken")


def _rounds(pool: list[str], rng: np.random.Generator) -> Iterator[str]:
    while True:
        for index in rng.permutation(len(pool)):
            yield pool[index]
