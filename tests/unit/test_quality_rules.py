"""The rubrics by rule, on trajectories made by hand whose scores can be told by eye."""

import pytest

from searchr2.quality.pairs import RUBRICS
from searchr2.quality.rules import RuleJudge, grade, scores

FILM = ("Kelra", "Kelra was directed by Mira Voss.")
PERSON = ("Mira Voss", "Mira Voss was born in Ostra in 1950.")
OTHER = ("Bral", "Bral was sung by Ada Lind.")
MORE = ("Dovel", "Dovel is located in Arvane.")


def search(query, *found, thought="I should search."):
    documents = [{"title": title, "text": text} for title, text in found]
    text = f"<think> {thought}</think><search> {query}</search>"
    return {"text": text, "query": query, "documents": documents}


def answer(said, thought):
    return {"text": f"<think> {thought}</think><answer> {said}</answer>", "answer": said}


def row(*turns, titles=("Kelra", "Mira Voss"), **more):
    question = "In which city was the director of the film Kelra born?"
    return {"question": question, "supporting_titles": titles, "turns": list(turns), **more}


FIRST = search("Kelra directed", FILM, OTHER)
SECOND = search("Mira Voss born", PERSON, thought="Kelra was directed by Mira Voss.")
RIGHT = answer("Ostra", "Mira Voss was born in Ostra.")
MISREAD = answer("Arvane", "Mira Voss was born in Arvane.")
AGAIN = search("Kelra directed", FILM, OTHER, thought="I should search.")
MISS = search("Kelra sung", OTHER)
STRAY = search("Zanbek Zanzar governed", MORE, thought="Zanbek Zanzar might know.")
NEITHER = {"text": "<think> Kelra was directed by"}

CASES = {
    # as it should be
    "evidence, evidence, right": (row(FIRST, SECOND, RIGHT), (2, 2, 2, 2, 2, 2)),
    # three claims: the director holds, her birthplace and the answer stand in no passage
    "a passage misread": (row(FIRST, SECOND, MISREAD), (0, 2, 2, 2, 2, 2)),
    # one of three searches repeats query and passages; 3 of 4 moments are timely
    "a repeated search": (row(FIRST, AGAIN, SECOND, RIGHT), (2, 1, 1, 2, 1, 2)),
    # a search for nothing new, though with a query of its own
    "a miss, then another query": (row(MISS, FIRST, SECOND, RIGHT), (2, 1, 2, 2, 2, 2)),
    # Mira Voss is claimed and found, the answer is not: half
    "an answer too early": (
        row(FIRST, answer("Ostra", "Kelra was directed by Mira Voss.")),
        (1, 2, 2, 1, 1, 0),
    ),
    "a miss, another query, and still too early": (
        row(MISS, FIRST, answer("Mira Voss", "Kelra was directed by Mira Voss.")),
        (2, 1, 2, 1, 2, 1),
    ),
    "no search at all": (row(answer("Ostra", "It is Ostra.")), (0, 0, 2, 0, 2, 0)),
    "a needless search at the end": (
        row(FIRST, SECOND, search("Ostra located", MORE), RIGHT),
        (2, 1, 2, 1, 2, 2),
    ),
    # three claims: nothing tells of Zanbek Zanzar, or of Mira Voss and Arvane; Arvane is named
    "a query out of nowhere": (row(STRAY, MISREAD), (0, 0, 2, 1, 1, 0)),
    "the end of the turns": (row(FIRST, SECOND, NEITHER), (2, 2, 2, 2, 1, 1)),
    "nothing done": (row(), (0, 0, 2, 0, 0, 1)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_trajectory_gets_the_scores_of_the_formulas(name):
    trajectory, expected = CASES[name]
    assert scores(trajectory) == dict(zip(RUBRICS, expected, strict=True))


def test_yes_and_no_need_no_passage_but_a_thought():
    judged = scores(row(FIRST, SECOND, answer("yes", "Mira Voss was born in Ostra.")))
    assert set(judged.values()) == {2}
    bare = scores(row(FIRST, SECOND, {"text": "<answer> yes</answer>", "answer": "yes"}))
    assert bare["trajectory_coherence"] == 1


def test_without_supporting_titles_what_needs_them_has_no_score():
    judged = scores(row(FIRST, SECOND, RIGHT, titles=None))
    unknown = {"information_density", "query_timing_quality", "uncertainty_handling"}
    assert {rubric for rubric, score in judged.items() if score is None} == unknown


def test_passages_that_came_with_the_prompt_count_as_known_and_not_as_searched():
    context = [{"title": title, "text": text} for title, text in (FILM, PERSON)]
    judged = scores(row(RIGHT, context=context))
    assert judged["evidence_groundedness"] == 2
    assert judged["uncertainty_handling"] == 2
    assert judged["query_timing_quality"] == 2
    assert judged["information_density"] == 0


@pytest.mark.parametrize(
    ("part", "whole", "score"), [(2, 2, 2), (0, 0, 2), (1, 2, 1), (2, 3, 1), (1, 3, 0), (0, 1, 0)]
)
def test_a_share_is_strong_when_whole_and_mixed_from_a_half_on(part, whole, score):
    assert grade(part, whole) == score


def test_the_judge_scores_each_of_a_pair_by_itself():
    good, poor = row(FIRST, SECOND, RIGHT), row(answer("Ostra", "It is Ostra."))
    [one], [other] = RuleJudge().compare([(good, poor)]), RuleJudge().compare([(poor, good)])
    assert one is not None
    assert other is not None
    assert (one.a, one.b) == (other.b, other.a) == (scores(good), scores(poor))
