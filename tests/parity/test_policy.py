"""An update under DeepSpeed against plain torch, and a checkpoint against never having stopped."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("deepspeed")

from searchr2.config import Deepspeed, Updates  # noqa: E402
from searchr2.training.deepspeed_json import for_updates  # noqa: E402
from searchr2.training.policy import Policy  # noqa: E402

NORM, DECAY, BETA2 = 0.5, 0.1, 0.95
RATES = (1e-3, 3e-3, 2e-3, 5e-4)


def settings(stage):
    """DeepSpeed's, for the optimizer of these tests."""
    updates = Updates(weight_decay=DECAY, adam_beta2=BETA2)
    return for_updates(Deepspeed(zero_stage=stage), updates) | {"gradient_clipping": NORM}


def network(seed=0):
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 3))


def batches(step, parts=1):
    """The (inputs, targets) of a step, in so many micro-batches."""
    generator = torch.Generator().manual_seed(100 + step)
    inputs = torch.randn(8, 6, generator=generator)
    targets = torch.randn(8, 3, generator=generator)
    return list(zip(inputs.chunk(parts), targets.chunk(parts), strict=True))


def loss(model, batch):
    """The micro-batch's share of the mean over all eight rows."""
    inputs, targets = batch
    return (model(inputs) - targets).square().sum() / 8


@pytest.fixture(params=[0, 1], ids=["stage 0", "ZeRO 1"])
def policy_of(request):
    """Makes policies; the process group they share stays, since DeepSpeed makes no second one."""
    made = []

    def make(model=None):
        made.append(Policy(model or network(), settings(request.param)))
        return made[-1]

    yield make
    for policy in made:
        policy.engine.destroy()


def weights(policy):
    return [p.detach().clone() for p in policy.model.parameters()]


def plain(steps):
    """The same updates by torch alone: weights after each, with loss and norm before clipping."""
    model = network()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, BETA2), weight_decay=DECAY
    )
    seen = []
    for step, rate in enumerate(RATES[:steps]):
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        value = loss(model, batches(step)[0])
        value.backward()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), NORM)
        optimizer.step()
        seen.append((copy.deepcopy(list(model.parameters())), float(value.detach()), float(norm)))
    return seen


def test_updates_equal_those_of_plain_torch(policy_of):
    policy = policy_of()
    for step, (expected, value, norm) in enumerate(plain(4)):
        got, got_norm = policy.update(batches(step), loss, RATES[step])
        assert got == pytest.approx(value, rel=1e-5)
        assert got_norm == pytest.approx(norm, rel=1e-4)
        for ours, theirs in zip(weights(policy), expected, strict=True):
            torch.testing.assert_close(ours, theirs.detach(), atol=1e-6, rtol=1e-5)


def test_gradients_are_clipped_and_their_norm_is_reported_from_before(policy_of):
    *_, (_, _, norm) = plain(1)
    assert norm > NORM
    assert policy_of().update(batches(0), loss, 1e-3)[1] == pytest.approx(norm, rel=1e-4)


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_an_update_over_micro_batches_is_that_of_the_whole_batch(policy_of, parts):
    whole = policy_of()
    losses = [whole.update(batches(step), loss, RATES[step]) for step in range(3)]
    expected = weights(whole)
    split = policy_of()
    for step in range(3):
        got = split.update(batches(step, parts), loss, RATES[step])
        assert got == pytest.approx(losses[step], rel=1e-4)
    for ours, theirs in zip(weights(split), expected, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-5)


def test_a_restored_policy_goes_on_bit_by_bit_as_if_never_stopped(policy_of, tmp_path):
    policy = policy_of()
    for step in range(2):
        policy.update(batches(step, 2), loss, RATES[step])
    policy.save(tmp_path)
    undisturbed = [policy.update(batches(step, 2), loss, RATES[step]) for step in (2, 3)]
    expected = weights(policy)
    restored = policy_of(network(seed=1))
    restored.load(tmp_path)
    assert [restored.update(batches(s, 2), loss, RATES[s]) for s in (2, 3)] == undisturbed
    assert all(torch.equal(a, b) for a, b in zip(weights(restored), expected, strict=True))


def test_saving_leaves_the_policy_as_it_was(policy_of, tmp_path):
    policy = policy_of()
    policy.update(batches(0), loss, RATES[0])
    before = weights(policy)
    policy.save(tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(weights(policy), before, strict=True))


def test_two_runs_of_the_same_updates_give_the_same_bits(policy_of):
    ends = []
    for _ in range(2):
        policy = policy_of()
        for step in range(3):
            policy.update(batches(step, 4), loss, RATES[step])
        ends.append(weights(policy))
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))
