"""The boundaries of the method: what it asks for, and who may answer.

Algorithms are generators that yield a request and are resumed with its reply; ``driver`` answers
each kind of request in batches through these protocols. Layers 1 and 2 meet here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from searchr2.trajectory import Collection, Question

Finish = Literal["stop", "eos", "length"]


@dataclass(frozen=True, slots=True)
class Generate:
    """Continue ``ids``. ``temperature`` 0 is greedy; ``key`` seeds it, whatever its batch.

    ``stops`` are strings: generation halts with the token in which one of them is completed. That
    token is kept whole even where it runs on past the string (Qwen2 fuses ``>`` and two newlines
    into one).
    """

    ids: tuple[int, ...]
    max_new_tokens: int
    stops: tuple[str, ...]
    temperature: float
    key: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote: ids, their log-probabilities, why it ended.

    Log-probabilities are in nats, at the sampling temperature. ``version`` names the weights, where
    an engine has them from elsewhere.
    """

    ids: tuple[int, ...]
    logprobs: tuple[float, ...]
    finish: Finish
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Score:
    """Ask for log p(option | ids) of each option (a run of ids), in one pass over ``ids``."""

    ids: tuple[int, ...]
    options: tuple[tuple[int, ...], ...]


@dataclass(frozen=True, slots=True)
class Search:
    """Ask the retriever for the top-k passages of a query the policy wrote."""

    query: str


Request = Generate | Score | Search
Reply = Completion | tuple[tuple[float, ...], ...] | Collection
R = TypeVar("R")
Procedure = Generator[Request, Reply, R]
"""An algorithm for ONE trajectory: yields requests, receives replies, returns its result."""


class Codec(Protocol):
    """Text to ids and back. Trusted text may name special tokens; untrusted text never is one."""

    @property
    def eos_id(self) -> int: ...

    def template(self, text: str) -> tuple[int, ...]:
        """Encode text of our own (prompt templates, tags): special tokens are recognised."""

    def text(self, text: str) -> tuple[int, ...]:
        """Encode text from outside (questions, passages): special tokens are split."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens shown, nothing cleaned up."""

    def opening(self) -> str:
        """What the tokenizer puts before any text that is no chat, as ``<s>``; mostly nothing."""

    def chat(self, thinking: bool = True) -> tuple[str, str]:
        """What the chat template puts before and after the text of a user turn, up to the reply.

        A model that has thoughts of its own is told not to have any where ``thinking`` is off.
        """


class Engine(Protocol):
    """Holds the policy's weights and samples from them. Speaks token ids only."""

    def generate(self, requests: Sequence[Generate]) -> list[Completion]: ...

    def score(self, requests: Sequence[Score]) -> list[tuple[tuple[float, ...], ...]]:
        """For each request, for each option, the log-probability (nats) of each of its tokens."""

    def refresh(self) -> None:
        """The weights have changed: forget every cached prefix."""


class Retriever(Protocol):
    """Top-k passages for each query, best first; fewer only where the corpus has fewer matches."""

    def search(self, queries: Sequence[str], k: int) -> list[Collection]: ...


class Judge(Protocol):
    """Counts a trajectory's useful collections (u_i summed, Appendix K): 0 to their number.

    ``None`` is no verdict: a judge that cannot tell never says 0 instead.
    """

    def count(
        self, items: Sequence[tuple[Question, tuple[Collection, ...]]]
    ) -> list[int | None]: ...


class Tracker(Protocol):
    """The append-only record of a run's metrics."""

    def log(self, metrics: Mapping[str, float | None], step: int) -> None: ...

    def rewind(self, step: int) -> None:
        """Say once, before logging, that work goes on after ``step``."""
