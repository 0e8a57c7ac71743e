"""What a retriever promises, asked of every adapter and of the fake the other tests use."""

from collections.abc import Iterator

import pytest

from searchr2.config import Remote, Retrieval
from searchr2.ports import Retriever
from searchr2.retrieval import bm25, building, client
from searchr2.retrieval.dense import Dense
from searchr2.trajectory import Document
from tests.corpora import write_corpus
from tests.encoders import make_encoder
from tests.fakes import DictRetriever
from tests.servers import serving

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
"""What a search for words finds of each."""
KINDS = ["bm25", "dense", "http", "fake"]


def document(name: str, score: float = 0.0) -> Document:
    return Document(name, name.title(), PASSAGES[name], score)


@pytest.fixture(scope="module")
def retrievers(tmp_path_factory) -> Iterator[dict[str, Retriever]]:
    """Every kind, opened from its folder as commands do it; the server answers with BM25."""
    folder = tmp_path_factory.mktemp("retrievers")
    corpus = write_corpus(folder / "corpus.jsonl", map(document, PASSAGES))
    bm25.build(folder / "bm25", corpus, k1=1.5, b=0.75)
    words = bm25.Bm25.load(folder / "bm25")
    encoder = make_encoder(folder / "encoder", PASSAGES.values())
    settings = Retrieval(kind="dense", encoder=str(encoder))
    building.build(folder / "dense", corpus, settings)
    with serving(words) as url:
        client.write(folder / "http", Remote(urls=[url]))
        yield {
            "bm25": words,
            "dense": Dense.load(folder / "dense"),
            "http": client.Http.load(folder / "http"),
            "fake": DictRetriever(
                {
                    query: [document(name, 1.0 / rank) for rank, name in enumerate(names, start=1)]
                    for query, names in QUERIES.items()
                }
            ),
        }


@pytest.fixture(params=KINDS)
def retriever(request, retrievers):
    return retrievers[request.param]


@pytest.fixture(params=[kind for kind in KINDS if kind != "dense"])
def lexical(request, retrievers):
    return retrievers[request.param]


def test_each_query_gets_its_own_collection_in_order(lexical):
    found = lexical.search(list(QUERIES), k=4)
    assert [{d.id for d in collection} for collection in found] == list(map(set, QUERIES.values()))


def test_a_passage_is_nearest_to_itself(retrievers):
    found = retrievers["dense"].search([f"{name} {PASSAGES[name]}" for name in PASSAGES], k=1)
    assert [collection[0].id for collection in found] == list(PASSAGES)


def test_passages_come_best_first_and_each_once(retriever):
    for collection in retriever.search(list(QUERIES), k=4):
        scores = [d.score for d in collection]
        assert scores == sorted(scores, reverse=True)
        assert len({d.id for d in collection}) == len(collection)


def test_a_smaller_k_gives_the_first_of_a_larger_one(retriever):
    full = retriever.search(list(QUERIES), k=10)
    for k in (1, 2, 3):
        assert retriever.search(list(QUERIES), k) == [collection[:k] for collection in full]


def test_fewer_than_k_come_only_where_fewer_match(retriever, retrievers):
    everything_matches = retriever is retrievers["dense"]
    for query, names in QUERIES.items():
        matching = len(PASSAGES) if everything_matches else len(names)
        for k in (3, 10):
            assert len(retriever.search([query], k)[0]) == min(k, matching)


def test_a_batch_is_answered_as_its_queries_one_by_one(retriever):
    batch = retriever.search(list(QUERIES), k=3)
    for query, together in zip(QUERIES, batch, strict=True):
        [alone] = retriever.search([query], k=3)
        assert [d.id for d in alone] == [d.id for d in together]
        assert [d.score for d in alone] == pytest.approx([d.score for d in together], abs=1e-6)
    assert retriever.search([], k=3) == []


def test_passages_come_back_as_they_were_indexed(retriever):
    for collection in retriever.search(list(QUERIES), k=4):
        for found in collection:
            assert (found.title, found.text) == (found.id.title(), PASSAGES[found.id])


@pytest.mark.parametrize("kind", ["bm25", "dense", "http"])
def test_no_passage_at_all_cannot_be_asked_for(retrievers, kind):
    with pytest.raises(ValueError, match="k must be at least 1"):
        retrievers[kind].search(["cat"], k=0)
