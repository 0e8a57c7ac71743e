"""Tokens of a trajectory: on average, which decides the time, and at most, which decides memory."""

from __future__ import annotations

from dataclasses import dataclass

from searchr2.config import Experiment
from searchr2.plan.storage import corpus_of
from searchr2.prompts import TEMPLATES, read_templates

CHARACTERS = 4
"""Of a token, in English and in the small model's own text."""
QUESTION = 20
"""Tokens of a question."""
ROW = 36
"""Bytes of a corpus row that are not its passage: braces, keys, id."""
HEAD = 20
"""Tokens at most that stand over a passage: its rank and title."""
TURN, SMALL_TURN = 100, 13
"""Mean tokens of a turn: of a pretrained model, and as the small model's demonstrations have it."""
TURNS = 2.5
"""Mean turns of a trajectory, the answering one included: the default config takes 2.4 to 2.5."""
AT_ONCE = ("direct", "cot", "rag")
"""Methods of one turn."""


@dataclass(frozen=True)
class Tokens:
    """Of one trajectory."""

    prompt: float
    written: float
    read: float
    """Passages."""

    @property
    def all(self) -> float:
        return self.prompt + self.written + self.read


def trajectory(run: Experiment, turns: float = TURNS, method: str = "search") -> Tokens:
    """On average: ``turns`` turns, each but the last a search, or as many as the limits allow.

    Of the methods of one turn ``rag`` reads once before it.
    """
    limits = run.rollout
    turn = min(SMALL_TURN if run.model.path is None else TURN, limits.max_turn_tokens)
    passages = run.retrieval.k * passage(run)
    prompt = min(template(run, prompted(method)), limits.max_prompt_tokens)
    if method in AT_ONCE:
        return Tokens(prompt, turn, passages if method == "rag" else 0)
    room = max(0, limits.max_context_tokens - prompt - turn)
    turns = max(1, min(turns, limits.max_turns, 1 + room / (turn + passages)))
    return Tokens(prompt, turns * turn, (turns - 1) * passages)


def longest(run: Experiment, method: str = "search") -> Tokens:
    """With its limits used to the full; where the context is shorter, it is all full of turns."""
    limits = run.rollout
    prompt = template(run, prompted(method))
    passages = run.retrieval.k * (limits.max_document_tokens + HEAD)
    if method in AT_ONCE:
        return Tokens(prompt, limits.max_turn_tokens, passages if method == "rag" else 0)
    room = max(0, limits.max_context_tokens - prompt)
    written = min(limits.max_turns * limits.max_turn_tokens, room)
    return Tokens(prompt, written, min((limits.max_turns - 1) * passages, room - written))


def prompted(method: str) -> str:
    """The template of a method's prompt."""
    return method if method in AT_ONCE else "actor"


def passage(run: Experiment) -> float:
    """Mean tokens of a passage that is shown."""
    corpus = corpus_of(run)
    return min((corpus.bytes / corpus.passages - ROW) / CHARACTERS, run.rollout.max_document_tokens)


def template(run: Experiment, name: str) -> float:
    """Tokens of a prompt before anything but the question is put in."""
    wanted = {name: TEMPLATES[name]}
    [text] = read_templates(run.prompts.templates, wanted, "prompts.templates").values()
    return len(text) / CHARACTERS + QUESTION
