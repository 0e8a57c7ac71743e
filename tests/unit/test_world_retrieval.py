"""A first search can go wrong: a full name finds its passage, one word of it often does not."""

import bm25s
import pytest
from worlds import FILES, passages, rows


@pytest.fixture(scope="module")
def facts():
    """(hop, id of its passage), every single-hop fact that is asked about."""
    singles = (row["metadata"] for file in FILES for row in rows(file))
    found = {m["hops"][0]["fact"]: (m["hops"][0], m["supporting_ids"][0])
             for m in singles if m["type"] == "single"}  # fmt: skip
    return list(found.values())


@pytest.fixture(scope="module")
def recall(facts):
    """Share of facts whose passage is among the first k for a query made from the hop."""
    ids = list(passages())
    texts = [f"{title} {text}" for title, text in passages().values()]
    index = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    index.index(bm25s.tokenize(texts, stopwords="en", show_progress=False), show_progress=False)

    def measure(query, k):
        asked = [query(hop) for hop, _ in facts]
        tokens = bm25s.tokenize(asked, stopwords="en", show_progress=False)
        found, _ = index.retrieve(tokens, k=k, show_progress=False)
        hits = [gold in {ids[i] for i in row} for (_, gold), row in zip(facts, found, strict=True)]
        return sum(hits) / len(hits)

    return measure


def test_the_full_name_and_keyword_find_the_passage_first(facts, recall):
    assert len(facts) > 1000
    assert recall(lambda hop: f"{hop['subject']} {hop['keyword']}", 1) > 0.98


@pytest.mark.parametrize("word", [0, 1])
def test_one_word_of_the_name_finds_the_passage_half_of_the_time(recall, word):
    query = lambda hop: f"{hop['subject'].split()[word]} {hop['keyword']}"  # noqa: E731
    assert 0.4 < recall(query, 3) < 0.65


def test_the_keyword_alone_finds_nothing(recall):
    assert recall(lambda hop: hop["keyword"], 3) < 0.1
