"""The entities of the world and their facts, in three lands that share no entity and no fact.

Training (and demonstration), validation and test questions are each about one land; the corpus
holds all three. Some novels and songs bear the title of a film of their land.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from searchr2.randomness import generator, stage_key
from searchr2.world import names
from searchr2.world.relations import RELATIONS, WORKS, YEARS, Entity, Fact

LANDS = {"train": 0.50, "validation": 0.15, "test": 0.35}
"""Each land's share of the world."""
PER_WORK = {
    "film": 0.38,
    "novel": 0.31,
    "song": 0.31,
    "person": 0.95,
    "city": 0.22,
    "company": 0.22,
    "country": 0.08,
}
"""Entities of each kind for one work."""
NAMESAKES = 0.25
"""Share of novels and songs that bear a film's title."""
MARRIED, EMPLOYED = 0.6, 0.5
"""Shares of people with a spouse, and of the married with an employer; the unmarried all work."""


@dataclass(frozen=True)
class Land:
    """A closed part of the world: every entity a fact names is in the same land."""

    name: str
    facts: dict[Entity, tuple[Fact, ...]]

    @property
    def entities(self) -> tuple[Entity, ...]:
        """Those with a passage of their own."""
        return tuple(self.facts)


def build(seed: int, works: int) -> list[Land]:
    """The three lands of a world of ``works`` films, novels and songs."""
    key = stage_key(seed, "world/lands")
    titles = _namers(works, generator(*key, 0))
    lands = []
    for index, (name, share) in enumerate(LANDS.items(), start=1):
        rng = generator(*key, index)
        counts = {kind: max(2, round(works * per * share)) for kind, per in PER_WORK.items()}
        lands.append(Land(name, _facts(_entities(counts, titles, rng), rng)))
    return lands


Namers = dict[str, Iterator[str]]


def _namers(works: int, rng: np.random.Generator) -> Namers:
    """A source of names for each kind.

    A word stands in about six names of a kind, so that a search by one word finds the wrong
    passages half of the time. Small worlds need more words than that for names enough.
    """
    people = works * PER_WORK["person"]
    uses = (works * PER_WORK["film"] * 2, works * PER_WORK["city"] * 2, people * 0.6, people)
    sizes = [round(max(count / 6, 2.2 * count**0.5)) for count in uses]
    supply = iter(names.words(sum(sizes), rng))
    titles, places, first, last = (list(islice(supply, size)) for size in sizes)
    title, place = names.deal(titles, None, rng), names.deal(places, None, rng)
    return {
        **dict.fromkeys(WORKS, title),
        **dict.fromkeys(("city", "company", "country"), place),
        "person": names.deal(first, last, rng),
    }


def _entities(
    counts: dict[str, int], namers: Namers, rng: np.random.Generator
) -> dict[str, list[Entity]]:
    """``counts`` of each kind; half of the namesakes are titled with their kind, "X Y (novel)"."""
    entities = {}
    for kind in ("film", "person", "city", "company"):
        names_of_kind = [next(namers[kind]) for _ in range(counts[kind])]
        entities[kind] = [Entity(kind, name, name) for name in names_of_kind]
    entities["country"] = [
        Entity("country", next(namers["country"])) for _ in range(counts["country"])
    ]
    for kind in ("novel", "song"):
        films = entities["film"]
        shared = rng.permutation(len(films))[: round(counts[kind] * NAMESAKES)]
        namesakes = [films[i].name for i in shared]
        own = [next(namers[kind]) for _ in range(counts[kind] - len(shared))]
        entities[kind] = [
            Entity(kind, name, f"{name} ({kind})" if i < len(shared) / 2 else name)
            for i, name in enumerate([*namesakes, *own])
        ]
    entities["year"] = [Entity("year", year) for year in YEARS]
    return entities


def _facts(
    entities: dict[str, list[Entity]], rng: np.random.Generator
) -> dict[Entity, tuple[Fact, ...]]:
    """Every relation of every entity, but for people: see ``MARRIED``."""
    spouses = _couples(entities["person"], rng)
    facts: dict[Entity, tuple[Fact, ...]] = {}
    for kind in (*WORKS, "person", "city", "company"):
        for subject in entities[kind]:
            of_subject: list[Fact] = []
            for relation in (r for r in RELATIONS if r.source == kind):
                value = entities[relation.target][rng.integers(len(entities[relation.target]))]
                if relation.key == "spouse":
                    if subject not in spouses:
                        continue
                    value = spouses[subject]
                if relation.key == "employer" and subject in spouses and rng.random() > EMPLOYED:
                    continue
                of_subject.append(Fact(relation, subject, value))
            facts[subject] = tuple(of_subject)
    return facts


def _couples(people: list[Entity], rng: np.random.Generator) -> dict[Entity, Entity]:
    order = [people[i] for i in rng.permutation(len(people))]
    pairs = list(zip(order[::2], order[1::2], strict=False))[: round(len(people) * MARRIED / 2)]
    return {a: b for one, other in pairs for a, b in ((one, other), (other, one))}
