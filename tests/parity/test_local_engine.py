"""The local engine against plain forward passes of the same model."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from searchr2.engines.local import LocalEngine  # noqa: E402
from searchr2.ports import Generate, Score  # noqa: E402
from searchr2.tags import STOPS  # noqa: E402
from tests.fakes import ByteCodec  # noqa: E402


@pytest.fixture(scope="module")
def model():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=ByteCodec.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return Qwen2ForCausalLM(config).eval()


def plain_logprobs(model, ids, start, temperature=1.0):
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0] / temperature
    logp = torch.log_softmax(logits.float(), dim=-1)
    return [float(logp[t - 1, ids[t]]) for t in range(start, len(ids))]


def request(ids, temperature=1.0, tokens=20, key=(1, 2, 3)):
    return Generate(tuple(ids), tokens, STOPS, temperature, key)


def test_log_probabilities_of_ragged_samples_equal_those_of_a_plain_forward_pass(model):
    engine = LocalEngine(model, ByteCodec())
    prompts = [[5] * 3, [7, 8, 9, 10, 11] * 6, list(range(40)), [5] * 3]
    requests = [request(p, 0.7, key=(i,)) for i, p in enumerate(prompts)]
    for prompt, completion in zip(prompts, engine.generate(requests), strict=True):
        expected = plain_logprobs(model, [*prompt, *completion.ids], len(prompt), 0.7)
        assert completion.logprobs == pytest.approx(expected, abs=2e-5)


def test_greedy_tokens_are_the_argmax_of_a_plain_forward_pass(model):
    [completion] = LocalEngine(model, ByteCodec()).generate([request(range(30), 0.0)])
    ids = list(range(30)) + list(completion.ids)
    with torch.no_grad():
        best = model(input_ids=torch.tensor([ids])).logits[0].argmax(-1).tolist()
    assert list(completion.ids) == best[29:-1]


def test_a_sample_depends_on_its_key_and_not_on_its_batch(model):
    alone = LocalEngine(model, ByteCodec()).generate([request(range(9), key=(4,))])
    others = [request(range(n, 50), key=(n,)) for n in range(5)]
    beside = LocalEngine(model, ByteCodec()).generate([*others, request(range(9), key=(4,))])
    assert alone[0].ids == beside[-1].ids
    assert (
        alone[0].ids
        != LocalEngine(model, ByteCodec()).generate([request(range(9), key=(5,))])[0].ids
    )


def test_a_cached_prefix_changes_no_token_and_is_not_computed_again(model):
    engine = LocalEngine(model, ByteCodec())
    first = list(range(37))
    [turn] = engine.generate([request(first)])
    longer = [*first, *turn.ids, 1, 2, 3]
    entry, kept = engine.prefixes.match(longer)
    assert entry is not None
    assert kept >= len(first) + len(turn.ids) - 9
    cached = engine.generate([request(longer, key=(9,)), request(longer[:30], key=(8,))])
    fresh = LocalEngine(model, ByteCodec())
    assert [c.ids for c in cached] == [
        c.ids for c in fresh.generate([request(longer, key=(9,)), request(longer[:30], key=(8,))])
    ]


def test_scores_of_options_of_one_and_of_several_tokens_equal_a_plain_forward_pass(model):
    prompt = tuple(range(25))
    options = ((48,), (49,), (49, 48))
    engine = LocalEngine(model, ByteCodec())
    engine.generate([request(prompt)])
    [scores] = engine.score([Score(prompt, options)])
    for option, score in zip(options, scores, strict=True):
        assert score == pytest.approx(
            plain_logprobs(model, [*prompt, *option], len(prompt)), abs=2e-5
        )


def test_refresh_forgets_every_prefix(model):
    engine = LocalEngine(model, ByteCodec())
    engine.generate([request(range(25))])
    assert engine.prefixes.match(range(25))[1] > 0
    engine.refresh()
    assert engine.prefixes.match(range(25)) == (None, 0)
