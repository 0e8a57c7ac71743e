"""What supervised runs imitate: gold answers (SFT), own rollouts that were right, or verdicts.

Rejection Sampling (section 6): several rollouts of each training prompt at the sampling
temperature, with searches; those whose answer is exact are kept and imitated. Verdicts on such
rollouts by gold evidence give the Meta-Refiner a warm start.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from searchr2 import progress
from searchr2.actor import Actor
from searchr2.answers import exact_match
from searchr2.baselines import respond
from searchr2.config import Refiner, TrainConfig
from searchr2.driver import drive
from searchr2.faults import first_flaw
from searchr2.packing import Row, imitation
from searchr2.ports import Engine, Retriever
from searchr2.prompts import PromptBook
from searchr2.randomness import generator, stage_key
from searchr2.refiner import MetaRefiner
from searchr2.tags import ANSWER
from searchr2.trajectory import Author, Question, Span, Trajectory

CHUNK = 64
"""Questions rolled out before what was kept is written down."""
Noted = list[tuple[str, list[int]]]
"""What is imitated of a rollout: author and ids of each span."""


@dataclass(frozen=True)
class Epochs:
    """Rows in batches, each epoch a permutation named by (seed, epoch)."""

    rows: Sequence[Row]
    batch_size: int
    seed: int

    def batch(self, step: int) -> list[Row]:
        """The rows of ``step``; one that lies across two epochs takes from both."""
        count = len(self.rows)
        places = [divmod(step * self.batch_size + i, count) for i in range(self.batch_size)]
        key = stage_key(self.seed, "examples")
        orders = {epoch: generator(*key, epoch).permutation(count) for epoch, _ in places}
        return [self.rows[orders[epoch][offset]] for epoch, offset in places]


def gold(questions: Sequence[Question], prompts: PromptBook) -> list[Row]:
    """SFT: the first gold answer after the prompt of Direct Inference."""
    codec, rows = prompts.codec, []
    for question in questions:
        answer = codec.text(" " + question.golden_answers[0])
        ids = (*codec.template(ANSWER[0]), *answer, *codec.template(ANSWER[1]))
        rows.append(imitation((prompts.direct(question.text), Span(Author.ACTOR, ids))))
    return rows


def kept(
    config: TrainConfig,
    questions: Sequence[Question],
    engine: Engine,
    retriever: Retriever,
    prompts: PromptBook,
    notes: Path,
) -> tuple[list[Row], int]:
    """Rejection Sampling: the rollouts that were right, and how many there were in all."""

    def right(question: Question, y: Trajectory) -> Iterable[Span]:
        return y.spans if exact_match(y.answer, question.golden_answers) else ()

    found = _rollouts(config, questions, engine, retriever, prompts, notes, right)
    asked = len(questions[: config.supervised.prompts])
    return [imitation(spans) for spans in found], asked * config.supervised.samples


def verdicts(
    config: TrainConfig,
    questions: Sequence[Question],
    engine: Engine,
    retriever: Retriever,
    prompts: PromptBook,
    notes: Path,
) -> list[Row]:
    """Verdicts by gold evidence on own rollouts, as many that accept as that do not.

    With their natural balance a model comes to reject, or accept, nearly everything.
    """
    actor = Actor(prompts, config.rollout, config.rollout.temperature)
    refiner = MetaRefiner(actor, config.refiner)

    def verdict(question: Question, y: Trajectory) -> Iterable[Span]:
        if not y.steps:
            return ()
        prompt, options = refiner.asked(question, y)
        return prompt, Span(Author.REFINER, options[first_flaw(question, y)])

    found = _rollouts(config, questions, engine, retriever, prompts, notes, verdict)
    accepting = [prompts.codec.decode(spans[-1].ids).strip() == "0" for spans in found]
    fewer = min(accepting.count(True), accepting.count(False))
    rows = [imitation(spans) for spans in found]
    return [row for kind in (True, False) for row in _of(rows, accepting, kind)[:fewer]]


def _of(rows: Sequence[Row], accepting: Sequence[bool], kind: bool) -> list[Row]:
    return [row for row, accepts in zip(rows, accepting, strict=True) if accepts == kind]


def _rollouts(
    config: TrainConfig,
    questions: Sequence[Question],
    engine: Engine,
    retriever: Retriever,
    prompts: PromptBook,
    notes: Path,
    example: Callable[[Question, Trajectory], Iterable[Span]],
) -> list[list[Span]]:
    """What ``example`` makes of each rollout of the first ``supervised.prompts`` questions.

    What each chunk of questions came to is a line of ``notes``, so a killed run goes on after the
    last whole one.
    """
    asked = questions[: config.supervised.prompts]
    chunks = [asked[i : i + CHUNK] for i in range(0, len(asked), CHUNK)]
    found = _read(notes)
    actor = Actor(prompts, config.rollout, config.rollout.temperature)
    bar = progress.bar(len(asked), f"{config.run} rollouts", "questions", done=len(found) * CHUNK)
    notes.parent.mkdir(parents=True, exist_ok=True)
    with notes.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(chunk) + "\n" for chunk in found)
        for number in range(len(found), len(chunks)):
            rolled = _answered(config, chunks[number], number, actor, engine, retriever)
            made = [example(question, y) for question, y in rolled]
            noted = [[(s.author.value, list(s.ids)) for s in spans] for spans in made]
            found.append([spans for spans in noted if spans])
            file.write(json.dumps(found[-1]) + "\n")
            file.flush()
            bar.update(len(chunks[number]))
    bar.close()
    return [
        [Span(Author(author), tuple(ids)) for author, ids in spans]
        for chunk in found
        for spans in chunk
    ]


def _answered(
    config: TrainConfig,
    questions: Sequence[Question],
    number: int,
    actor: Actor,
    engine: Engine,
    retriever: Retriever,
) -> list[tuple[Question, Trajectory]]:
    """The rollouts of chunk ``number``, each with its question."""
    engine.refresh()  # a cached prefix moves float rounding, and a resumed run has none
    alone, key = Refiner(max_revisions=0), (*stage_key(config.seed, config.kind), number)
    group = [q for q in questions for _ in range(config.supervised.samples)]
    answered = drive(
        [respond(config.method, actor, alone, q, (*key, i)) for i, q in enumerate(group)],
        engine,
        retriever,
        config.retrieval_k,
    )
    return [(q, one.trace.final) for q, one in zip(group, answered, strict=True)]


def _read(notes: Path) -> list[list[Noted]]:
    """The whole lines of ``notes``; a killed run may have left a part of one."""
    if not notes.is_file():
        return []
    *lines, _part = notes.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]
