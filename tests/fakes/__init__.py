"""Small stand-ins that pass the same contract tests as the real adapters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from searchr2.ports import Completion, Generate, Score
from searchr2.tags import ALL_TAGS
from searchr2.trajectory import Collection, Document

SPECIALS = ("<|endoftext|>", "<|im_end|>", *ALL_TAGS)


class ByteCodec:
    """One id a byte of UTF-8; special tokens above 255."""

    eos_id = 257
    vocab_size = 256 + len(SPECIALS)

    def template(self, text: str) -> tuple[int, ...]:
        pieces = re.split("(" + "|".join(map(re.escape, SPECIALS)) + ")", text)
        ids: list[int] = []
        for piece in pieces:
            ids.extend([256 + SPECIALS.index(piece)] if piece in SPECIALS else piece.encode())
        return tuple(ids)

    def text(self, text: str) -> tuple[int, ...]:
        return tuple(text.encode())

    def decode(self, ids: Sequence[int]) -> str:
        raw = b"".join(bytes([i]) if i < 256 else SPECIALS[i - 256].encode() for i in ids)
        return raw.decode("utf-8", errors="replace")

    def chat(self) -> tuple[str, str]:
        return "", ""


class ScriptedEngine:
    """Writes the texts it was given, in order, and prefers the options it was told to."""

    def __init__(self, codec: ByteCodec, turns: Sequence[str], choices: Sequence[int] = ()) -> None:
        self.codec, self.turns, self.choices = codec, list(turns), list(choices)
        self.prompts: list[tuple[int, ...]] = []

    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        return [self._next(request) for request in requests]

    def _next(self, request: Generate) -> Completion:
        self.prompts.append(request.ids)
        ids = self.codec.template(self.turns.pop(0))[: request.max_new_tokens]
        return Completion(ids, (-0.5,) * len(ids), "stop")

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        replies = []
        for request in requests:
            self.prompts.append(request.ids)
            choice = self.choices.pop(0)
            replies.append(
                tuple((-0.1 if i == choice else -5.0,) * len(o) for i, o in enumerate(request.options))
            )
        return replies

    def refresh(self) -> None:
        pass


class DictRetriever:
    """Returns the documents filed under a query, and nothing for any other."""

    def __init__(self, documents: dict[str, Sequence[Document]]) -> None:
        self.documents = documents

    def search(self, queries: Sequence[str], k: int) -> list[Collection]:
        return [tuple(self.documents.get(query, ())[:k]) for query in queries]
