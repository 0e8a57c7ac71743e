"""The evidence judge: a collection counts when it brings evidence that no earlier one brought."""

import pytest
from rollouts import document, question

from searchr2.judging.evidence import EvidenceJudge


def collection(titles):
    return tuple(document(title) for title in titles)


@pytest.mark.parametrize(
    ("collections", "useful"),
    [
        ([], 0),
        ([""], 0),
        (["A"], 1),
        (["AB"], 1),
        (["A", "B"], 2),
        (["A", "A"], 1),
        (["A", "AB"], 2),
        (["AB", "A", "B"], 1),
        (["X", "A", "X"], 1),
        (["XYZ"], 0),
        (["AA"], 1),
    ],
)
def test_a_collection_is_useful_where_it_brings_new_evidence(collections, useful):
    found = tuple(map(collection, collections))
    assert EvidenceJudge().count([(question(titles="AB"), found)]) == [useful]


def test_titles_are_compared_whole():
    found = (collection(["Arvane (city)"]), collection(["arvane"]))
    assert EvidenceJudge().count([(question(titles=["Arvane"]), found)]) == [0]


def test_without_supporting_titles_there_is_no_verdict():
    assert EvidenceJudge().count([(question(titles=None), (collection("A"),))]) == [None]


def test_items_are_judged_each_by_itself_and_in_order():
    asked = question(titles="AB")
    items = [(asked, tuple(map(collection, titles))) for titles in (["A"], ["A", "B"], [])]
    assert EvidenceJudge().count(items) == [1, 2, 0]
    assert EvidenceJudge().count([]) == []
