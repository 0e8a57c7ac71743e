"""The records of a rollout: token ids are the truth, text is a view.

A *span* is a run of token ids by one author. A *step* is one assistant turn and, if it searched,
what came back. A *trajectory* is a prompt and its steps. A *verdict* is what the Meta-Refiner saw
and chose. A *trace* is a final trajectory, the verdicts on its drafts, and the drafts that were cut
(the augmented trace of section 3.4).

Invariant: concatenating the spans of a trajectory gives exactly the ids the model saw, and the
log-probabilities on policy-written spans are those of the sampler. Nothing here is ever decoded and
encoded again. Training masks, flat arrays and JSON are derived from these records and stored
nowhere. Cutting is slicing: the kept steps of a cut trajectory are the same objects as the draft's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from searchr2.files import UserError


class Author(StrEnum):
    """Who wrote a span; only ``ACTOR`` and ``REFINER`` spans are the policy's and carry loss."""

    PROMPT = "prompt"
    ACTOR = "actor"
    ENVIRONMENT = "environment"
    REFINER = "refiner"


@dataclass(frozen=True, slots=True)
class Span:
    """A run of token ids by one author.

    ``logprobs`` has one entry (nats) per id where the policy wrote the span, ``None`` elsewhere.
    ``version`` names the weights it was sampled from, where they are not in this process.
    """

    author: Author
    ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None = None
    version: str | None = None

    def __post_init__(self) -> None:
        if self.logprobs is not None and len(self.logprobs) != len(self.ids):
            raise ValueError(f"{len(self.logprobs)} log-probabilities for {len(self.ids)} ids")


def unended(ids: tuple[int, ...], eos_id: int) -> tuple[int, ...]:
    """What was written, without the end of sequence it may close with."""
    return ids[:-1] if ids[-1:] == (eos_id,) else ids


@dataclass(frozen=True, slots=True)
class Question:
    """A question with gold answers; ``supporting_titles`` is ``None`` where the set names none."""

    id: str
    dataset: str
    text: str
    golden_answers: tuple[str, ...]
    supporting_titles: tuple[str, ...] | None = None
    metadata: dict[str, Any] = field(default_factory=dict, compare=False, hash=False)


@dataclass(frozen=True, slots=True)
class Document:
    """A retrieved passage. ``score`` is the retriever's own (BM25 score, inner product)."""

    id: str
    title: str
    text: str
    score: float


Collection = tuple[Document, ...]
"""The top-k passages that one search returned (the unit the process reward judges, Appendix K)."""


@dataclass(frozen=True, slots=True)
class Step:
    """One assistant turn: what the Actor wrote, and what it led to.

    Exactly one of these holds: the turn searched (``query`` and ``observation`` are set,
    ``documents`` may be empty when nothing matched), it answered (``answer`` is set), or neither
    (it ended without an action, or asked for a search in its last turn).
    """

    action: Span
    text: str
    query: str | None = None
    documents: Collection = ()
    observation: Span | None = None
    answer: str | None = None

    @property
    def searched(self) -> bool:
        return self.observation is not None

    @property
    def spans(self) -> tuple[Span, ...]:
        return (self.action,) if self.observation is None else (self.action, self.observation)


@dataclass(frozen=True, slots=True)
class Trajectory:
    """A prompt and the steps that followed it (y in the paper; T = ``len(steps)``)."""

    prompt: Span
    steps: tuple[Step, ...] = ()

    @property
    def spans(self) -> Iterator[Span]:
        yield self.prompt
        for step in self.steps:
            yield from step.spans

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(token for span in self.spans for token in span.ids)

    @property
    def answer(self) -> str | None:
        return self.steps[-1].answer if self.steps else None

    @property
    def collections(self) -> tuple[Collection, ...]:
        """What each executed search returned, in order (M = their number)."""
        return tuple(step.documents for step in self.steps if step.searched)

    def extend(self, step: Step) -> Trajectory:
        return replace(self, steps=(*self.steps, step))

    def keep(self, steps: int) -> Trajectory:
        """The trajectory cut after its first ``steps`` steps; 0 keeps the prompt alone."""
        if not 0 <= steps <= len(self.steps):
            raise ValueError(f"cannot keep {steps} of {len(self.steps)} steps")
        return replace(self, steps=self.steps[:steps])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the Meta-Refiner saw and chose (Algorithm 1, Appendix L).

    ``probabilities`` is p over the integers 0..T, renormalised; ``choice`` 0 accepts, i >= 1 names
    the earliest flawed step (steps 1..i-1 are kept). ``decision`` is the chosen integer's own span,
    with its log-probability over the whole vocabulary: the meta-action that joint optimisation
    trains.
    """

    prompt: Span
    decision: Span
    probabilities: tuple[float, ...]
    choice: int

    @property
    def accepts(self) -> bool:
        return self.choice == 0


@dataclass(frozen=True, slots=True)
class Trace:
    """An augmented trace: the final trajectory, the verdicts before it, the drafts it replaced.

    ``drafts[n]`` is what ``verdicts[n]`` cut. Without a Meta-Refiner both tuples are empty. When
    the last verdict accepts there is one more verdict than drafts.
    """

    final: Trajectory
    verdicts: tuple[Verdict, ...] = ()
    drafts: tuple[Trajectory, ...] = ()

    @property
    def draft(self) -> Trajectory:
        """The Actor's own, unrefined trajectory."""
        return self.drafts[0] if self.drafts else self.final

    @property
    def revised(self) -> bool:
        return bool(self.drafts)


class MixedWeights(UserError):
    """Trajectories that are to be compared come from different weights."""


def sampled_from(traces: Iterable[Trace]) -> str | None:
    """The one version of the weights that wrote all of them; ``None`` where none is named.

    Raises ``MixedWeights`` where there are several, or some have none.
    """
    found: dict[str | None, int] = {}
    for trace in traces:
        spans = (span for y in (trace.final, *trace.drafts) for span in y.spans)
        for version in {span.version for span in spans if span.author is Author.ACTOR}:
            found[version] = found.get(version, 0) + 1
    if len(found) > 1:
        counts = ", ".join(f"{version or 'no version'} ({n})" for version, n in found.items())
        raise MixedWeights(
            f"trajectories from different weights: {counts}; is somebody else loading weights into"
            " the servers of engine.urls? The same command goes on from the last checkpoint"
        )
    return next(iter(found), None)
