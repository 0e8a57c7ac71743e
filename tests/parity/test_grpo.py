"""GRPO's numbers against a hand computation and an independent implementation in numpy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import (
    CODEC,
    KEY,
    Library,
    actor,
    answer,
    document,
    meta_refiner,
    question,
    search,
    trajectory,
    verdict,
)

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from searchr2.config import Grpo  # noqa: E402
from searchr2.driver import drive  # noqa: E402
from searchr2.engines.local import LocalEngine  # noqa: E402
from searchr2.grpo import advantages, k3, surrogate  # noqa: E402
from searchr2.packing import Row, collate, flatten, micro_batches  # noqa: E402
from searchr2.training.logprobs import tensors, token_logprobs  # noqa: E402
from searchr2.trajectory import Author, Trace  # noqa: E402

SETTINGS = Grpo(clip=0.2, kl_coefficient=0.001)
CPU = torch.device("cpu")
REWARDS = st.lists(st.sampled_from([0.0, 1.0, 1.25, 4 / 3, 1.5, 2.0]), min_size=2, max_size=8)


@pytest.fixture(scope="module")
def model():
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=CODEC.vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.2,
    )
    return Qwen2ForCausalLM(config).eval()


@pytest.fixture
def rows():
    """Rows of eight traces of unlike length, evidence and verdicts among them."""
    made: list[Row] = []
    for n in range(8):
        found = (document("A", "x" * n),)
        y = trajectory(*[search("a" * n)] * (n % 3), answer("b" * (8 - n)), found=found)
        made += flatten(
            Trace(y, (verdict(n % 2),) * (n % 2)), (-1.0) ** n * (n + 1) / 4, joint=True
        )
    return made


# Advantages


def test_the_worked_example_of_advantages():
    assert advantages([1, 1, 0, 0, 0]) == pytest.approx([1.0954] * 2 + [-0.7303] * 3, abs=1e-4)
    assert advantages([0, 2]) == pytest.approx([-0.7071, 0.7071], abs=1e-4)


@given(REWARDS)
def test_advantages_are_the_rewards_normalised_in_their_group(rewards):
    array = np.array(rewards)
    expected = (array - array.mean()) / (array.std(ddof=1) + 1e-6)
    assert advantages(rewards) == pytest.approx(expected.tolist(), abs=1e-6)


@given(REWARDS)
def test_advantages_sum_to_nothing(rewards):
    assert sum(advantages(rewards)) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("reward", [0.0, 1.0, 4 / 3])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_a_group_of_equal_rewards_learns_nothing(reward, size):
    assert advantages([reward] * size) == pytest.approx([0.0] * size, abs=1e-9)


# The surrogate


def one(logp, old, reference, advantage, mask=True):
    """The terms of a batch of a single token."""
    logp, old, reference = (torch.tensor([[value]]) for value in (logp, old, reference))
    return surrogate(
        logp, old, reference, torch.tensor([advantage]), torch.tensor([[mask]]), SETTINGS
    )


@pytest.mark.parametrize(
    ("logp", "old", "advantage", "policy", "clipped"),
    [
        (-1.0, -1.0, 2.0, -2.0, 0),  # ratio 1
        (-1.0, -1.1, 2.0, -2.0 * math.exp(0.1), 0),  # ratio 1.105
        (-1.0, -1.2, 2.0, -2.4, 1),  # ratio 1.221 is held at 1.2
        (-1.0, -1.2, -1.0, math.exp(0.2), 0),  # but not where it lowers the objective
        (-1.0, -0.7, -1.0, 0.8, 1),  # ratio 0.741 is held at 0.8
        (-1.0, -0.7, 1.0, -math.exp(-0.3), 0),
    ],
)
def test_the_clipped_surrogate_of_one_token_by_hand(logp, old, advantage, policy, clipped):
    terms = one(logp, old, logp, advantage)
    assert float(terms.loss) == pytest.approx(policy, rel=1e-6)
    assert float(terms.clipped) == clipped
    assert float(terms.sampler_gap) == pytest.approx(abs(logp - old), rel=1e-5)


CAPPED = SETTINGS.model_copy(update={"importance_cap": 2.0})


def corrected(logp, old, own, advantage):
    """The terms of one token with truncated importance sampling."""
    logp, old, own = (torch.tensor([[value]]) for value in (logp, old, own))
    mask = torch.tensor([[True]])
    return surrogate(logp, old, logp, torch.tensor([advantage]), mask, CAPPED, own)


@pytest.mark.parametrize(
    ("logp", "old", "own", "advantage", "policy", "capped"),
    [
        (-1.0, -1.0, -1.0, 2.0, -2.0, 0),  # sampler and trainer agree
        (-1.0, -1.5, -1.0, 2.0, -2.0 * math.exp(0.5), 0),  # weight 1.649
        (-1.0, -3.0, -1.0, 2.0, -4.0, 1),  # weight 7.389 is cut off at 2
        (-1.0, -0.5, -1.0, -2.0, 2.0 * math.exp(-0.5), 0),  # a small one is not
        (-1.0, -1.3, -1.3, 1.0, -1.2, 0),  # the ratio is to the trainer's own, and clipped
    ],
)
def test_truncated_importance_sampling_of_one_token_by_hand(
    logp, old, own, advantage, policy, capped
):
    terms = corrected(logp, old, own, advantage)
    assert float(terms.loss) == pytest.approx(policy, rel=1e-6)
    assert float(terms.capped) == capped
    assert float(terms.sampler_gap) == pytest.approx(abs(own - old), abs=1e-6)


def test_without_it_nothing_is_weighed_and_nothing_capped():
    assert one(-1.0, -3.0, -1.0, 2.0).capped is None
    assert float(one(-1.0, -3.0, -1.0, 2.0).loss) == pytest.approx(-2.4)


def test_importance_weights_carry_no_gradient():
    logp = torch.tensor([[-1.0]], requires_grad=True)
    old, mask = torch.tensor([[-1.5]]), torch.tensor([[True]])
    terms = surrogate(logp, old, logp.detach(), torch.tensor([2.0]), mask, CAPPED)
    terms.loss.backward()  # -A * w * ratio, whose derivative at ratio 1 is the same
    assert logp.grad is not None
    assert float(logp.grad) == pytest.approx(-2.0 * math.exp(0.5), rel=1e-5)


def test_what_separates_sampler_and_trainer_is_measured_three_ways():
    logp = torch.tensor([[-1.0, -2.0, -9.0]])
    old = torch.tensor([[-1.1, -1.5, -1.0]])
    mask = torch.tensor([[True, True, False]])
    terms = surrogate(logp, old, logp, torch.tensor([1.0]), mask, SETTINGS)
    assert float(terms.sampler_gap) == pytest.approx(0.6)
    assert float(terms.sampler_gap_max) == pytest.approx(0.5)
    k = (math.exp(0.1) - 1 - 0.1) + (math.exp(-0.5) - 1 + 0.5)  # KL(sampler || trainer)
    assert float(terms.sampler_kl) == pytest.approx(k, rel=1e-4)


def test_the_kl_penalty_of_one_token_by_hand():
    terms = one(-1.0, -1.0, -1.5, 0.0)
    k = math.exp(-0.5) - 1 + 0.5  # 0.1065
    assert float(terms.kl) == pytest.approx(k, rel=1e-5)
    assert float(terms.loss) == pytest.approx(0.001 * k, rel=1e-5)


def test_k3_estimates_the_kl_divergence_without_bias():
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.4, 0.2])
    log_ratio = torch.from_numpy(np.log(p / q))
    estimates = k3(log_ratio).numpy()
    assert (estimates >= 0).all()
    assert p @ estimates == pytest.approx(p @ np.log(p / q))
    assert float(k3(torch.tensor(0.0))) == 0.0


def in_numpy(logp, old, reference, advantage, mask, clip, beta):
    """Loss, its gradient in logp, and the summed KL, token by token."""
    loss, kl, gradient = 0.0, 0.0, np.zeros_like(logp)
    for b, t in zip(*np.nonzero(mask), strict=True):
        ratio = np.exp(logp[b, t] - old[b, t])
        free, held = ratio * advantage[b], np.clip(ratio, 1 - clip, 1 + clip) * advantage[b]
        x = logp[b, t] - reference[b, t]
        loss += -min(free, held) + beta * (np.exp(-x) - 1 + x)
        kl += np.exp(-x) - 1 + x
        gradient[b, t] = -(free if free <= held else 0.0) + beta * (1 - np.exp(-x))
    return loss, gradient, kl


@given(st.integers(0, 10**6), st.floats(0.05, 0.5), st.floats(0, 0.5))
def test_loss_and_gradient_equal_an_independent_implementation(seed, clip, beta):
    rng = np.random.default_rng(seed)
    logp, old, reference = (-rng.exponential(1.0, (3, 7)) for _ in range(3))
    advantage, mask = rng.normal(size=3), rng.random((3, 7)) < 0.6
    loss, gradient, kl = in_numpy(logp, old, reference, advantage, mask, clip, beta)
    leaf = torch.from_numpy(logp).requires_grad_()
    constants = (torch.from_numpy(array) for array in (old, reference, advantage, mask))
    old, reference, advantage, mask = constants
    settings = Grpo(clip=clip, kl_coefficient=beta)
    terms = surrogate(leaf, old, reference, advantage, mask, settings)
    terms.loss.backward()
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9, abs=1e-9)
    assert float(terms.kl) == pytest.approx(kl, rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(leaf.grad.numpy(), gradient, rtol=1e-8, atol=1e-10)


def test_what_is_not_trained_moves_nothing_whatever_stands_there():
    rng = np.random.default_rng(0)
    mask = torch.from_numpy(rng.random((2, 9)) < 0.5)
    logp, old, reference = (torch.from_numpy(-rng.exponential(1.0, (2, 9))) for _ in range(3))
    advantage = torch.tensor([1.0, -1.0])
    before = surrogate(logp, old, reference, advantage, mask, SETTINGS)
    leaf = logp.masked_fill(~mask, 0.0).requires_grad_()
    old, reference = old.masked_fill(~mask, -700.0), reference.masked_fill(~mask, -1400.0)
    after = surrogate(leaf, old, reference, advantage, mask, SETTINGS)
    after.loss.backward()
    assert float(after.loss.detach()) == float(before.loss)
    assert float(after.sampler_gap) == float(before.sampler_gap)
    assert leaf.grad[~mask].abs().max() == 0
    assert leaf.grad[mask].abs().min() > 0


# From a model's logits


class Table(nn.Module):
    """A model whose logits are its parameters, so that a gradient shows where the loss looks."""

    def __init__(self, batch):
        super().__init__()
        torch.manual_seed(0)
        self.logits_BTV = torch.nn.Parameter(torch.randn(*batch.ids_BT.shape, CODEC.vocab_size))

    def forward(self, logits_to_keep, **_):
        from types import SimpleNamespace

        return SimpleNamespace(logits=self.logits_BTV[:, logits_to_keep])


def step_loss(model, batch, count, temperature=1.0):
    """A mini-batch's share of Eq. 2, against a reference of constant log-probability."""
    logp_BT, _ = token_logprobs(model, batch, temperature)
    reference_BT = torch.full_like(logp_BT, -3.0)
    terms = surrogate(
        logp_BT, batch.old_logp_BT, reference_BT, batch.advantage_B, batch.loss_BT, SETTINGS
    )
    return terms.loss / count


