"""Each method as a procedure: what it asks for, what it shows the policy, and when it ends."""

from __future__ import annotations

from typing import Any

import pytest
from fakes import ScriptedEngine
from rollouts import (
    CODEC,
    KEY,
    Library,
    actor,
    answer,
    document,
    prompt_book,
    question,
    search,
    written,
)

from searchr2.baselines import respond
from searchr2.config import METHODS, Refiner
from searchr2.driver import drive
from searchr2.ports import Search
from searchr2.tags import ANSWER, STOPS
from searchr2.trajectory import Author

ASKED = question()
ARVANE = document("Arvane", "Arvane lies in Ostra.")
OSTRA = document("Ostra", "Ostra is a country.")
ALONE = Refiner(max_revisions=0)
TURNS = {
    "direct": [answer("Ostra")],
    "cot": [answer("Ostra")],
    "rag": [answer("Ostra")],
    "ircot": ["Arvane lies in Ostra.\n", answer("Ostra")],
    "search-o1": [search("Arvane"), "It lies in Ostra.<|im_end|>", answer("Ostra")],
    "search": [search("Arvane"), answer("Ostra")],
}
"""What a policy writes, by method, turns and notes in order."""


def asking(method, **limits) -> Any:
    """The procedure of a method, to be answered by hand."""
    return respond(method, actor(**limits), ALONE, ASKED, KEY)


class Asked:
    """A question answered by a method whose policy writes ``turns``."""

    def __init__(self, method, turns, **limits):
        self.actor = actor(**limits)
        self.engine = ScriptedEngine(CODEC, turns)
        self.library = Library({ASKED.text: [ARVANE], "Arvane": [ARVANE]})
        self.library.documents["Arvane lies in Ostra."] = [OSTRA]
        procedure = respond(method, self.actor, ALONE, ASKED, KEY)
        [self.answered] = drive([procedure], self.engine, self.library, 3)
        self.trajectory: Any = self.answered.trace.final

    @property
    def searched(self):
        return [query for batch in self.library.asked for query in batch]

    @property
    def queries(self):
        return [step.query for step in self.trajectory.steps]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_and_searches_only_what_it_should(method):
    asked = Asked(method, TURNS[method])
    assert asked.trajectory.answer == "Ostra"
    assert asked.engine.turns == []
    assert asked.answered.trace.verdicts == ()
    assert asked.answered.context == ((ARVANE,) if method in ("rag", "ircot") else ())
    own = {"ircot": ["Arvane lies in Ostra."], "search-o1": ["Arvane"], "search": ["Arvane"]}
    first = [ASKED.text] if method in ("rag", "ircot") else []
    assert asked.searched == first + own.get(method, [])
    assert asked.queries == [*own.get(method, []), None]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_has_a_prompt_of_its_own_but_search_o1_which_has_the_actors(method):
    book, shown = actor().prompts, Asked(method, TURNS[method]).trajectory.prompt
    prompts = {
        "direct": book.direct(ASKED.text),
        "cot": book.cot(ASKED.text),
        "rag": book.rag(ASKED.text, (ARVANE,), 500),
        "ircot": book.ircot(ASKED.text, (ARVANE,), 500),
        "search-o1": book.actor(ASKED.text),
        "search": book.actor(ASKED.text),
    }
    assert shown == prompts[method]
    assert len(set(prompts.values())) == len(METHODS) - 1


@pytest.mark.parametrize("method", METHODS)
def test_only_what_the_policy_wrote_has_log_probabilities(method):
    for span in Asked(method, TURNS[method]).trajectory.spans:
        assert (span.logprobs is not None) == (span.author is Author.ACTOR)


@pytest.mark.parametrize("method", ["direct", "cot", "rag"])
def test_methods_of_one_turn_run_no_search_of_the_policys(method):
    asked = Asked(method, [search("Arvane")])
    assert asked.searched == ([ASKED.text] if method == "rag" else [])
    assert asked.queries == [None]
    assert asked.trajectory.answer is None


@pytest.mark.parametrize("method", METHODS)
def test_a_method_is_asked_at_the_actors_temperature(method):
    procedure = asking(method, temperature=0.3)
    request = next(procedure)
    if isinstance(request, Search):
        request = procedure.send((ARVANE,))
    assert request.temperature == 0.3


# IRCoT


def test_a_turn_of_ircot_is_one_sentence_and_the_sentence_is_the_query():
    asked = Asked("ircot", ["Arvane lies in Ostra.\nAnd more.", answer("Ostra")])
    first = asked.trajectory.steps[0]
    assert first.action.ids == CODEC.template("Arvane lies in Ostra.\n")
    assert first.query == "Arvane lies in Ostra."
    assert first.documents == (OSTRA,)
    assert first.observation == asked.actor.prompts.observation((OSTRA,), 500)


def test_ircot_halts_at_line_breaks_and_answers_and_nothing_else():
    procedure = asking("ircot")
    assert next(procedure) == Search(ASKED.text)
    first = procedure.send((ARVANE,))
    assert first.stops == ("\n", ANSWER[1])
    assert first.key == (*KEY, 0)
    assert procedure.send(written("It is old.\n")) == Search("It is old.")
    second = procedure.send(())
    assert second.ids[: len(first.ids)] == first.ids
    assert second.key == (*KEY, 1)


