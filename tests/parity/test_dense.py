"""Dense retrieval against brute force, and encoding against E5's recipe, text by text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from searchr2.config import Encoding
from searchr2.retrieval import vectors
from searchr2.retrieval.agreement import overlap
from searchr2.retrieval.encoder import Encoder
from tests.encoders import make_encoder

N, D, Q = 5000, 64, 200
TEXTS = [
    "a cat",
    "the dog is the best friend of a human and loves to play",
    '"Paris"\nParis is the capital of France.',
    "",
    "fish " * 60,
]


def unit(rng, shape):
    rows = rng.standard_normal(shape).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def rows():
    return unit(np.random.default_rng(0), (N, D))


@pytest.fixture(scope="module")
def queries(rows):
    rng = np.random.default_rng(1)
    return (rows[:Q] + 0.2 * unit(rng, (Q, D))).astype(np.float32)


@pytest.fixture(scope="module")
def flat(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("flat") / "vectors.index"
    vectors.create_flat(path, D, N)
    for start in (3000, 0, 1500, 4500):
        vectors.write_rows(path, start, rows[start : start + 1500])
    return path


def brute_force(rows, queries, k):
    scores = queries.astype(np.float64) @ rows.astype(np.float64).T
    order = np.argsort(-scores, axis=1)[:, :k]
    return np.take_along_axis(scores, order, axis=1), order


def test_flat_finds_the_same_rows_in_the_same_order_as_brute_force(flat, rows, queries):
    index = vectors.open_index(flat)
    found_scores, found = index.search(queries, 20)
    scores, expected = brute_force(rows, queries, 20)
    assert np.array_equal(found, expected)
    assert np.allclose(found_scores, scores, atol=1e-5)


def test_the_file_is_the_one_faiss_writes(flat, rows, tmp_path):
    import faiss

    index = faiss.IndexFlatIP(D)
    index.add(rows)
    faiss.write_index(index, str(tmp_path / "theirs"))
    assert flat.read_bytes() == (tmp_path / "theirs").read_bytes()
    assert np.array_equal(vectors.read_rows(flat), rows)


@pytest.mark.parametrize("factory", ["Flat", "SQ8", "HNSW32", "IVF16,SQ8", "IVF16,PQ16x4np"])
def test_an_index_is_mapped_and_not_read_into_memory(flat, tmp_path, factory):
    vectors.build(flat, vectors.empty(D, factory, ""), tmp_path / "index")
    opened = vectors.open_index(tmp_path / "index")
    assert str(tmp_path / "index") in Path("/proc/self/maps").read_text()
    assert opened.ntotal == N


@pytest.mark.parametrize(
    ("factory", "parameters", "recall"),
    [
        ("SQ8", "", 0.95),
        ("SQfp16", "", 0.99),
        ("HNSW32", "efSearch=256", 0.95),
        ("IVF16,Flat", "nprobe=16", 0.999),
        ("IVF16,SQ8", "nprobe=8", 0.5),
        ("IVF16,PQ16x4np", "nprobe=16", 0.2),
    ],
)
def test_approximate_indexes_find_most_of_it(
    flat, rows, queries, tmp_path, factory, parameters, recall
):
    vectors.build(flat, vectors.empty(D, factory, parameters), tmp_path / "index")
    index = vectors.open_index(tmp_path / "index")
    assert index.ntotal == N
    assert vectors.inner_product(index)
    _, found = index.search(queries, 10)
    assert overlap(brute_force(rows, queries, 10)[1], found) >= recall


def test_two_builds_of_an_index_are_the_same_bytes(flat, tmp_path):
    for name in ("one", "two"):
        vectors.build(flat, vectors.empty(D, "IVF16,SQ8", ""), tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_encoder(tmp_path_factory.mktemp("encoder"), TEXTS)


def by_the_recipe(folder, text, max_length):
    """One text, no padding: mean of the last hidden states, divided by its norm."""
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)
    ids = tokenizer(text, truncation=True, max_length=max_length, return_tensors="pt")
    with torch.no_grad():
        hidden = model(**ids).last_hidden_state[0]
    mean = hidden.mean(0)
    return (mean / mean.norm()).numpy(), hidden.numpy()


def test_e5s_conventions_are_prefix_mean_and_norm(folder):
    encoder = Encoder.load(Encoding(encoder=str(folder), query_tokens=32, passage_tokens=64))
    queries, passages = encoder.queries(TEXTS), encoder.passages(TEXTS)
    assert queries.dtype == np.float32
    for row, text in enumerate(TEXTS):
        query, _ = by_the_recipe(folder, f"query: {text}", 32)
        passage, _ = by_the_recipe(folder, f"passage: {text}", 64)
        assert np.allclose(queries[row], query, atol=1e-5)
        assert np.allclose(passages[row], passage, atol=1e-5)
    assert np.allclose(np.linalg.norm(queries, axis=1), 1, atol=1e-5)


def test_other_conventions_can_be_told(folder):
    settings = Encoding(
        encoder=str(folder), query_prefix="", passage_prefix="", pooling="cls", normalise=False
    )
    found = Encoder.load(settings).passages(TEXTS)
    for row, text in enumerate(TEXTS):
        _, hidden = by_the_recipe(folder, text, 256)
        assert np.allclose(found[row], hidden[0], atol=1e-5)
    pooled = Encoder.load(settings.model_copy(update={"pooling": "pooler"})).queries(TEXTS)
    assert not np.allclose(pooled, found, atol=1e-2)
