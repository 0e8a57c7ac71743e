"""From augmented traces to flat arrays: what GRPO trains on.

A trace gives one row for its final trajectory and, under joint optimisation, one for each verdict;
all carry the trace's advantage (section 3.4). The mask is derived from who wrote each token: 1 on
policy-written ids, 0 on prompts and retrieved passages.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from searchr2.trajectory import Author, Span, Trace

_TRAINED = (Author.ACTOR, Author.REFINER)


@dataclass(frozen=True, slots=True)
class Row:
    """One sequence: ids, which carry loss, the sampler's log-probabilities there, the advantage."""

    ids: tuple[int, ...]
    mask: tuple[bool, ...]
    logprobs: tuple[float, ...]
    advantage: float
    author: Author

    def __post_init__(self) -> None:
        if not len(self.ids) == len(self.mask) == len(self.logprobs):
            raise ValueError("ids, mask and log-probabilities differ in length")


@dataclass(frozen=True)
class Batch:
    """Rows padded on the right: arrays of shape (B, T), those that end in ``_B`` of shape (B,).

    ``old_logp_BT[b, t]`` belongs to the token ``ids_BT[b, t]`` and is 0 where ``loss_BT`` is.
    ``verdict_B`` marks the Meta-Refiner's rows: a verdict is scored at temperature 1.
    """

    ids_BT: npt.NDArray[np.int64]
    valid_BT: npt.NDArray[np.bool_]
    loss_BT: npt.NDArray[np.bool_]
    old_logp_BT: npt.NDArray[np.float32]
    advantage_B: npt.NDArray[np.float32]
    verdict_B: npt.NDArray[np.bool_]

    @property
    def loss_tokens(self) -> int:
        return int(self.loss_BT.sum())


def flatten(trace: Trace, advantage: float, joint: bool) -> Iterator[Row]:
    """The rows of one augmented trace; ``joint`` off leaves the meta-actions out of the loss."""
    yield _row(trace.final.spans, advantage, Author.ACTOR)
    if joint:
        for verdict in trace.verdicts:
            yield _row((verdict.prompt, verdict.decision), advantage, Author.REFINER)


def imitation(spans: Sequence[Span], weight: float = 1.0) -> Row:
    """A demonstration as a row for supervised training: loss on what the policy's roles wrote.

    ``weight`` stands in the advantage's place: how often each of its tokens counts.
    """
    ids = tuple(token for span in spans for token in span.ids)
    mask = tuple(span.author in _TRAINED for span in spans for _ in span.ids)
    return Row(ids, mask, (0.0,) * len(ids), weight, spans[-1].author)


def _row(spans: Iterable[Span], advantage: float, author: Author) -> Row:
    ids: list[int] = []
    mask: list[bool] = []
    logprobs: list[float] = []
    for span in spans:
        trained = span.author in _TRAINED
        if trained and span.logprobs is None:
            raise ValueError(f"a span of the {span.author} came without its log-probabilities")
        ids.extend(span.ids)
        mask.extend([trained] * len(span.ids))
        logprobs.extend(span.logprobs if trained and span.logprobs else [0.0] * len(span.ids))
    return Row(tuple(ids), tuple(mask), tuple(logprobs), advantage, author)


def collate(rows: Sequence[Row]) -> Batch:
    """Pad rows to a common length."""
    shape = len(rows), max(len(row.ids) for row in rows)
    batch = Batch(
        ids_BT=np.zeros(shape, np.int64),
        valid_BT=np.zeros(shape, np.bool_),
        loss_BT=np.zeros(shape, np.bool_),
        old_logp_BT=np.zeros(shape, np.float32),
        advantage_B=np.array([row.advantage for row in rows], np.float32),
        verdict_B=np.array([row.author is Author.REFINER for row in rows], np.bool_),
    )
    for b, row in enumerate(rows):
        length = len(row.ids)
        batch.ids_BT[b, :length] = row.ids
        batch.valid_BT[b, :length] = True
        batch.loss_BT[b, :length] = row.mask
        batch.old_logp_BT[b, :length] = row.logprobs
    return batch


def micro_batches(rows: Sequence[Row], max_tokens: int) -> Iterator[Batch]:
    """Batches of rows of like length, each of at most ``max_tokens`` padded tokens (or one row)."""
    group: list[Row] = []
    for row in sorted(rows, key=lambda row: len(row.ids)):
        if group and (len(group) + 1) * len(row.ids) > max_tokens:
            yield collate(group)
            group = []
        group.append(row)
    if group:
        yield collate(group)
