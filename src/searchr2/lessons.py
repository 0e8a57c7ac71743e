"""What the base and instruction stages go through: copy, then read, then imitate.

A small model learns to read only once it can copy by context, and it learns that only where nothing
can be learnt by heart. So three kinds of lesson follow each other, and in every one the words of
names are dealt anew, each time it is seen:

1. a run of names, said twice;
2. facts shown as passages, then queries, each followed by the sentence that answers it;
3. demonstrations, from short ones to long ones first, then in any order.

A step's lesson is a function of (seed, step).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from searchr2.config import Demonstrated
from searchr2.packing import Row, imitation
from searchr2.prompts import PromptBook
from searchr2.randomness import generator, stage_key
from searchr2.tags import SEARCH
from searchr2.trajectory import Author, Document, Question, Span

RUN = 24
"""Names in a run that is said twice."""
FACTS = 6
"""Facts in a reading drill, about as many as three passages hold."""
VERDICT_WEIGHT = 16.0
"""How often a verdict counts, being one word beside the dozens of other demonstrations."""


class Curriculum:
    """The lessons over questions whose facts are known and demonstrations made of them."""

    def __init__(
        self,
        settings: Demonstrated,
        prompts: PromptBook,
        questions: Sequence[Question],
        demonstrations: Sequence[Sequence[Span]],
    ) -> None:
        self.settings, self.prompts, self.key = (
            settings,
            prompts,
            stage_key(settings.seed, "lessons"),
        )
        self.hops = {hop["fact"]: hop for q in questions for hop in q.metadata["hops"]}
        self.facts = sorted(self.hops)
        self.names = name_ids(prompts, questions)
        rows = [imitation(spans, weight(spans)) for spans in demonstrations]
        by_length = sorted(rows, key=lambda row: len(row.ids))
        size = settings.batch_size
        self.buckets = [by_length[i : i + size] for i in range(0, len(by_length), size)]

    def batch(self, step: int) -> list[Row]:
        """The rows of a step; those of like length share a batch, which saves padding."""
        rng = generator(*self.key, 0, step)
        reading = self.settings.copying_steps + self.settings.reading_steps
        if step < self.settings.copying_steps:
            rows = [imitation(self.run(rng)) for _ in range(2 * self.settings.batch_size)]
        elif step < reading:
            rows = [imitation(self.drill(rng)) for _ in range(self.settings.batch_size)]
        else:
            epoch, place = divmod(step - reading, len(self.buckets))
            order = generator(*self.key, 1, epoch).permutation(len(self.buckets))
            rows = self.buckets[order[place] if epoch else place]
        return [self.disguise(row, rng) for row in rows]

    def run(self, rng: np.random.Generator) -> tuple[Span, Span]:
        """Names in a row, and the same again."""
        names = tuple(int(i) for i in rng.permutation(self.names)[:RUN])
        return Span(Author.PROMPT, names), Span(Author.ACTOR, names)

    def drill(self, rng: np.random.Generator) -> tuple[Span, ...]:
        """Facts as passages, then a query for each; the queries are given, finding is learnt."""
        chosen = [self.facts[i] for i in rng.permutation(len(self.facts))[:FACTS]]
        passages = tuple(Document("", "", fact, 0.0) for fact in chosen)
        spans = [Span(Author.PROMPT, self.prompts.documents(passages, max_tokens=64))]
        template = self.prompts.codec.template
        for i in rng.permutation(len(chosen)):
            hop = self.hops[chosen[i]]
            query = f"{SEARCH[0]} {hop['subject']} {hop['keyword']}{SEARCH[1]}"
            spans.append(Span(Author.PROMPT, template(query)))
            spans.append(Span(Author.ACTOR, template(" " + chosen[i])))
        return tuple(spans)

    def disguise(self, row: Row, rng: np.random.Generator) -> Row:
        """The row with the words of names exchanged among each other."""
        dealt = dict(zip(self.names, rng.permutation(self.names).tolist(), strict=True))
        ids = tuple(dealt.get(token, token) for token in row.ids)
        return Row(ids, row.mask, row.logprobs, row.advantage, row.author)


def weight(spans: Sequence[Span]) -> float:
    """How often each trained token of a demonstration counts."""
    return VERDICT_WEIGHT if spans[-1].author == Author.REFINER else 1.0


def name_ids(prompts: PromptBook, questions: Sequence[Question]) -> list[int]:
    """The ids of the words of names, those that are one token with their leading space."""
    hops = [hop for question in questions for hop in question.metadata["hops"]]
    words = {word for hop in hops for word in f"{hop['subject']} {hop['value']}".split()}
    encoded = (prompts.codec.text(" " + word) for word in sorted(words) if word[0].isupper())
    return sorted({ids[0] for ids in encoded if len(ids) == 1})
