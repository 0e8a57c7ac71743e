"""Question rows in FlashRAG's format: which problems each set asks, and how many of each."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from searchr2.files import UserError
from searchr2.world.lands import Land
from searchr2.world.problems import Kind, Problem, problems
from searchr2.world.relations import WORKS, Entity
from searchr2.world.wording import wordings


@dataclass(frozen=True, slots=True)
class Shape:
    """A share of a set's questions: their kind, hops and the kinds of entity they start from."""

    share: float
    type: str
    kind: Kind = "chain"
    hops: int = 1
    starts: tuple[str, ...] = (*WORKS, "person", "city", "company")


SHAPES = {
    "nq": (Shape(1, "single"),),
    "triviaqa": (Shape(1, "single"),),
    "popqa": (Shape(1, "single"),),
    "hotpotqa": (
        Shape(0.84, "bridge", hops=2, starts=(*WORKS, "company")),
        Shape(0.04, "comparison", "earlier"),
        Shape(0.04, "comparison", "later"),
        Shape(0.08, "comparison", "same"),
    ),
    "2wikimultihopqa": (
        Shape(0.50, "compositional", hops=2, starts=WORKS),
        Shape(0.34, "inference", hops=2, starts=("person",)),
        Shape(0.04, "comparison", "earlier"),
        Shape(0.04, "comparison", "later"),
        Shape(0.04, "comparison", "same"),
        Shape(0.04, "bridge_comparison", "bridge_same"),
    ),
    "musique": (
        Shape(0.5, "2hop", hops=2),
        Shape(0.35, "3hop", hops=3),
        Shape(0.15, "4hop", hops=4),
    ),
    "bamboogle": (Shape(1, "2hop", hops=2, starts=(*WORKS, "city", "company")),),
}


def shapes(dataset: str, hops: tuple[int, int] | None) -> tuple[Shape, ...]:
    """What a set asks: its own shapes, or chains of ``hops`` facts, each length as often."""
    if hops is None:
        return SHAPES[dataset]
    lengths = range(hops[0], hops[1] + 1)
    return tuple(Shape(1 / len(lengths), f"{n}hop", hops=n) for n in lengths)


class WorldError(UserError):
    """A world too small for the questions asked of it."""


def rows(
    land: Land,
    dataset: str,
    asked: tuple[Shape, ...],
    count: int,
    ids: dict[Entity, str],
    rng: np.random.Generator,
) -> list[dict[str, Any]]:
    """``count`` questions of a set about a land, shuffled. ``ids``: entity -> passage id.

    Training questions come round again where the land holds fewer; others are distinct or a
    ``WorldError``.
    """
    made: list[dict[str, Any]] = []
    for shape, quota in zip(asked, _quotas(asked, count), strict=True):
        supply = _supply(land, dataset, shape, rng)
        if len(supply) < quota and (land.name != "train" or not supply):
            raise WorldError(
                f"world: {count} {land.name} questions of {dataset} need {quota} of type "
                f"{shape.type!r}, and this world holds {len(supply)}; raise world.works"
            )
        for i in range(quota):
            problem, text = supply[i % len(supply)]
            made.append(_row(problem, text, dataset, shape.type, ids))
    order = rng.permutation(len(made))
    return [{"id": f"{dataset}-{land.name}-{n}", **made[i]} for n, i in enumerate(order)]


def _quotas(asked: tuple[Shape, ...], count: int) -> list[int]:
    """``count`` split by the shapes' shares; rounding goes to the first."""
    rest = [round(count * shape.share) for shape in asked[1:]]
    return [count - sum(rest), *rest]


def _supply(
    land: Land, dataset: str, shape: Shape, rng: np.random.Generator
) -> list[tuple[Problem, str]]:
    """Every question of a shape: relations take turns, second wordings follow all first ones."""
    found = problems(land, shape.kind, shape.hops, rng)
    fitting = [p for p in found if p.hops[0].subject.kind in shape.starts]
    rounds: dict[int, list[tuple[Problem, str]]] = defaultdict(list)
    for problem in _in_turns(fitting, rng):
        texts = wordings(problem, dataset)
        for turn, which in enumerate(rng.permutation(len(texts))):
            rounds[turn].append((problem, texts[which]))
    return [pair for turn in sorted(rounds) for pair in rounds[turn]]


def _in_turns(found: list[Problem], rng: np.random.Generator) -> Iterator[Problem]:
    """Shuffled, one of each pattern of relations (and yes or no) after the other: none crowds."""
    queues: dict[tuple[str, ...], deque[Problem]] = defaultdict(deque)
    for i in rng.permutation(len(found)):
        verdict = found[i].answer if found[i].final["kind"] == "same" else ""
        queues[(*found[i].relations, verdict)].append(found[i])
    while queues:
        for pattern in list(queues):
            yield queues[pattern].popleft()
            if not queues[pattern]:
                del queues[pattern]


def _row(
    problem: Problem, text: str, dataset: str, type_: str, ids: dict[Entity, str]
) -> dict[str, Any]:
    titles = [hop.subject.title for hop in problem.hops]
    passages = [ids[hop.subject] for hop in problem.hops]
    return {
        "question": text,
        "golden_answers": [problem.answer, *_aliases(problem, dataset)],
        "dataset": dataset,
        "metadata": {
            "type": type_,
            "supporting_titles": list(dict.fromkeys(titles)),
            "supporting_ids": list(dict.fromkeys(passages)),
            "hops": [
                {
                    "title": hop.subject.title,
                    "subject": hop.subject.name,
                    "relation": hop.relation.key,
                    "keyword": hop.relation.keyword,
                    "fact": hop.sentence,
                    "value": hop.value.name,
                }
                for hop in problem.hops
            ],
            "final": problem.final,
        },
    }


def _aliases(problem: Problem, dataset: str) -> list[str]:
    """TriviaQA lists other forms of an answer."""
    value = problem.hops[-1].value
    if dataset != "triviaqa" or value.kind == "year":
        return []
    first, last = value.name.split()
    if value.kind == "person":
        return [f"{first[0]}. {last}", f"{last}, {first}"]
    return [f"the {value.kind} of {value.name}", f"{value.name} {value.kind}"]
