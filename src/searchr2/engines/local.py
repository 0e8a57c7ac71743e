"""The in-process engine: a transformers model, batched decoding, and a prefix cache."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from searchr2.engines.cache import Entry, PrefixCache, growing_cache
from searchr2.engines.decoding import Decoding, Rows
from searchr2.files import ArtifactError
from searchr2.ports import Codec, Completion, Generate, Score

ATTENTION = {"full_attention", "sliding_attention"}
"""Kinds of layers, as transformers names them, whose past is one pair of states a token."""


class LocalEngine:
    """ports.Engine over a causal language model held in this process."""

    def __init__(
        self,
        model: torch.nn.Module,
        codec: Codec,
        max_rows: int = 256,
        cache_bytes: int = 768 << 20,
    ) -> None:
        self.model, self.codec, self.max_rows = model, codec, max_rows
        self.prefixes = PrefixCache(cache_bytes)
        config: Any = model.config
        if foreign := set(getattr(config, "layer_types", None) or ()) - ATTENTION:
            raise ArtifactError(
                f"{config.model_type}: layers of kind {min(foreign)} keep a state that cannot be"
                " cut back to a prefix; sample by servers (engine.kind)"
            )
        self._enders: dict[tuple[str, ...], frozenset[int]] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are now: under ZeRO-3 they come and go."""
        return next(self.model.parameters()).device

    def refresh(self) -> None:
        """The weights have changed: every cached prefix is stale."""
        self.prefixes.clear()

    @torch.no_grad()
    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        """Continue each request; at most ``max_rows`` at a time."""
        self.model.eval()
        done: list[Completion] = []
        for start in range(0, len(requests), self.max_rows):
            done.extend(self._generate(requests[start : start + self.max_rows]))
        return done

    @torch.no_grad()
    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        """log p of every token of every option; one pass over each context that differs.

        The context of a token is what stands before it; for options of one token, the prompt alone.
        """
        self.model.eval()
        contexts = [r.ids + o[:j] for r in requests for o in r.options for j in range(len(o))]
        unique = list(dict.fromkeys(contexts))
        logp: dict[tuple[int, ...], torch.Tensor] = {}
        for start in range(0, len(unique), self.max_rows):
            chunk = unique[start : start + self.max_rows]
            rows, _ = self._prefill(chunk)
            logp.update(zip(chunk, torch.log_softmax(rows.logits_BV, dim=-1), strict=True))
        return [
            tuple(tuple(float(logp[r.ids + o[:j]][o[j]]) for j in range(len(o))) for o in r.options)
            for r in requests
        ]

    def _generate(self, requests: Sequence[Generate]) -> list[Completion]:
        prompts = list(dict.fromkeys(request.ids for request in requests))
        rows, parents = self._prefill(prompts)
        where = {ids: row for row, ids in enumerate(prompts)}
        if len(prompts) < len(requests):
            rows.select(torch.tensor([where[r.ids] for r in requests], device=self.device))
        enders = self.enders(tuple(sorted({stop for r in requests for stop in r.stops})))
        decoding = Decoding(self.model, self.codec, enders, requests, rows)
        decoding.run()
        for request, (ids, states) in zip(requests, decoding.finished(), strict=True):
            self.prefixes.store(ids, states, parents[where[request.ids]])
        return decoding.completions()

    def _prefill(self, prompts: Sequence[tuple[int, ...]]) -> tuple[Rows, list[Entry | None]]:
        """One pass over what no cached prefix covers; the entries the rows started from."""
        matches = [self.prefixes.match(ids) for ids in prompts]
        past, past_BS = self._gather(matches)
        fresh = [ids[kept:] for ids, (_, kept) in zip(prompts, matches, strict=True)]
        width = max(map(len, fresh))
        ids_BN = torch.tensor([[0] * (width - len(new)) + list(new) for new in fresh])
        new_BN = torch.tensor([[False] * (width - len(new)) + [True] * len(new) for new in fresh])
        rows = Rows(growing_cache(past), past_BS, torch.empty(0))
        rows.append(self.model, ids_BN.to(self.device), new_BN.to(self.device))
        return rows, [entry for entry, _ in matches]

    def _gather(
        self, matches: Sequence[tuple[Entry | None, int]]
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Cached prefixes as one tensor (layers, 2, B, heads, P, dim), padded left; its mask."""
        width = max(kept for _, kept in matches)
        real_BP = torch.zeros(len(matches), width, dtype=torch.bool, device=self.device)
        example = next((entry.states for entry, _ in matches if entry is not None), None)
        if example is None:
            return None, real_BP
        layers, two, heads, _, dim = example.shape
        past = example.new_zeros(layers, two, len(matches), heads, width, dim)
        for b, (entry, kept) in enumerate(matches):
            if entry is not None:
                past[:, :, b, :, width - kept :] = entry.states[:, :, :, :kept]
                real_BP[b, width - kept :] = True
        return past, real_BP

    def enders(self, stops: tuple[str, ...]) -> frozenset[int]:
        """The ids whose text holds a stop string's last character: only they can complete it."""
        if stops not in self._enders:
            ends = {stop[-1] for stop in stops}
            config: Any = self.model.config
            vocabulary = range(config.vocab_size)
            self._enders[stops] = frozenset(
                token for token in vocabulary if ends & set(self.codec.decode([token]))
            )
        return self._enders[stops]
