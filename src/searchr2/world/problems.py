"""What can be asked of a land: chains of facts, comparisons of years, whether two are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from searchr2.world.lands import Land
from searchr2.world.relations import Entity, Fact

Kind = Literal["chain", "earlier", "later", "same", "bridge_same"]
PARTNERS = 4
"""How many others a chain is compared with."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Facts to find, in order, and how the answer follows from them.

    A ``chain`` (each fact's subject is the value before) answers with its last value; ``earlier``
    and ``later`` with the subject of the fact whose year is that; ``same`` and ``bridge_same`` with
    "yes" where the facts ``over`` have one value, else "no".
    """

    kind: Kind
    hops: tuple[Fact, ...]

    @property
    def over(self) -> tuple[int, ...]:
        """Which hops the answer is read from."""
        last = len(self.hops) - 1
        return {"chain": (last,), "bridge_same": (1, 3)}.get(self.kind, (0, 1))

    @property
    def relations(self) -> tuple[str, ...]:
        return tuple(hop.relation.key for hop in self.hops)

    @property
    def answer(self) -> str:
        values = [self.hops[i].value.name for i in self.over]
        if self.kind == "chain":
            return values[0]
        if self.kind in ("same", "bridge_same"):
            return "yes" if values[0] == values[1] else "no"
        chosen = (min if self.kind == "earlier" else max)(self.over, key=lambda i: values[i])
        return self.hops[chosen].subject.name

    @property
    def final(self) -> dict[str, Any]:
        """How the answer follows, as the question files say it."""
        if self.kind == "chain":
            return {"kind": "chain", "over": list(self.over)}
        if self.kind in ("same", "bridge_same"):
            return {"kind": "same", "over": list(self.over)}
        return {"kind": "compare", "op": self.kind, "over": list(self.over)}


def problems(land: Land, kind: Kind, hops: int, rng: np.random.Generator) -> list[Problem]:
    """Every chain of ``hops`` facts, or a random choice of the pairs the other kinds compare."""
    if kind == "chain":
        return [Problem(kind, chain) for chain in _chains(land, hops)]
    if kind in ("earlier", "later"):
        years = [c for c in _chains(land, 1) if c[0].relation.target == "year"]
        return _pairs(kind, years, False, rng)
    chains = [c for c in _chains(land, 2 if kind == "bridge_same" else 1) if _comparable(c)]
    equal = _pairs(kind, chains, True, rng)
    different = _pairs(kind, chains, False, rng)
    fewer = min(len(equal), len(different))
    return equal[:fewer] + different[:fewer]


def _comparable(chain: tuple[Fact, ...]) -> bool:
    ends = chain[-1].relation.key in ("birthplace", "employer", "country", "home")
    return ends and (
        len(chain) == 1 or chain[0].relation.key in ("director", "author", "performer")
    )


def _pairs(
    kind: Kind, chains: list[tuple[Fact, ...]], equal: bool, rng: np.random.Generator
) -> list[Problem]:
    """Pairs of chains of the same relations that meet in their last values (``equal``) or nowhere.

    Each chain is paired with a few others only, so that this stays linear in the size of a land.
    """
    groups: dict[tuple[str, ...], list[tuple[Fact, ...]]] = defaultdict(list)
    for i in rng.permutation(len(chains)):
        end = chains[i][-1].value.name if equal else ""
        groups[(*(fact.relation.key for fact in chains[i]), end)].append(chains[i])
    found = [
        Problem(kind, (*one, *other))
        for group in groups.values()
        for apart in range(1, PARTNERS + 1)
        for one, other in zip(group, group[apart:], strict=False)
        if (one[-1].value == other[-1].value) == equal and one[-1].subject != other[-1].subject
    ]
    return [found[i] for i in rng.permutation(len(found))]


def _chains(land: Land, hops: int) -> Iterator[tuple[Fact, ...]]:
    """Chains that come to no entity twice."""

    def follow(chain: tuple[Fact, ...], met: tuple[Entity, ...]) -> Iterator[tuple[Fact, ...]]:
        if len(chain) == hops:
            yield chain
            return
        for fact in land.facts.get(met[-1], ()):
            if fact.value not in met:
                yield from follow((*chain, fact), (*met, fact.value))

    for entity in land.entities:
        yield from follow((), (entity,))
