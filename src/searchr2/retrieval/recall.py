"""Recall of a retriever on questions: supporting titles, and answers, among the top k passages.

The query is the question as it stands. Titles are compared in SQuAD's normal form, since data sets
and corpora write them differently ("A.F.C. Bournemouth", "AFC Bournemouth").
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Protocol

from searchr2.answers import normalise, sub_em
from searchr2.ports import Retriever
from searchr2.statistics import wilson
from searchr2.trajectory import Question


class Index(Retriever, Protocol):
    """A retriever whose passages may be known."""

    def titles(self) -> Iterator[str] | None:
        """The title of every passage, in corpus order; ``None``: nobody here knows."""


def present_titles(questions: Iterable[Question], corpus_titles: Iterable[str] | None) -> set[str]:
    """The supporting titles of ``questions``, in normal form, that the corpus has a passage of.

    All of them where ``corpus_titles`` is ``None``.
    """
    wanted = {
        normalise(title) for question in questions for title in question.supporting_titles or ()
    }
    if corpus_titles is None:
        return wanted
    return wanted.intersection(map(normalise, corpus_titles))


def recall(
    questions: Sequence[Question], retriever: Retriever, present: Collection[str], ks: Sequence[int]
) -> dict[str, int | float | None]:
    """A row of recall figures in percent, one column for each k in ``ks``.

    ``title_recall_at_k`` is the mean share of a question's supporting titles among its top k, over
    the ``with_titles`` questions whose titles are known and all ``present`` (``present_titles``),
    ``None`` where there are none. ``answer_recall_at_k`` is the share of questions with a gold
    answer inside a top-k passage, in normal form. ``_ci_low`` and ``_ci_high`` are the ends of
    each one's 95 % interval over questions.
    """
    found = retriever.search([question.text for question in questions], max(ks))
    titled: list[tuple[set[str], list[str]]] = []
    answered: list[list[float]] = []
    for question, documents in zip(questions, found, strict=True):
        wanted = {normalise(title) for title in question.supporting_titles or ()}
        if wanted and all(title in present for title in wanted):
            titled.append((wanted, [normalise(document.title) for document in documents]))
        answered.append(
            [sub_em(f"{d.title}\n{d.text}", question.golden_answers) for d in documents]
        )
    row: dict[str, int | float | None] = {"n": len(questions), "with_titles": len(titled)}
    for k in ks:
        shares = [len(wanted.intersection(titles[:k])) / len(wanted) for wanted, titles in titled]
        row |= _figures(f"title_recall_at_{k}", shares)
    for k in ks:
        row |= _figures(f"answer_recall_at_{k}", [max(hits[:k], default=0.0) for hits in answered])
    return row


def _figures(name: str, values: Sequence[float]) -> dict[str, float | None]:
    """The mean of ``values`` and its interval (``statistics.wilson``), in percent."""
    columns = (name, f"{name}_ci_low", f"{name}_ci_high")
    if not values:
        return dict.fromkeys(columns)
    mean = wilson(values)
    ends = (mean.value, mean.low, mean.high)
    return {column: 100 * share for column, share in zip(columns, ends, strict=True)}