def test_no_gradient_reaches_evidence_prompts_or_padding(rows):
    arrays = collate(rows)
    batch = tensors(arrays, CPU)
    table = Table(batch)
    step_loss(table, batch, arrays.loss_tokens).backward()
    reached_BT = table.logits_BTV.grad.abs().sum(-1) > 0
    predicts_trained_BT = torch.from_numpy(np.roll(arrays.loss_BT, -1, axis=1))
    assert torch.equal(reached_BT, predicts_trained_BT)
    environment = [
        row.ids[i]
        for row in rows
        for i in range(len(row.ids))
        if row.author is Author.ACTOR and not row.mask[i]
    ]
    assert environment.count(ord("x")) > 10
    assert int(reached_BT.sum()) == arrays.loss_tokens


def plain(model, batch, temperature):
    """log p of every token by the shortest way: all logits, one row at a time, no padding."""
    rows = []
    for ids, valid in zip(batch.ids_BT, batch.valid_BT, strict=True):
        logits = model(input_ids=ids[valid][None]).logits[0, :-1].float() / temperature
        logp = torch.log_softmax(logits, -1).gather(1, ids[valid][1:, None]).squeeze(1)
        rows.append(torch.nn.functional.pad(logp, (0, len(ids) - 1 - len(logp))))
    return torch.stack(rows)


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_token_log_probabilities_equal_those_from_all_logits(model, rows, temperature):
    actors = [row for row in rows if row.author is Author.ACTOR]
    batch = tensors(collate(actors), CPU)
    logp_BT, _ = token_logprobs(model, batch, temperature)
    expected_BT = plain(model, batch, temperature).where(batch.loss_BT, 0.0)
    torch.testing.assert_close(logp_BT, expected_BT, atol=2e-5, rtol=1e-4)
    model.zero_grad()
    logp_BT.sum().backward()
    gradients = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected_BT.sum().backward()
    for ours, p in zip(gradients, model.parameters(), strict=True):
        torch.testing.assert_close(ours, p.grad, atol=2e-3, rtol=1e-3)


