"""The judge of trajectory quality that needs no model: each rubric a formula over the trajectory.

It stands in for the paper's judging model where gold supporting titles are known. Read from a row
of a predictions file: turns with thought, query, passages and answer. *Known* at a turn is the
question and every passage retrieved before it. A share becomes a score by ``grade``: 2 for all of
it, 1 for at least half, 0 for less. What a formula needs and the data set does not name (supporting
titles) leaves its rubric without a score, ``None``.

evidence_groundedness      claims that a passage carries / claims. A claim is a thought sentence
                           that names something (a word with a capital or a digit in front, the
                           first one aside), or the answer, yes and no aside; a passage carries it
                           when it holds every name in it and was retrieved before. 0 where nothing
                           was retrieved or claimed.
information_density        searches that brought a new supporting title / searches; 0 without any.
non_redundancy_efficiency  searches that asked something new and brought a new passage / searches;
                           2 without any.
query_timing_quality       timely moments / moments: a search is timely while a supporting title is
                           missing, ending is timely once none is.
trajectory_coherence       turns that follow / turns: a query that was not asked before and of whose
                           words at least half are known, an answer that its thoughts lead to (yes
                           and no: that there is a thought). A turn without an action never follows.
uncertainty_handling       2: answered with all supporting titles found. 0: answered with one
                           missing. 1: in between, no answer at all; or answered with one missing
                           after another query followed every search that brought no new one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from searchr2.answers import normalise
from searchr2.quality.pairs import Judgement, Row, Scores
from searchr2.tags import ANSWER, SEARCH, THINK

_TAGS = re.compile("|".join(map(re.escape, THINK)))
_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_NAME = re.compile(r"\W*(?!I\b)[^\W_a-z]")
"""A word in front of which stands a capital, a digit or a letter without case; not "I"."""


class RuleJudge:
    """quality.PairJudge by the formulas above; it names no winner and gives no reasons."""

    def compare(self, pairs: Sequence[tuple[Row, Row]]) -> list[Judgement | None]:
        return [Judgement(scores(a), scores(b)) for a, b in pairs]


def scores(row: Row) -> Scores:
    """The score of each rubric for the trajectory of a predictions row."""
    told = Told.of(row)
    return {
        "evidence_groundedness": _groundedness(told),
        "information_density": _density(told),
        "non_redundancy_efficiency": _efficiency(told),
        "query_timing_quality": _timing(told),
        "trajectory_coherence": _coherence(told),
        "uncertainty_handling": _uncertainty(told),
    }


def grade(part: int, whole: int) -> int:
    """2 for all, 1 for at least half, 0 for less: ``grade(1, 2) == 1``."""
    return 2 if part == whole else int(2 * part >= whole)


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn as the formulas read it; ``before``: the passages (normal form) retrieved earlier."""

    thought: str
    query: str | None
    answer: str | None
    passages: tuple[str, ...]
    before: tuple[str, ...]
    new_titles: int
    missing: int
    """Supporting titles not found before this turn."""


@dataclass(frozen=True, slots=True)
class Told:
    """A trajectory, told turn by turn. ``missing`` at its end; ``None``: no titles are named."""

    question: str
    turns: tuple[Turn, ...]
    retrieved: tuple[str, ...]
    missing: int | None

    @classmethod
    def of(cls, row: Row) -> Told:
        titles = row.get("supporting_titles")
        context = row.get("context", [])
        missing = set(titles or ()) - {d["title"] for d in context}
        seen = tuple(map(_passage, context))
        turns = []
        for turn in row["turns"]:
            documents = turn.get("documents", [])
            new, found = missing & {d["title"] for d in documents}, tuple(map(_passage, documents))
            query = normalise(turn["query"]) if "query" in turn else None
            turns.append(
                Turn(
                    _thought(turn["text"]),
                    query,
                    turn.get("answer"),
                    found,
                    seen,
                    len(new),
                    len(missing),
                )
            )
            missing, seen = missing - new, seen + found
        left = None if titles is None else len(missing)
        return cls(normalise(row["question"]), tuple(turns), seen, left)

    @property
    def searches(self) -> list[Turn]:
        return [turn for turn in self.turns if turn.query is not None]

    @property
    def answer(self) -> str | None:
        return self.turns[-1].answer if self.turns else None


def _groundedness(told: Told) -> int:
    claims = [(names, turn.before) for turn in told.turns for names in _claims(turn)]
    carried = sum(any(_within(names, p) for p in before) for names, before in claims)
    return grade(carried, len(claims)) if claims and told.retrieved else 0


def _density(told: Told) -> int | None:
    if told.missing is None:
        return None
    useful = sum(turn.new_titles > 0 for turn in told.searches)
    return grade(useful, len(told.searches)) if told.searches else 0


def _efficiency(told: Told) -> int:
    asked = [turn.query for turn in told.searches]
    fresh = sum(
        turn.query not in asked[:i] and not set(turn.passages) <= set(turn.before)
        for i, turn in enumerate(told.searches)
    )
    return grade(fresh, len(asked))


def _timing(told: Told) -> int | None:
    if told.missing is None:
        return None
    timely = sum(turn.missing > 0 for turn in told.searches) + (told.missing == 0)
    return grade(timely, len(told.searches) + 1)


def _coherence(told: Told) -> int:
    follow, asked, thoughts = 0, set(), ""
    for turn in told.turns:
        thoughts = f"{thoughts} {normalise(turn.thought)}"
        if turn.query is not None:
            words, known = turn.query.split(), {*told.question.split(), *_words(turn.before)}
            follow += turn.query not in asked and 2 * len(known & {*words}) >= len({*words}) > 0
            asked.add(turn.query)
        elif turn.answer is not None:
            answer = _stated(turn.answer)
            follow += _within(answer, thoughts) if answer else bool(turn.thought)
    return grade(follow, len(told.turns)) if told.turns else 0


def _uncertainty(told: Told) -> int | None:
    if told.missing is None:
        return None
    if told.answer is None:
        return 1
    if told.missing == 0:
        return 2
    queries = [turn.query for turn in told.searches]
    misses = [i for i, turn in enumerate(told.searches) if not turn.new_titles]
    retried = all(any(q != queries[i] for q in queries[i + 1 : i + 2]) for i in misses)
    return int(bool(misses) and retried)


def _claims(turn: Turn) -> Iterator[tuple[str, ...]]:
    """The names in each claim of a turn, in normal form."""
    for sentence in _SENTENCE.split(turn.thought):
        named = [(word, bool(_NAME.match(word))) for word in sentence.split()]
        if any(is_name for _, is_name in named[1:]):
            start = 0 if named[1][1] else 1  # a capital in front of a sentence need not be a name
            yield _normal([word for word, is_name in named[start:] if is_name])
    if turn.answer is not None and (stated := _stated(turn.answer)):
        yield stated


def _stated(answer: str) -> tuple[str, ...]:
    """The words of an answer that something must state; none of yes and no."""
    words = _normal([answer])
    return () if words in (("yes",), ("no",)) else words


def _within(words: Sequence[str], text: str) -> bool:
    return {*words} <= {*text.split()}


def _normal(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(normalise(" ".join(words)).split())


def _words(texts: Sequence[str]) -> set[str]:
    return {word for text in texts for word in text.split()}


def _thought(text: str) -> str:
    """What a turn says before its action."""
    return _TAGS.sub(" ", re.split(f"{SEARCH[0]}|{ANSWER[0]}", text)[0]).strip()


def _passage(document: Mapping[str, Any]) -> str:
    return normalise(f"{document['title']} {document['text']}")
