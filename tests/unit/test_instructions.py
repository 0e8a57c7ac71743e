"""The instruction stage shows each method as ``respond`` would carry it out, to the id."""

from __future__ import annotations

from itertools import chain, pairwise, zip_longest
from typing import get_args

import numpy as np
import pytest
from fakes import ScriptedEngine
from rollouts import CODEC, KEY, Library, actor, prompt_book

from searchr2.baselines import respond
from searchr2.config import METHODS, Base, ConfigError, Instruct, Refiner, Role, Rollout, load
from searchr2.driver import drive
from searchr2.instructions import Instructor
from searchr2.packing import imitation
from searchr2.tags import INFORMATION
from searchr2.trajectory import Author
from tests.unit.test_demonstrations import CHAIN, FACTS, QUESTIONS, actions, passages

ROLES = get_args(Role)
EVERYTHING = passages(FACTS) | {fact: passages(FACTS)[query] for query, fact in FACTS.items()}
"""Passages by the query, and by the sentence, that should find them."""


def follow(*queries):
    """A library in which what is read leads on: a sentence finds the passage of the next hop."""
    found = dict(EVERYTHING)
    found[CHAIN.text] = [*chain(*(passages(FACTS)[query] for query in queries))]
    for query, after in pairwise(queries):
        found[FACTS[query]] = passages(FACTS)[after]
    return Library(found)


HOPS = [f"{hop['subject']} {hop['keyword']}" for hop in CHAIN.metadata["hops"]]


def show(role, question=CHAIN, library=None, seed=0, turns=5, **settings):
    library = library or follow(*HOPS)
    limits = Rollout(max_turns=turns, max_document_tokens=200)
    instructor = Instructor(prompt_book(), limits, Instruct(**{"full_query": 1.0, **settings}))
    rng = np.random.default_rng(seed)
    [shown] = drive([instructor.show(question, role, rng)], None, library, 3)
    return shown, [query for batch in library.asked for query in batch]


def written(shown, author=Author.ACTOR):
    return [CODEC.decode(span.ids) for span in shown.spans if span.author is author]


def noted(text):
    """What stands between information tags."""
    return text.split(INFORMATION[0])[1].split(INFORMATION[1])[0].strip()


def replayed(shown, method, turns=5):
    """The trajectory, and the prompts, where the policy writes what was demonstrated."""
    notes = [noted(text) for text in written(shown, Author.ENVIRONMENT)]
    texts = written(shown)
    if method == "search-o1":
        texts = [text for text in chain(*zip_longest(texts, notes)) if text is not None]
    engine = ScriptedEngine(CODEC, texts)
    policy = actor(max_turns=turns, max_document_tokens=200)
    procedure = respond(method, policy, Refiner(max_revisions=0), CHAIN, KEY)
    [answered] = drive([procedure], engine, follow(*HOPS), 3)
    return answered.trace.final, engine.prompts


@pytest.mark.parametrize("role", ROLES)
def test_loss_lies_on_what_the_policy_writes_and_nothing_else(role):
    shown, _ = show(role)
    row = imitation(shown.spans)
    trained = [token for token, loss in zip(row.ids, row.mask, strict=True) if loss]
    policys = [s.ids for s in shown.spans if s.author in (Author.ACTOR, Author.REFINER)]
    assert trained == [*chain(*policys)]
    assert shown.role == role
    assert shown.spans[0].author is Author.PROMPT
    assert not any(row.mask[: len(shown.spans[0].ids)])
    assert row.mask[-1]


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_shown_as_it_is_carried_out(method):
    shown, _ = show(method)
    trajectory, _ = replayed(shown, method)
    assert trajectory.ids == tuple(chain(*(span.ids for span in shown.spans)))
    assert trajectory.answer == "Ostra"


def test_a_note_is_shown_under_the_prompt_it_is_asked_with_and_ends_the_sequence():
    _, prompts = replayed(show("search-o1")[0], "search-o1")
    asked = prompts[1::2]
    for seed in range(6):
        prompt, note = show("note", seed=seed)[0].spans
        assert prompt.ids in asked
        assert note.ids[-1] == CODEC.eos_id
        assert note.ids.count(CODEC.eos_id) == 1
        assert CODEC.decode(note.ids[:-1]).strip() in FACTS.values()
    assert len({show("note", seed=seed)[0].spans for seed in range(12)}) == len(HOPS)


def test_cot_states_the_facts_and_answers():
    shown, queries = show("cot")
    [action] = written(shown)
    assert queries == []
    assert all(FACTS[hop] in action for hop in HOPS)
    assert [(a.kind, a.content) for a in actions(shown)] == [("answer", "Ostra")]


def test_ircot_reads_a_sentence_searches_by_it_and_answers_last():
    shown, queries = show("ircot")
    sentences = [FACTS[hop] for hop in HOPS]
    assert queries == [CHAIN.text, *sentences]
    *read, last = written(shown)
    assert read == [f" {sentence}\n" for sentence in sentences]
    assert last == "<answer> Ostra</answer>"


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("role", ["cot", "ircot", "search-o1"])
def test_every_kind_of_question_can_be_shown(question, role):
    shown, _ = show(role, question, Library(EVERYTHING))
    assert actions(shown)[-1].kind == "answer"


@pytest.mark.parametrize("role", ["ircot", "search-o1", "note"])
def test_something_is_shown_even_where_nothing_is_found(role):
    shown, _ = show(role, library=Library())
    assert written(shown)


@pytest.mark.parametrize("role", ["ircot", "search-o1", "search"])
def test_no_more_turns_are_shown_than_a_trajectory_may_take(role):
    for turns in (1, 2, 3, 4):
        shown, _ = show(role, turns=turns)
        assert len(written(shown)) == turns
        assert actions(shown)[-1].kind == "answer"


def test_a_demonstration_is_a_function_of_its_random_numbers():
    shown = [show("search-o1", seed=seed, full_query=0.5)[0].spans for seed in (1, 1, 2, 3, 4, 5)]
    assert shown[0] == shown[1]
    assert len(set(shown)) > 1


@pytest.mark.parametrize("kind", [Base, Instruct])
def test_shares_of_roles_sum_to_one(kind):
    assert sum(kind().shares.values()) == pytest.approx(1)
    assert set(kind().shares) <= set(ROLES)
    with pytest.raises(ConfigError, match=r"x\.json: .*shares sum to 0\.9, not to 1"):
        load(kind, {"shares": {"search": 0.6, "cot": 0.3}}, "x.json")


def test_the_two_stages_show_every_role():
    assert set(Base().shares) | set(Instruct().shares) == set(ROLES)
