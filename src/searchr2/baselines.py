"""How each method answers a question, as short procedures on the one driver.

Direct Inference and CoT answer from the weights; RAG reads the passages found with the question
itself; IRCoT searches by each sentence it thinks, Search-o1 by queries of its own, condensing what
was found before it goes on. Search-R1 and Search-R2 both are the Actor (Algorithm 2), with the
Meta-Refiner only where it is asked for. Where the papers are silent: docs/replication.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from searchr2.actor import Actor
from searchr2.config import Method, Refiner
from searchr2.ports import Completion, Generate, Procedure, Search
from searchr2.refiner import MetaRefiner
from searchr2.tags import ANSWER, Action, parse
from searchr2.trajectory import Collection, Question, Span, Trace, Trajectory, unended


@dataclass(frozen=True)
class Answered:
    """A trace, and the passages its prompt held (RAG, IRCoT)."""

    trace: Trace
    context: Collection = ()


def respond(
    method: Method, actor: Actor, refiner: Refiner, question: Question, key: tuple[int, ...]
) -> Procedure[Answered]:
    """Answer ``question`` by ``method``; the Meta-Refiner works on ``search`` alone."""
    if method == "search":
        return Answered((yield from MetaRefiner(actor, refiner).roll_out(question, key)))
    prompts, longest = actor.prompts, actor.limits.max_document_tokens
    found: Collection = ()
    if method in ("rag", "ircot"):
        found = cast(Collection, (yield Search(question.text)))
    if method == "direct":
        answering, prompt = once(actor), prompts.direct(question.text)
    elif method == "cot":
        answering, prompt = once(actor), prompts.cot(question.text)
    elif method == "rag":
        answering, prompt = once(actor), prompts.rag(question.text, found, longest)
    elif method == "ircot":
        answering = Interleaving(prompts, actor.limits, actor.temperature)
        prompt = prompts.ircot(question.text, found, longest)
    else:
        answering = Condensing(prompts, actor.limits, actor.temperature)
        prompt = prompts.actor(question.text)
    return Answered(Trace((yield from answering.roll_out(Trajectory(prompt), key))), found)


def once(actor: Actor) -> Actor:
    """The actor with a single turn, in which nothing is searched."""
    limits = actor.limits.model_copy(update={"max_turns": 1})
    return Actor(actor.prompts, limits, actor.temperature)


class Interleaving(Actor):
    """IRCoT (Trivedi et al., 2023): a turn is one sentence, and the sentence is the query."""

    stops = ("\n", ANSWER[1])

    def write(
        self, ids: tuple[int, ...], budget: int, key: tuple[int, ...]
    ) -> Procedure[Completion]:
        """Line breaks before a sentence end nothing: what comes after them is written on."""
        decode, done = self.prompts.codec.decode, (yield from super().write(ids, budget, key))
        while done.finish == "stop" and not decode(done.ids).strip() and len(done.ids) < budget:
            left = budget - len(done.ids)
            more = yield from super().write((*ids, *done.ids), left, (*key, left))
            written = (*done.ids, *more.ids), (*done.logprobs, *more.logprobs)
            done = Completion(*written, more.finish, more.version)
        return done

    def read(self, text: str) -> Action:
        codec, action = self.prompts.codec, parse(text)
        sentence = text.removesuffix(codec.decode((codec.eos_id,))).strip()
        return Action("search", sentence) if action.kind == "none" and sentence else action


class Condensing(Actor):
    """Search-o1 (Li et al., 2025): what a search returns is condensed before it is reasoned on."""

    def observe(
        self, trajectory: Trajectory, query: str, documents: Collection, key: tuple[int, ...]
    ) -> Procedure[Span]:
        codec, limits = self.prompts.codec, self.limits
        reasoning = codec.decode(trajectory.ids[len(trajectory.prompt.ids) :])
        prompt = self.prompts.note(reasoning, query, documents, limits.max_document_tokens)
        asked = Generate(prompt.ids, limits.max_turn_tokens, (), self.temperature, (*key, 0))
        note = codec.decode(unended(cast(Completion, (yield asked)).ids, codec.eos_id))
        return self.prompts.information(codec.text(" " + note.strip()))  # it repeats passages