def test_entropy_is_that_of_the_trained_tokens_distributions(model, rows):
    batch = tensors(collate(rows), CPU)
    _, entropy = token_logprobs(model, batch)
    with torch.no_grad():
        logits = model(input_ids=batch.ids_BT, attention_mask=batch.valid_BT.long()).logits[:, :-1]
    each_BT = torch.distributions.Categorical(logits=logits.float()).entropy()
    assert float(entropy) == pytest.approx(float(each_BT[batch.loss_BT].sum()), rel=1e-5)


def gradients(model, batches, count):
    model.zero_grad()
    total = 0.0
    for batch in batches:
        loss = step_loss(model, tensors(batch, CPU), count)
        loss.backward()
        total += float(loss.detach())
    return total, [p.grad.clone() for p in model.parameters()]


def test_how_rows_are_split_into_micro_batches_changes_no_gradient(model, rows):
    count = sum(sum(row.mask) for row in rows)
    loss, whole = gradients(model, [collate(rows)], count)
    splits = [
        [collate([row]) for row in rows],
        list(micro_batches(rows, 600)),
        [collate(rows[:3]), collate(rows[3:])],
    ]
    for split in splits:
        assert len(split) > 1
        parts_loss, parts = gradients(model, split, count)
        assert parts_loss == pytest.approx(loss, rel=1e-5)
        for one_, other in zip(whole, parts, strict=True):
            torch.testing.assert_close(one_, other, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_the_trainer_finds_the_log_probabilities_the_engine_sampled_with(model, temperature):
    """Over searched evidence, cuts and verdicts: before the first update the ratio is 1."""
    policy = actor(temperature=temperature, max_turn_tokens=60)
    engine = LocalEngine(model, CODEC)
    procedures = [
        meta_refiner(policy, max_revisions=2, margin=-2.0).roll_out(question(), (*KEY, n))
        for n in range(12)
    ]
    traces = drive(procedures, engine, Library(), 3)
    assert any(trace.revised for trace in traces)
    packed = [row for trace in traces for row in flatten(trace, 1.0, joint=True)]
    assert {row.author for row in packed} == {Author.ACTOR, Author.REFINER}
    batch = tensors(collate(packed), CPU)
    with torch.no_grad():
        logp_BT, _ = token_logprobs(model, batch, temperature)
    torch.testing.assert_close(logp_BT, batch.old_logp_BT, atol=5e-5, rtol=1e-4)
