"""The in-process engine: a transformers model, batched decoding, and a prefix cache.

Layout of a batch: every row is right-aligned. First its cached prefix, then its new ids, each padded on
the left; decoding appends a column a token. Padding columns are masked, positions count real tokens only,
so holes change nothing but float rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from searchr2.engines.cache import Entry, PrefixCache, growing_cache
from searchr2.ports import Codec, Completion, Finish, Generate, Score
from searchr2.randomness import generator

STOP_WINDOW = 24
"""Ids at the end of a completion that are decoded to look for a stop string; longer than any of ours."""


@dataclass
class _Rows:
    """A batch in flight: cache columns (B, S), which of them are real, and logits (B, V) of the last one."""

    cache: object
    real_BS: torch.Tensor
    logits_BV: torch.Tensor

    def select(self, index: torch.Tensor) -> None:
        self.cache.batch_select_indices(index)  # type: ignore[attr-defined]
        self.real_BS = self.real_BS[index]
        self.logits_BV = self.logits_BV[index]

    def states(self, row: int) -> torch.Tensor:
        """The states of one row without its holes, (layers, 2, heads, length, dim)."""
        real = self.real_BS[row].nonzero().squeeze(1)
        layers = self.cache.layers  # type: ignore[attr-defined]
        return torch.stack(
            [torch.stack([x[row].index_select(1, real) for x in (la.keys, la.values)]) for la in layers]
        )


class LocalEngine:
    """ports.Engine over a causal language model held in this process."""

    def __init__(
        self, model: torch.nn.Module, codec: Codec, max_rows: int = 256, cache_bytes: int = 768 << 20
    ) -> None:
        self.model, self.codec, self.max_rows = model, codec, max_rows
        self.prefixes = PrefixCache(cache_bytes)
        self.device = next(model.parameters()).device
        self._enders: dict[tuple[str, ...], frozenset[int]] = {}

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
        """log p of every token of every option; one pass over each distinct context of a next token, which
        for options of one token is the prompt alone."""
        self.model.eval()
        contexts = [r.ids + o[:j] for r in requests for o in r.options for j in range(len(o))]
        unique = list(dict.fromkeys(contexts))
        logp: dict[tuple[int, ...], torch.Tensor] = {}
        for start in range(0, len(unique), self.max_rows):
            chunk = unique[start : start + self.max_rows]
            rows, _ = self._prefill(chunk)
            logp.update(zip(chunk, torch.log_softmax(rows.logits_BV, dim=-1), strict=True))
        return [
            tuple(
                tuple(float(logp[r.ids + o[:j]][o[j]]) for j in range(len(o))) for o in r.options
            )
            for r in requests
        ]

    def _generate(self, requests: Sequence[Generate]) -> list[Completion]:
        prompts = list(dict.fromkeys(request.ids for request in requests))
        rows, parents = self._prefill(prompts)
        where = {ids: row for row, ids in enumerate(prompts)}
        if len(prompts) < len(requests):
            rows.select(torch.tensor([where[r.ids] for r in requests], device=self.device))
        decoding = _Decoding(self, requests, rows)
        decoding.run()
        for request, (ids, states) in zip(requests, decoding.finished(), strict=True):
            self.prefixes.store(ids, states, parents[where[request.ids]])
        return decoding.completions()

    def _prefill(self, prompts: Sequence[tuple[int, ...]]) -> tuple[_Rows, list[Entry | None]]:
        """One pass over what no cached prefix covers; the entries the rows started from."""
        matches = [self.prefixes.match(ids) for ids in prompts]
        past, past_BS = self._gather(matches)
        fresh = [ids[kept:] for ids, (_, kept) in zip(prompts, matches, strict=True)]
        width = max(map(len, fresh))
        ids_BN = torch.tensor([[0] * (width - len(new)) + list(new) for new in fresh])
        new_BN = torch.tensor([[False] * (width - len(new)) + [True] * len(new) for new in fresh])
        rows = _Rows(growing_cache(past), past_BS, torch.empty(0))
        self.forward(rows, ids_BN.to(self.device), new_BN.to(self.device))
        return rows, [entry for entry, _ in matches]

    def _gather(
        self, matches: Sequence[tuple[Entry | None, int]]
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        """Cached prefixes as one tensor (layers, 2, B, heads, P, dim), padded on the left, and its mask."""
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

    def forward(self, rows: _Rows, ids_BN: torch.Tensor, new_BN: torch.Tensor) -> None:
        """Append columns of ids to a batch; ``new_BN`` tells real ids from padding."""
        before = rows.real_BS.shape[1]
        rows.real_BS = torch.cat([rows.real_BS, new_BN], dim=1)
        positions_BN = (rows.real_BS.cumsum(1) - 1).clamp(min=0)[:, before:]
        columns, width = rows.real_BS.shape[1], ids_BN.shape[1]
        causal_NS = torch.ones(width, columns, dtype=torch.bool, device=self.device).tril(before)
        own_NS = torch.zeros_like(causal_NS).diagonal_scatter(torch.ones(width, dtype=torch.bool), before)
        # a padding column sees itself, so that no softmax runs over nothing
        mask = (causal_NS & rows.real_BS[:, None, :]) | own_NS
        output = self.model(
            input_ids=ids_BN,
            attention_mask=mask[:, None],
            position_ids=positions_BN,
            past_key_values=rows.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        rows.logits_BV = output.logits[:, -1].float()

    def enders(self, stops: tuple[str, ...]) -> frozenset[int]:
        """The ids whose text holds a stop string's last character: the only ones that can complete it."""
        if stops not in self._enders:
            ends = {stop[-1] for stop in stops}
            vocabulary = range(self.model.config.vocab_size)  # type: ignore[union-attr]
            self._enders[stops] = frozenset(
                token for token in vocabulary if ends & set(self.codec.decode([token]))
            )
        return self._enders[stops]


