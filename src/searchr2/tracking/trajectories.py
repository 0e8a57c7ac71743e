"""Which trajectories of a predictions file to look at, and what happened in each, in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from searchr2.answers import exact_match

Row = Mapping[str, Any]
"""A row of a predictions file."""


@dataclass(frozen=True)
class Event:
    """One thing that happened: who acted, on what, with what result."""

    name: str
    kind: Literal["turn", "search", "discriminator", "trimmer"]
    inputs: Any
    outputs: Any


def sample(rows: Iterable[Row], each: int) -> list[Row]:
    """The first ``each`` rows of every data set and of every outcome, in the file's order."""
    seen: dict[tuple[str, str], int] = {}
    kept = []
    for row in rows:
        marks = (("set", row["dataset"]), ("outcome", outcome(row)))
        if any(seen.get(mark, 0) < each for mark in marks):
            kept.append(row)
        for mark in marks:
            seen[mark] = seen.get(mark, 0) + 1
    return kept


def outcome(row: Row) -> str:
    """The class of a trajectory: what the Meta-Refiner did to it, or else how it ended."""
    right = bool(row["em"])
    if row.get("verdicts"):
        if not row["drafts"]:
            return f"accepted, {'right' if right else 'wrong'}"
        draft = bool(exact_match(final_answer(row["drafts"][0]), tuple(row["golden_answers"])))
        return {
            (False, True): "repaired",
            (True, False): "spoiled",
            (True, True): "revised, right before and after",
            (False, False): "revised, wrong before and after",
        }[draft, right]
    if right:
        return "right"
    if row["prediction"] is None:
        return "no answer"
    titles = row.get("supporting_titles")
    if not titles:
        return "wrong"
    found = len(row["titles_found"]) == len(titles)
    return "wrong, with the evidence" if found else "wrong, evidence missing"


def final_answer(turns: list[Any]) -> str | None:
    """The answer of the last of some turns, if it gave one."""
    return turns[-1].get("answer") if turns else None


def events(row: Row) -> Iterator[Event]:
    """Turns and searches of every draft and of the final trajectory, with the verdicts between.

    Turns that a cut kept are told once, where they were written.
    """
    if row.get("context"):
        yield Event("search: the question", "search", row["question"], row["context"])
    verdicts = row.get("verdicts", [])
    kept = 0
    for n, turns in enumerate([*row.get("drafts", []), row["turns"]]):
        label = "actor turn" if n == 0 else "regenerated turn"
        for i, turn in enumerate(turns[kept:], start=kept + 1):
            yield Event(f"{label} {i}", "turn", {"turn": i}, turn["text"])
            if "query" in turn:
                yield Event(f"search: {turn['query']}", "search", turn["query"], turn["documents"])
        if n < len(verdicts):
            yield from _judgement(verdicts[n])
            kept = max(0, verdicts[n]["choice"] - 1)


def _judgement(verdict: Mapping[str, Any]) -> Iterator[Event]:
    accept, *cuts = verdict["probabilities"]
    choice = verdict["choice"]
    said = "accept" if choice == 0 else "reject"
    yield Event(f"discriminator: {said}", "discriminator", None, {"p(accept)": accept})
    if choice:
        shares = {f"p(step {i} is flawed)": p for i, p in enumerate(cuts, start=1)}
        yield Event(f"trimmer: cut before step {choice}", "trimmer", None, shares)
