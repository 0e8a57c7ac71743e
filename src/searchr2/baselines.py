"""How each method answers a question, as short procedures on the one driver.

Direct Inference answers from the weights; RAG reads the passages found with the question itself;
Search-R1 and Search-R2 both are the Actor (Algorithm 2), with the Meta-Refiner only where it is
asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from searchr2.actor import Actor
from searchr2.config import Method, Refiner
from searchr2.ports import Procedure, Search
from searchr2.refiner import MetaRefiner
from searchr2.trajectory import Collection, Question, Trace, Trajectory


@dataclass(frozen=True)
class Answered:
    """A trace, and the passages its prompt held (RAG)."""

    trace: Trace
    context: Collection = ()


def respond(
    method: Method, actor: Actor, refiner: Refiner, question: Question, key: tuple[int, ...]
) -> Procedure[Answered]:
    """Answer ``question`` by ``method``."""
    prompts, limits = actor.prompts, actor.limits
    if method == "direct":
        return (yield from _single_turn(actor, Trajectory(prompts.direct(question.text)), (), key))
    if method == "rag":
        found = cast(Collection, (yield Search(question.text)))
        prompt = prompts.rag(question.text, found, limits.max_document_tokens)
        return (yield from _single_turn(actor, Trajectory(prompt), found, key))
    return Answered((yield from MetaRefiner(actor, refiner).roll_out(question, key)))


def _single_turn(
    actor: Actor, start: Trajectory, context: Collection, key: tuple[int, ...]
) -> Procedure[Answered]:
    once = Actor(actor.prompts, actor.limits.model_copy(update={"max_turns": 1}), actor.temperature)
    return Answered(Trace((yield from once.roll_out(start, key))), context)
