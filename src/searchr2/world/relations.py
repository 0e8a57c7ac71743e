"""What can be true in the generated world: fourteen kinds of fact.

A passage is the sentences of its subject's facts in this order, each naming the subject again: a
small model reads by matching what stands before the value, which a pronoun would hide.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKS = ("film", "novel", "song")
YEARS = tuple(str(year) for year in range(1950, 1990))


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact: ``sentence`` states it, ``keyword`` is its word to search for.

    ``source`` and ``target`` are kinds of entity; years and countries have no passage of their own.
    """

    key: str
    source: str
    target: str
    keyword: str
    sentence: str


RELATIONS = (
    Relation("director", "film", "person", "directed", "{s} was directed by {v}."),
    Relation("star", "film", "person", "headlined", "{s} was headlined by {v}."),
    Relation("released", "film", "year", "released", "{s} was released in {v}."),
    Relation("author", "novel", "person", "written", "{s} was written by {v}."),
    Relation("published", "novel", "year", "published", "{s} was published in {v}."),
    Relation("performer", "song", "person", "sung", "{s} was sung by {v}."),
    Relation("recorded", "song", "year", "recorded", "{s} was recorded in {v}."),
    Relation("birthplace", "person", "city", "born", "{s} was born in {v}."),
    Relation("spouse", "person", "person", "married", "{s} is married to {v}."),
    Relation("employer", "person", "company", "employed", "{s} is employed by {v}."),
    Relation("country", "city", "country", "located", "{s} is located in {v}."),
    Relation("mayor", "city", "person", "governed", "{s} is governed by {v}."),
    Relation("founder", "company", "person", "founded", "{s} was founded by {v}."),
    Relation("home", "company", "city", "based", "{s} is based in {v}."),
)


@dataclass(frozen=True, slots=True)
class Entity:
    """Something with a name; ``title`` is its passage's, ``None`` where it has no passage."""

    kind: str
    name: str
    title: str | None = None


@dataclass(frozen=True, slots=True)
class Fact:
    relation: Relation
    subject: Entity
    value: Entity

    @property
    def sentence(self) -> str:
        return self.relation.sentence.format(s=self.subject.name, v=self.value.name)