class _Decoding:
    """The token loop over one batch; rows that have ended leave it when half of them have."""

    def __init__(self, engine: LocalEngine, requests: Sequence[Generate], rows: _Rows) -> None:
        self.engine, self.requests, self.rows = engine, requests, rows
        self.ids: list[list[int]] = [[] for _ in requests]
        self.logprobs: list[list[float]] = [[] for _ in requests]
        self.ends: list[Finish | None] = [None] * len(requests)
        self.states: dict[int, torch.Tensor] = {}
        self.live = list(range(len(requests)))
        device = engine.device
        self.uniform = [generator(*r.key).random(r.max_new_tokens) for r in requests]
        self.temperature_B = torch.tensor([r.temperature for r in requests], device=device)
        self.enders = engine.enders(tuple(sorted({s for r in requests for s in r.stops})))

    def run(self) -> None:
        while True:
            token_B, logp_B = self._sample()
            for row, (request, token, logp) in enumerate(
                zip(self.live, token_B.tolist(), logp_B.tolist(), strict=True)
            ):
                if self.ends[request] is None:
                    self._take(request, row, token, logp)
            running = [row for row, request in enumerate(self.live) if self.ends[request] is None]
            if not running:
                return
            if len(running) <= len(self.live) // 2:
                keep = torch.tensor(running, device=self.engine.device)
                self.rows.select(keep)
                token_B, self.temperature_B = token_B[keep], self.temperature_B[keep]
                self.live = [self.live[row] for row in running]
            alive = torch.tensor([[self.ends[r] is None] for r in self.live], device=token_B.device)
            self.engine.forward(self.rows, token_B[:, None], alive)

    def finished(self) -> list[tuple[tuple[int, ...], torch.Tensor]]:
        """Ids and states of every row, all but its last id, whose states were never needed."""
        return [
            (r.ids + tuple(self.ids[i][:-1]), self.states[i]) for i, r in enumerate(self.requests)
        ]

    def completions(self) -> list[Completion]:
        return [
            Completion(tuple(ids), tuple(logprobs), end or "length")
            for ids, logprobs, end in zip(self.ids, self.logprobs, self.ends, strict=True)
        ]

    def _sample(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The next token of each row and its log-probability, by inverse CDF on the row's own uniforms."""
        scaled = self.rows.logits_BV / self.temperature_B.where(self.temperature_B > 0, 1.0)[:, None]
        logp_BV = torch.log_softmax(scaled, dim=-1)
        token_B = logp_BV.argmax(dim=-1)
        if bool((self.temperature_B > 0).any()):
            at = [min(len(self.ids[r]), len(self.uniform[r]) - 1) for r in self.live]
            u = np.array([self.uniform[r][t] for r, t in zip(self.live, at, strict=True)])
            cdf_BV = logp_BV.double().exp().cumsum(-1)
            target = torch.from_numpy(u).to(cdf_BV.device)[:, None] * cdf_BV[:, -1:]
            drawn_B = torch.searchsorted(cdf_BV, target, right=True).squeeze(1)
            drawn_B = drawn_B.clamp(max=cdf_BV.shape[1] - 1)
            token_B = torch.where(self.temperature_B > 0, drawn_B, token_B)
        return token_B, logp_BV.gather(1, token_B[:, None]).squeeze(1)

    def _take(self, request: int, row: int, token: int, logp: float) -> None:
        """Record a token and see whether the row ends with it."""
        self.ids[request].append(token)
        self.logprobs[request].append(logp)
        asked = self.requests[request]
        if token == self.engine.codec.eos_id:
            self.ends[request] = "eos"
        elif token in self.enders and self._stopped(request):
            self.ends[request] = "stop"
        elif len(self.ids[request]) >= asked.max_new_tokens:
            self.ends[request] = "length"
        if self.ends[request] is not None:
            self.states[request] = self.rows.states(row)

    def _stopped(self, request: int) -> bool:
        tail = self.engine.codec.decode(self.ids[request][-STOP_WINDOW:])
        return any(stop in tail for stop in self.requests[request].stops)
