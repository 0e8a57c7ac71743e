"""BM25 against a plain implementation of Lucene's formula, and against reference recall figures."""

import math
import re
from collections import Counter

import pytest

from searchr2.files import read_json
from searchr2.questions import read_questions
from searchr2.randomness import generator
from searchr2.retrieval import bm25
from searchr2.retrieval.recall import present_titles, recall
from searchr2.trajectory import Document
from tests.corpora import write_corpus

STOP_WORDS = {"the", "of", "is", "and"}


def words(text):
    return [w for w in re.findall(r"\w\w+", text.lower()) if w not in STOP_WORDS]


def plain_scores(texts, query, k1, b):
    """Score of each text: sum over query words of ln(1 + (N - n + 0.5) / (n + 0.5)) tf / (tf + K),
    K = k1 (1 - b + b length / mean length)."""
    counts = [Counter(words(text)) for text in texts]
    mean = sum(count.total() for count in counts) / len(counts)
    scores = []
    for count in counts:
        total = 0.0
        for word in words(query):
            n = sum(word in other for other in counts)
            idf = math.log(1 + (len(counts) - n + 0.5) / (n + 0.5))
            tf = count[word]
            total += idf * tf / (tf + k1 * (1 - b + b * count.total() / mean))
        scores.append(total)
    return scores


@pytest.mark.parametrize(("k1", "b"), [(1.5, 0.75), (0.9, 0.4), (1.2, 0.0)])
def test_scores_and_order_are_those_of_the_formula(tmp_path, k1, b):
    draw = generator(5)
    vocabulary = [f"w{i}" for i in range(40)] + sorted(STOP_WORDS)
    texts = [" ".join(draw.choice(vocabulary, size=draw.integers(3, 40))) for _ in range(60)]
    passages = [Document(str(i), f"Title w{i % 40}", text, 0.0) for i, text in enumerate(texts)]
    bm25.build(tmp_path / "i", write_corpus(tmp_path / "corpus.jsonl", passages), k1, b)
    index = bm25.Bm25.load(tmp_path / "i")
    indexed = [f"{d.title}\n{d.text}" for d in passages]
    for _ in range(20):
        query = " ".join(draw.choice([*vocabulary, "unknown"], size=6))
        expected = plain_scores(indexed, query, k1, b)
        [found] = index.search([query], k=60)
        assert {d.id for d in found} == {str(i) for i, score in enumerate(expected) if score > 0}
        for d in found:
            assert d.score == pytest.approx(expected[int(d.id)], rel=1e-5)


@pytest.fixture(scope="module")
def real_index(real, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real") / "index"
    bm25.build(folder, real / "corpus.jsonl", k1=1.5, b=0.75)
    return bm25.Bm25.load(folder)


def test_recall_on_real_text_is_at_most_a_point_below_the_reference(real, real_index):
    reference = read_json(real / "bm25_reference.json")["sets"]
    sets = {name: read_questions(real / "questions" / f"{name}.jsonl") for name in reference}
    asked = [question for questions in sets.values() for question in questions]
    present = present_titles(asked, real_index.titles())
    for name, expected in reference.items():
        measured = recall(sets[name], real_index, present, ks=(3, 10))
        assert measured["n"] == expected["n"]
        assert measured["with_titles"] == expected["with_titles"]
        for key in ("title_recall_at_3", "title_recall_at_10", "answer_recall_at_3"):
            if expected[key] is None:
                assert measured[key] is None
            else:
                assert measured[key] > expected[key] - 1, (name, key)
