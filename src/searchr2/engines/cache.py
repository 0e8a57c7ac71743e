"""Key/value storage for the local engine: layers that grow in place, and a cache of prefixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers.cache_utils import Cache, DynamicLayer

BLOCK = 8
"""Prefixes are found at multiples of so many ids; up to BLOCK - 1 ids are computed again."""


class GrowingLayer(DynamicLayer):
    """A dynamic layer that writes into a buffer with room to spare: no concatenation a token."""

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: object, **kwargs: object
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Append states of shape (B, heads, new, dim); returns all, (B, heads, length, dim)."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self.keys, self.values = key_states, value_states
            self._room = (key_states, value_states)
            return self.keys, self.values
        keys, values = self._held()
        start = keys.shape[-2]
        end = start + key_states.shape[-2]
        if end > self._room[0].shape[-2] or self._room[0].shape[0] != keys.shape[0]:
            self._room = _with_room(keys, end + end // 2), _with_room(values, end + end // 2)
        self._room[0][:, :, start:end] = key_states
        self._room[1][:, :, start:end] = value_states
        self.keys, self.values = self._room[0][:, :, :end], self._room[1][:, :, :end]
        return self.keys, self.values

    def batch_select_indices(self, indices: torch.Tensor) -> None:
        super().batch_select_indices(indices)
        self._room = self._held()

    def _held(self) -> tuple[torch.Tensor, torch.Tensor]:
        if self.keys is None or self.values is None:
            raise ValueError("this layer holds no states yet")
        return self.keys, self.values


def _with_room(states: torch.Tensor, length: int) -> torch.Tensor:
    batch, heads, used, dim = states.shape
    room = states.new_empty(batch, heads, length, dim)
    room[:, :, :used] = states
    return room


def growing_cache(past: torch.Tensor | None) -> Cache:
    """A cache holding ``past`` of shape (layers, 2, B, heads, length, dim), or nothing."""
    cache = Cache(layer_class_to_replicate=GrowingLayer)
    for index, (keys, values) in enumerate(past if past is not None else ()):
        cache.update(keys, values, index)
    return cache


@dataclass(eq=False)
class Entry:
    """The states of one sequence, shape (layers, 2, heads, length, dim)."""

    ids: tuple[int, ...]
    states: torch.Tensor


@dataclass
class PrefixCache:
    """Finds the longest stored prefix of a sequence: a group shares its prompt, a turn its past, a
    regenerated suffix its kept prefix.

    Blocks of ids are chained by hash, as in vLLM; a hit is confirmed by comparing the ids. Memory
    is bounded by ``max_bytes``, oldest entries first; what was evicted is computed again. The last
    sequence stays even where it alone is larger; where the bound is 0 nothing is kept.
    """

    max_bytes: int
    blocks: dict[int, Entry] = field(default_factory=dict)
    entries: dict[Entry, None] = field(default_factory=dict)
    """Oldest first."""
    used_bytes: int = 0

    def match(self, ids: Sequence[int]) -> tuple[Entry | None, int]:
        """The entry that shares the longest prefix with ``ids``, and that prefix's length.

        A multiple of ``BLOCK``, shorter than ``ids``, whose last id is computed for its logits.
        """
        ids = tuple(ids)
        best: tuple[Entry | None, int] = (None, 0)
        for end, chain in _chain(ids[: len(ids) - 1]):
            entry = self.blocks.get(chain)
            if entry is None or entry.ids[:end] != ids[:end]:
                break
            best = (entry, end)
        return best

    def store(self, ids: tuple[int, ...], states: torch.Tensor, parent: Entry | None) -> None:
        """Keep the states of ``ids``; a parent that ``ids`` merely continues is dropped."""
        if not self.max_bytes:
            return
        entry = Entry(ids, states)
        for _, chain in _chain(ids):
            self.blocks[chain] = entry
        self.entries[entry] = None
        self.used_bytes += states.nbytes
        if parent in self.entries and parent.ids == ids[: len(parent.ids)]:
            self._release(parent)
        while self.used_bytes > self.max_bytes and len(self.entries) > 1:
            self._release(next(iter(self.entries)))

    def clear(self) -> None:
        self.blocks.clear()
        self.entries.clear()
        self.used_bytes = 0

    def _release(self, entry: Entry) -> None:
        del self.entries[entry]
        self.used_bytes -= entry.states.nbytes
        for _, chain in _chain(entry.ids):
            if self.blocks.get(chain) is entry:
                del self.blocks[chain]


def _chain(ids: tuple[int, ...]) -> list[tuple[int, int]]:
    """(end, hash of everything up to it) of each whole block of ``ids``."""
    chain, links = 0, []
    for end in range(BLOCK, len(ids) + 1, BLOCK):
        chain = hash((chain, ids[end - BLOCK : end]))
        links.append((end, chain))
    return links