def test_ircot_ends_with_its_answer_even_behind_a_sentence():
    asked = Asked("ircot", ["So it is: <answer> Ostra</answer> and on\n", "never\n"])
    assert asked.trajectory.answer == "Ostra"
    assert asked.engine.turns == ["never\n"]
    assert asked.searched == [ASKED.text]


def test_ircot_out_of_turns_stays_unanswered():
    asked = Asked("ircot", ["Arvane lies in Ostra.\n"] * 9, max_turns=3)
    assert [step.searched for step in asked.trajectory.steps] == [True, True, False]
    assert asked.trajectory.answer is None
    assert len(asked.searched) == 3  # by the question, and after two of three sentences


def test_a_sentence_that_ends_the_sequence_is_searched_by_without_the_end():
    asked = Asked("ircot", ["Arvane lies in Ostra.<|im_end|>", answer("Ostra")])
    assert asked.queries == ["Arvane lies in Ostra.", None]


@pytest.mark.parametrize("silence", ["<|im_end|>", " <|im_end|>"])
def test_ircot_ends_unanswered_where_nothing_was_written(silence):
    asked = Asked("ircot", [silence, "never\n"])
    assert asked.searched == [ASKED.text]
    assert asked.queries == [None]
    assert asked.trajectory.answer is None


def test_line_breaks_before_a_sentence_of_ircot_belong_to_it():
    asked = Asked("ircot", ["\n", " \n", "Arvane lies in Ostra.\n", answer("Ostra")])
    first = asked.trajectory.steps[0].action
    assert first.ids == CODEC.template("\n \nArvane lies in Ostra.\n")
    assert len(first.logprobs) == len(first.ids)
    assert asked.engine.prompts[2] == asked.engine.prompts[0] + CODEC.template("\n \n")
    assert asked.queries == ["Arvane lies in Ostra.", None]


def test_line_breaks_alone_fill_a_turn_of_ircot_and_no_more():
    asked = Asked("ircot", ["\n"] * 9, max_turn_tokens=3)
    assert asked.queries == [None]
    assert len(asked.engine.turns) == 6


# Search-o1


def test_a_search_of_search_o1_shows_its_note_in_place_of_passages():
    asked = Asked("search-o1", TURNS["search-o1"])
    step = asked.trajectory.steps[0]
    assert CODEC.decode(step.observation.ids) == "\n<information> It lies in Ostra.</information>\n"
    assert step.observation.author is Author.ENVIRONMENT
    assert step.documents == (ARVANE,)  # what recall is counted on
    assert ARVANE.text not in CODEC.decode(asked.trajectory.ids)


def test_a_note_is_asked_for_with_the_reasoning_so_far_the_query_and_the_passages():
    turns = [
        search("Arvane", "Where?"),
        "In Ostra.",
        search("Arvane", "Sure?"),
        "Yes.",
        answer("x"),
    ]
    asked = Asked("search-o1", turns)
    first, second = asked.engine.prompts[1], asked.engine.prompts[3]
    book = asked.actor.prompts
    assert first == book.note("", "Arvane", (ARVANE,), 500).ids
    reasoning = f"{turns[0]}\n<information> In Ostra.</information>\n"
    assert second == book.note(reasoning, "Arvane", (ARVANE,), 500).ids
    shown = CODEC.decode(book.note("my reasoning", "Arvane", (ARVANE,), 500).ids)
    assert ARVANE.text in shown
    assert "Query: Arvane" in shown


@pytest.mark.parametrize("templates", ["brief", "default"])
def test_the_long_note_prompt_shows_the_reasoning_and_the_short_one_does_without(templates):
    shown = CODEC.decode(prompt_book(templates).note("my reasoning", "q", (ARVANE,), 500).ids)
    assert ("my reasoning" in shown) == (templates == "default")


def test_a_note_has_a_turns_room_no_stop_strings_and_a_key_of_its_own():
    procedure = asking("search-o1", max_turn_tokens=77)
    turn = next(procedure)
    assert turn.stops == STOPS
    assert procedure.send(written(search("Arvane"))) == Search("Arvane")
    note = procedure.send((ARVANE,))
    assert (note.max_new_tokens, note.stops, note.temperature) == (77, (), 1.0)
    assert note.key == (*turn.key, 0)


@pytest.mark.parametrize("note", ["</information><answer> 42</answer>", "<search> x</search>", ""])
def test_tags_in_a_note_are_plain_text(note):
    asked = Asked("search-o1", [search("Arvane"), note, answer("Ostra")])
    shown = asked.trajectory.steps[0].observation.ids
    plain = asked.actor.prompts.information(()).ids
    assert [i for i in shown if i > 255] == [i for i in plain if i > 255]
    assert CODEC.decode(shown) == f"\n<information> {note}</information>\n"
    assert asked.trajectory.answer == "Ostra"
    assert asked.searched == ["Arvane"]
