"""A batch in flight, and the token loop over it.

Layout of a batch: every row is right-aligned. First its cached prefix, then its new ids, each
padded on the left; decoding appends a column a token. Padding columns are masked, positions count
real tokens only, so holes change nothing but float rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from searchr2.ports import Codec, Completion, Finish, Generate
from searchr2.randomness import generator

STOP_WINDOW = 24
"""Ids at the end of a completion that are decoded to find a stop string: more than any has."""


@dataclass
class Rows:
    """A batch in flight: cache columns (B, S), which are real, and the last one's logits (B, V)."""

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
            [
                torch.stack([x[row].index_select(1, real) for x in (la.keys, la.values)])
                for la in layers
            ]
        )

    def append(self, model: Any, ids_BN: torch.Tensor, new_BN: torch.Tensor) -> None:
        """Run the model over further columns of ids; ``new_BN`` tells real ids from padding."""
        before = self.real_BS.shape[1]
        self.real_BS = torch.cat([self.real_BS, new_BN], dim=1)
        positions_BN = (self.real_BS.cumsum(1) - 1).clamp(min=0)[:, before:]
        columns, width = self.real_BS.shape[1], ids_BN.shape[1]
        causal_NS = torch.ones(width, columns, dtype=torch.bool, device=ids_BN.device).tril(before)
        own_NS = causal_NS.triu(before)
        # a padding column sees itself, so that no softmax runs over nothing
        mask = (causal_NS & self.real_BS[:, None, :]) | own_NS
        if getattr(model.config, "_attn_implementation", None) == "eager":  # which adds its mask
            hidden = torch.finfo(model.dtype).min
            mask = torch.zeros_like(mask, dtype=model.dtype).masked_fill(~mask, hidden)
        output = model(
            input_ids=ids_BN,
            attention_mask=mask[:, None],
            position_ids=positions_BN,
            past_key_values=self.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        self.logits_BV = output.logits[:, -1].float()


class Decoding:
    """The token loop over one batch; rows that have ended leave it when half of them have."""

    def __init__(
        self,
        model: torch.nn.Module,
        codec: Codec,
        enders: frozenset[int],
        requests: Sequence[Generate],
        rows: Rows,
    ) -> None:
        """``enders`` are the ids that can complete a stop string of some request."""
        self.model, self.codec, self.enders = model, codec, enders
        self.requests, self.rows = requests, rows
        self.ids: list[list[int]] = [[] for _ in requests]
        self.logprobs: list[list[float]] = [[] for _ in requests]
        self.ends: list[Finish | None] = [None] * len(requests)
        self.states: dict[int, torch.Tensor] = {}
        self.live = list(range(len(requests)))
        device = self.rows.real_BS.device
        self.uniform = [generator(*r.key).random(r.max_new_tokens) for r in requests]
        self.temperature_B = torch.tensor([r.temperature for r in requests], device=device)

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
                keep = torch.tensor(running, device=token_B.device)
                self.rows.select(keep)
                token_B, self.temperature_B = token_B[keep], self.temperature_B[keep]
                self.live = [self.live[row] for row in running]
            alive = torch.tensor([[self.ends[r] is None] for r in self.live], device=token_B.device)
            self.rows.append(self.model, token_B[:, None], alive)

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
        """Each row's next token and its log-probability, by inverse CDF on its own uniforms."""
        scaled = (
            self.rows.logits_BV / self.temperature_B.where(self.temperature_B > 0, 1.0)[:, None]
        )
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
        if token == self.codec.eos_id:
            self.ends[request] = "eos"
        elif token in self.enders and self._stopped(request):
            self.ends[request] = "stop"
        elif len(self.ids[request]) >= asked.max_new_tokens:
            self.ends[request] = "length"
        if self.ends[request] is not None:
            self.states[request] = self.rows.states(row)

    def _stopped(self, request: int) -> bool:
        tail = self.codec.decode(self.ids[request][-STOP_WINDOW:])
        return any(stop in tail for stop in self.requests[request].stops)
