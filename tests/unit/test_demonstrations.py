"""Demonstrations: right where the evidence is found, wrong from the first miss on."""

import numpy as np
import pytest
from rollouts import CODEC, Library, prompt_book

from searchr2 import demonstrations
from searchr2.config import Base, Rollout
from searchr2.demonstrations import Demonstrator
from searchr2.driver import drive
from searchr2.tags import parse
from searchr2.trajectory import Author, Document, Question

FILM, WRITER, TOWN = "Kelmar Dovrin", "Ada Tamsul", "Paswyn Kellan"
FACTS = {
    f"{FILM} written": f"{FILM} was written by {WRITER}.",
    f"{WRITER} born": f"{WRITER} was born in {TOWN}.",
    f"{TOWN} located": f"{TOWN} is located in Ostra.",
    "Mira Voss born": "Mira Voss was born in Gorrin Balrin.",
    "Velkas Wesbek published": "Velkas Wesbek was published in 1961.",
    f"{FILM} published": f"{FILM} was published in 1964.",
    "Lum Sul published": "Lum Sul was published in 1964.",
}


def hop(subject, keyword):
    fact = FACTS[f"{subject} {keyword}"]
    value = " ".join(
        fact.rstrip(".").split()[-1 if fact[-2].isdigit() or "located" in fact else -2 :]
    )
    return {"title": subject, "subject": subject, "keyword": keyword, "fact": fact, "value": value}


def asked(gold, *hops, kind="chain", op=None):
    over = [len(hops) - 1] if kind == "chain" else list(range(len(hops)))
    final = {"kind": kind, "over": over} | ({"op": op} if op else {})
    return Question("q", "hotpotqa", "Whence?", (gold,), None, {"hops": list(hops), "final": final})


CHAIN = asked("Ostra", hop(FILM, "written"), hop(WRITER, "born"), hop(TOWN, "located"))
EARLIER = asked(
    "Velkas Wesbek",
    hop(FILM, "published"),
    hop("Velkas Wesbek", "published"),
    kind="compare",
    op="earlier",
)
LATER = asked(FILM, *EARLIER.metadata["hops"], kind="compare", op="later")
SAME = asked("yes", hop(FILM, "published"), hop("Lum Sul", "published"), kind="same")
DIFFERENT = asked("no", *EARLIER.metadata["hops"], kind="same")
QUESTIONS = [CHAIN, EARLIER, LATER, SAME, DIFFERENT]


def passages(facts):
    return {query: [Document(query, query, fact, 1.0)] for query, fact in facts.items()}


def show(question, role="search", library=None, seed=0, turns=4, **settings):
    """The demonstration, and what was searched for while it was made."""
    library = library or Library(passages(FACTS))
    limits = Rollout(max_turns=turns, max_document_tokens=200)
    demonstrator = Demonstrator(prompt_book(), limits, Base(**settings))
    rng = np.random.default_rng(seed)
    [shown] = drive([demonstrator.show(question, role, rng)], None, library, 3)
    return shown, [query for batch in library.asked for query in batch]


def actions(shown):
    return [parse(CODEC.decode(s.ids)) for s in shown.spans if s.author is Author.ACTOR]


@pytest.fixture
def careful(monkeypatch):
    """Attempts under a verdict search with whole queries, so that only passages can be missing."""
    monkeypatch.setattr(demonstrations, "CARE", 1.0)


def flawed(question, **more):
    """The step a demonstrated verdict names."""
    shown, _ = show(question, "refiner", **more)
    return int(CODEC.decode(shown.spans[-1].ids))


@pytest.mark.parametrize("question", QUESTIONS)
def test_whole_queries_that_find_their_passages_lead_to_the_gold_answer(question):
    shown, queries = show(question, full_query=1.0)
    hops = question.metadata["hops"]
    assert queries == [f"{h['subject']} {h['keyword']}" for h in hops]
    *searches, last = actions(shown)
    assert [action.content for action in searches] == queries
    assert (last.kind, last.content) == ("answer", question.golden_answers[0])


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_sound_attempt_is_demonstrated_as_0(question):
    assert flawed(question, sound_share=1.0) == 0


