"""EM, F1 and sub-EM on cases a person can check."""

import pytest

from searchr2.answers import exact_match, f1, normalise, sub_em


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Eiffel-Tower!", "eiffeltower"),
        ("a the an", ""),
        ("An apple a day", "apple day"),
        ("Theatre", "theatre"),
        ("the. end", "end"),
        ("U.S.", "us"),
        ("Beyonc\u00e9\u2019s \u201cHalo\u201d", "beyonc\u00e9\u2019s \u201chalo\u201d"),
        (" \t\n", ""),
    ],
)
def test_normalise_lowers_then_drops_punctuation_then_articles(text, normal):
    assert normalise(text) == normal


def test_em_takes_the_best_gold_answer():
    assert exact_match("the Thames", ["Seine", "Thames"]) == 1.0
    assert exact_match("River Thames", ["Seine", "Thames"]) == 0.0


def test_f1_counts_each_shared_word_as_often_as_both_have_it():
    assert f1("x y", ["y z"]) == 0.5
    assert f1("x x y", ["x"]) == pytest.approx(2 * (1 / 3) / (1 / 3 + 1))
    assert f1("river thames", ["seine", "thames"]) == pytest.approx(2 / 3)
    assert f1("rhine", ["seine"]) == 0.0


def test_sub_em_looks_inside_the_prediction_and_not_the_other_way():
    assert sub_em("It is the Thames.", ["Thames"]) == 1.0
    assert sub_em("Thames", ["River Thames"]) == 0.0


def test_a_gold_answer_of_articles_alone_is_inside_nothing():
    assert sub_em("anything", ["The"]) == 0.0
    assert exact_match("a", ["The"]) == 1.0


@pytest.mark.parametrize("score", [exact_match, f1, sub_em])
def test_no_prediction_scores_nothing(score):
    assert score(None, ["a", ""]) == 0.0
    assert score("x", []) == 0.0
