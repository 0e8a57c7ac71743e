"""EM and F1 against the steps of SQuAD's official script, written out plainly, on any text."""

import re
import string
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from searchr2.answers import exact_match, f1, normalise, sub_em
from searchr2.questions import read_questions

ALPHABET = "aAnN tThHeE xyz 019 -.,'\"$_() \u00e9\u0130\u00df\u2014\u2019\t\n\u00a0"
ANSWERS = st.lists(st.sampled_from(ALPHABET), max_size=12).map("".join)
GOLDS = st.lists(ANSWERS, min_size=1, max_size=4)


def official(text):
    """Lower case, then punctuation out, then articles out, then white space folded."""
    text = "".join(c for c in text.lower() if c not in set(string.punctuation))
    text = re.sub(r"\b(a|an|the)\b", " ", text)
    return " ".join(text.split())


def official_f1(prediction, gold):
    predicted, wanted = official(prediction).split(), official(gold).split()
    same = sum((Counter(predicted) & Counter(wanted)).values())
    if same == 0:
        return 0
    precision, recall = same / len(predicted), same / len(wanted)
    return (2 * precision * recall) / (precision + recall)


@given(ANSWERS)
def test_the_normal_form_is_the_official_one(text):
    assert normalise(text) == official(text)


@given(ANSWERS, GOLDS)
def test_em_and_f1_are_the_best_over_the_gold_answers(prediction, golds):
    assert exact_match(prediction, golds) == max(official(prediction) == official(g) for g in golds)
    assert f1(prediction, golds) == max(official_f1(prediction, gold) for gold in golds)


@given(ANSWERS, GOLDS)
def test_an_exact_match_is_contained_unless_it_is_empty(prediction, golds):
    if exact_match(prediction, golds) and normalise(prediction):
        assert sub_em(prediction, golds) == f1(prediction, golds) == 1.0


def test_every_real_gold_answer_answers_its_own_question(real):
    for path in sorted((real / "questions").glob("*.jsonl")):
        for question in read_questions(path):
            for gold in question.golden_answers:
                assert exact_match(gold, question.golden_answers) == 1.0
                assert exact_match(f"The {gold.upper()}!", [gold.upper()]) == 1.0