def test_a_misread_passage_runs_through_the_later_steps():
    facts = FACTS | {f"{WRITER} born": FACTS["Mira Voss born"]}
    shown, queries = show(CHAIN, full_query=1.0, library=Library(passages(facts)))
    assert queries == [f"{FILM} written", f"{WRITER} born", "Gorrin Balrin located"]
    assert actions(shown)[-1].kind == "answer"
    assert actions(shown)[-1].content != "Ostra"


@pytest.mark.usefixtures("careful")
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_verdict_names_the_first_step_that_missed(number):
    missed = list(FACTS)[number - 1]
    facts = FACTS | {missed: FACTS["Mira Voss born"]}
    assert flawed(CHAIN, library=Library(passages(facts)), sound_share=1.0) == number


@pytest.mark.usefixtures("careful")
def test_a_verdict_on_steps_that_read_rightly_but_ran_out_of_turns_names_the_last():
    assert flawed(CHAIN, turns=3, sound_share=1.0) == 3


def test_careless_queries_drop_the_first_piece_of_the_name():
    _, queries = show(CHAIN, full_query=0.0, partial_share=1.0, library=Library())
    assert queries[0] == "Dovrin written"
    _, queries = show(CHAIN, full_query=0.0, partial_share=0.0, library=Library())
    assert queries[0] in {"Dovrin", "written"}


@pytest.mark.usefixtures("careful")
def test_where_nothing_is_found_the_search_goes_on_about_the_same_name():
    shown, queries = show(CHAIN, full_query=1.0, library=Library())
    assert queries == [f"{FILM} written", f"{FILM} born", f"{FILM} located"]
    assert actions(shown)[-1].content == FILM
    assert flawed(CHAIN, library=Library(), sound_share=1.0) == 1


def test_queries_are_whole_as_often_as_the_settings_say():
    first = [show(CHAIN, seed=seed, full_query=0.3)[1][0] for seed in range(300)]
    share = first.count(f"{FILM} written") / 300
    assert share == pytest.approx(0.3, abs=4 * (0.21 / 300) ** 0.5)


def test_a_search_demonstration_shows_what_the_retriever_returned():
    library = Library(passages(FACTS))
    shown, queries = show(CHAIN, full_query=1.0, library=library)
    observed = [span for span in shown.spans if span.author is Author.ENVIRONMENT]
    book = prompt_book()
    expected = [book.observation(tuple(library.documents[query]), 200) for query in queries]
    assert observed == expected
    assert shown.spans[0] == book.actor(CHAIN.text)


def test_no_more_turns_are_shown_than_a_trajectory_may_take():
    for turns in (1, 2, 3, 4):
        shown, _ = show(CHAIN, full_query=1.0, turns=turns)
        assert len(actions(shown)) == turns
        assert actions(shown)[-1].kind == "answer"


def test_rag_reads_what_the_question_itself_finds():
    library = Library({CHAIN.text: passages(FACTS)[f"{TOWN} located"]})
    shown, queries = show(CHAIN, "rag", library=library)
    assert queries == [CHAIN.text]
    assert "Ostra" in CODEC.decode(shown.spans[0].ids)
    assert [action.content for action in actions(shown)] == ["Ostra"]


def test_rag_answers_with_something_even_where_nothing_was_found():
    shown, _ = show(CHAIN, "rag", library=Library())
    assert [action.kind for action in actions(shown)] == ["answer"]


def test_direct_answers_from_memory_and_asks_nothing():
    shown, queries = show(CHAIN, "direct")
    assert queries == []
    assert [(action.kind, action.content) for action in actions(shown)] == [("answer", "Ostra")]


def test_a_refiner_demonstration_is_the_prompt_of_its_attempt_and_one_integer():
    shown, _ = show(CHAIN, "refiner", sound_share=1.0)
    prompt, verdict = shown.spans
    assert verdict.author is Author.REFINER
    assert CODEC.decode(verdict.ids) == " 0"
    assert "Step 4:" in CODEC.decode(prompt.ids)


def test_a_demonstration_is_a_function_of_its_random_numbers():
    shown = [show(CHAIN, seed=seed, full_query=0.5)[0].spans for seed in (1, 1, 2, 3, 4, 5)]
    assert shown[0] == shown[1]
    assert len(set(shown)) > 1
