"""Random numbers as a function of (seed, stage, step, index), never of history.

A stream is named by a key, so batch order, worker count and resuming change nothing.
"""

from __future__ import annotations

import zlib

import numpy as np


def stage_key(seed: int, stage: str) -> tuple[int, int]:
    """The first two entries of every key of a stage: ``(seed, checksum of the stage's name)``."""
    return seed, zlib.crc32(stage.encode())


def generator(*key: int) -> np.random.Generator:
    """The stream of a key (counter-based Philox, independent between keys)."""
    # numpy pads short keys with zeros; without the length, (1,) and (1, 0) would be one stream
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((len(key), *key))))
