"""Short ways to say what a scripted policy writes and a search finds, and to run the method."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakes import ByteCodec, DictRetriever, ScriptedEngine

from searchr2.actor import Actor
from searchr2.config import Prompts, Refiner, Rollout
from searchr2.driver import drive
from searchr2.ports import Completion, Procedure, Score
from searchr2.prompts import PromptBook, load_prompts
from searchr2.refiner import MetaRefiner
from searchr2.trajectory import (
    Author,
    Collection,
    Document,
    Question,
    Span,
    Step,
    Trajectory,
    Verdict,
)

CODEC = ByteCodec()
KEY = (7, 7)


def document(title: str, text: str = "It stands here.") -> Document:
    return Document(title.lower(), title, text, 1.0)


def question(
    text: str = "Where is Arvane?",
    golds: Sequence[str] = ("Ostra",),
    titles: Sequence[str] | None = None,
) -> Question:
    return Question("q1", "nq", text, tuple(golds), None if titles is None else tuple(titles))


def search(query: str, thought: str = "I should search.") -> str:
    return f"<think> {thought}</think><search> {query}</search>"


def answer(text: str, thought: str = "I know.") -> str:
    return f"<think> {thought}</think><answer> {text}</answer>"


def prompt_book(templates: str = "brief", codec=CODEC) -> PromptBook:
    return load_prompts(Prompts(templates=templates), codec)


def actor(codec=CODEC, temperature: float = 1.0, **limits: int) -> Actor:
    """An actor with limits that nothing short of a test of limits meets."""
    roomy = {"max_turn_tokens": 500, "max_context_tokens": 100_000, "max_document_tokens": 500}
    return Actor(prompt_book(codec=codec), Rollout(**(roomy | limits)), temperature)


def meta_refiner(policy: Actor | None = None, **settings: object) -> MetaRefiner:
    return MetaRefiner(policy or actor(), Refiner(**settings))


class Library(DictRetriever):
    """A ``DictRetriever`` that remembers what it was asked, one list a batch."""

    def __init__(self, documents: dict[str, Sequence[Document]] | None = None) -> None:
        super().__init__(documents or {})
        self.asked: list[list[str]] = []

    def search(self, queries: Sequence[str], k: int) -> list[Collection]:
        self.asked.append(list(queries))
        found: list[Collection] = super().search(queries, k)
        return found


def run(
    procedure: Procedure[Any],
    turns: Sequence[str],
    choices: Sequence[int] = (),
    found=None,
    codec=CODEC,
):
    """The result where the policy writes ``turns`` and the refiner prefers ``choices``."""
    engine = ScriptedEngine(codec, turns, choices)
    return drive([procedure], engine, found or Library(), k=3)[0]


def written(text: str, codec=CODEC) -> Completion:
    ids = codec.template(text)
    return Completion(ids, (-0.5,) * len(ids), "stop")


def replied(request: Score, logs: Sequence[float]) -> tuple[tuple[float, ...], ...]:
    """``logs`` as the log-probabilities of a request's options, all of it on their first id."""
    zeros = [(0.0,) * (len(option) - 1) for option in request.options]
    return tuple((log, *rest) for log, rest in zip(logs, zeros, strict=True))


def trajectory(*turns: str, codec=CODEC, found: Collection = ()) -> Trajectory:
    """A finished trajectory of ``turns``: all but an answer searched and found ``found``."""
    book = prompt_book(codec=codec)
    y = Trajectory(book.actor(question().text))
    for text in turns:
        ids = codec.template(text)
        action = Span(Author.ACTOR, ids, tuple(-0.01 * (i + 1) for i in range(len(ids))))
        if "<answer>" in text:
            y = y.extend(
                Step(action, text, answer=text.split("<answer>")[1].split("</")[0].strip())
            )
        else:
            query = text.split("<search>")[1].split("</")[0].strip()
            y = y.extend(Step(action, text, query, found, book.observation(found, 500)))
    return y


def verdict(choice: int, steps: int = 2, codec=CODEC) -> Verdict:
    prompt = Span(Author.PROMPT, codec.template("Flawed step: "))
    decision = Span(Author.REFINER, codec.template(str(choice)), (-0.7,))
    return Verdict(prompt, decision, (1 / (steps + 1),) * (steps + 1), choice)
