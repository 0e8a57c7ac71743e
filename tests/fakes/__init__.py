"""Small stand-ins that pass the same contract tests as the real adapters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from searchr2.ports import Completion, Finish, Generate, Score
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

    def opening(self) -> str:
        return ""

    def chat(self, thinking: bool = True) -> tuple[str, str]:
        return "", ""


class PieceCodec:
    """Bytes, ``<|im_end|>``, and given longer pieces, the longest that fits first.

    With ``QWEN2_PIECES`` it is like Qwen2's: a tag is several ids, the last may hold line breaks.
    """

    eos_id = 256

    def __init__(self, pieces: Sequence[str]) -> None:
        self.names = ("<|im_end|>", *pieces)
        self.vocab_size = 256 + len(self.names)

    def template(self, text: str) -> tuple[int, ...]:
        parts = text.split("<|im_end|>")
        ids = list(self.text(parts[0]))
        for part in parts[1:]:
            ids.extend((self.eos_id, *self.text(part)))
        return tuple(ids)

    def text(self, text: str) -> tuple[int, ...]:
        ids: list[int] = []
        at = 0
        while at < len(text):
            fitting = [piece for piece in self.names[1:] if text.startswith(piece, at)]
            piece = max(fitting, key=len, default=text[at])
            ids.extend([256 + self.names.index(piece)] if fitting else piece.encode())
            at += len(piece)
        return tuple(ids)

    def decode(self, ids: Sequence[int]) -> str:
        raw = b"".join(bytes([i]) if i < 256 else self.names[i - 256].encode() for i in ids)
        return raw.decode("utf-8", errors="replace")

    def opening(self) -> str:
        return ""

    def chat(self, thinking: bool = True) -> tuple[str, str]:
        return "", ""


QWEN2_PIECES = ("</", "><", ">\n", ">\n\n", "search", "answer", "think", "information")


class ScriptedEngine:
    """Writes the texts it was given, in order, and prefers the options it was told to.

    A text ends where a stop string is completed or the room is used up, as with any engine.
    """

    def __init__(
        self, codec: ByteCodec | PieceCodec, turns: Sequence[str], choices: Sequence[int] = ()
    ) -> None:
        self.codec, self.turns, self.choices = codec, list(turns), list(choices)
        self.prompts: list[tuple[int, ...]] = []

    def generate(self, requests: Sequence[Generate]) -> list[Completion]:
        return [self._next(request) for request in requests]

    def _next(self, request: Generate) -> Completion:
        self.prompts.append(request.ids)
        ids: list[int] = []
        finish: Finish = "length"
        for token in self.codec.template(self.turns.pop(0))[: request.max_new_tokens]:
            ids.append(token)
            if token == self.codec.eos_id:
                finish = "eos"
                break
            if any(stop in self.codec.decode(ids) for stop in request.stops):
                finish = "stop"
                break
        return Completion(tuple(ids), (-0.5,) * len(ids), finish)

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        replies = []
        for request in requests:
            self.prompts.append(request.ids)
            choice = self.choices.pop(0)
            replies.append(
                tuple(
                    (-0.1 if i == choice else -50.0,) * len(o)
                    for i, o in enumerate(request.options)
                )
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
