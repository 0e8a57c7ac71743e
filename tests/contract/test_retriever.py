"""What a retriever promises, asked of every adapter and of the fake the other tests use."""

import pytest

from searchr2.ports import Retriever
from searchr2.retrieval import bm25
from searchr2.trajectory import Document
from tests.fakes import DictRetriever

PASSAGES = {
    "cat": "a cat is a feline and likes to purr",
    "dog": "a dog is the best friend of a human and loves to play",
    "bird": "a bird is a beautiful animal that can fly",
    "fish": "a fish is a creature that lives in water and swims",
}
QUERIES = {
    "does the fish purr like a cat?": ("cat", "fish"),
    "a beautiful animal": ("bird",),
    "cat dog bird fish": ("cat", "fish", "bird", "dog"),
    "quasar": (),
    "is the a of": (),
    "": (),
}


def document(name: str, score: float = 0.0) -> Document:
    return Document(name, name.title(), PASSAGES[name], score)


@pytest.fixture(params=["bm25", "fake"])
def retriever(request, tmp_path) -> Retriever:
    if request.param == "bm25":
        bm25.build(tmp_path / "index", map(document, PASSAGES), k1=1.5, b=0.75, about={})
        return bm25.Bm25.load(tmp_path / "index")
    return DictRetriever(
        {
            query: [document(name, 1.0 / rank) for rank, name in enumerate(names, start=1)]
            for query, names in QUERIES.items()
        }
    )


def test_each_query_gets_its_own_collection_in_order(retriever):
    found = retriever.search(list(QUERIES), k=4)
    assert [{d.id for d in collection} for collection in found] == list(map(set, QUERIES.values()))


def test_passages_come_best_first_and_each_once(retriever):
    for collection in retriever.search(list(QUERIES), k=4):
        scores = [d.score for d in collection]
        assert scores == sorted(scores, reverse=True)
        assert len({d.id for d in collection}) == len(collection)


def test_a_smaller_k_gives_the_first_of_a_larger_one(retriever):
    full = retriever.search(list(QUERIES), k=10)
    for k in (1, 2, 3):
        assert retriever.search(list(QUERIES), k) == [collection[:k] for collection in full]


def test_fewer_than_k_come_only_where_fewer_match(retriever):
    for query, names in QUERIES.items():
        assert len(retriever.search([query], k=3)[0]) == min(3, len(names))


def test_a_batch_is_answered_as_its_queries_one_by_one(retriever):
    batch = retriever.search(list(QUERIES), k=3)
    assert batch == [retriever.search([query], k=3)[0] for query in QUERIES]
    assert retriever.search([], k=3) == []


def test_passages_come_back_as_they_were_indexed(retriever):
    for collection in retriever.search(list(QUERIES), k=4):
        for found in collection:
            assert (found.title, found.text) == (found.id.title(), PASSAGES[found.id])
