"""Mini-batches dealt out among processes, as one process of two sees it; and adapters."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("deepspeed")

from several import CASES, network, trainer  # noqa: E402

from searchr2.config import ConfigError, Grpo, Lora  # noqa: E402
from searchr2.packing import Row, collate, imitation  # noqa: E402
from searchr2.training import lora, supervised  # noqa: E402
from searchr2.training.logprobs import tensors, token_logprobs  # noqa: E402
from searchr2.training.peers import ALONE, Peers  # noqa: E402
from searchr2.training.update import NOTHING, PEAK, Update  # noqa: E402
from searchr2.trajectory import Author, Span  # noqa: E402

CPU = torch.device("cpu")


class Beside(Peers):
    """One of two processes; of the other is known what it would say, in order."""

    def __init__(self, rank, *others):
        super().__init__(rank, 2, list(others))

    def gather(self, value):
        other = self.group.pop(0)
        return [value, other] if self.rank == 0 else [other, value]


def row(length):
    return Row((5,) * length, (True,) * length, (-1.0,) * length, 1.0, Author.ACTOR)


class Silent:
    device = CPU


def update(peers, **grpo):
    return Update(Silent(), None, Grpo(**grpo), 1.0, peers)  # type: ignore[arg-type]


def test_who_has_fewer_passes_fills_up_with_batches_of_nothing():
    peers = Beside(0, (300, 4))
    count, batches = update(peers, micro_batch_tokens=128).passes([row(100)] * 2)
    assert count == 500
    trained = [int(batch.loss_BT.sum()) for batch in batches]
    assert trained == [99, 99, 0, 0]  # a first token has nothing before it to be predicted from


def test_who_has_no_rollout_at_all_still_goes_along():
    count, batches = update(Beside(1, (300, 2))).passes([])
    assert (count, [int(batch.loss_BT.sum()) for batch in batches]) == (300, [0, 0])


def test_a_batch_of_nothing_has_a_loss_of_nothing_whose_gradient_reaches_every_weight():
    model = network()
    logp_BT, entropy = token_logprobs(model, tensors(NOTHING, CPU))
    logp_BT.sum().backward()
    assert float(entropy) == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters())


def test_mini_batches_deal_out_the_rows_of_all_processes_in_order(monkeypatch):
    """Of five rows, the other has two: ours are the third to the fifth."""
    dealt = []

    def passes(self, rows):
        dealt.append([len(r.ids) for r in rows])
        return 1, []

    monkeypatch.setattr(Update, "passes", passes)
    monkeypatch.setattr(Silent, "update", lambda *_: (0.0, 1.0), raising=False)
    peers = Beside(1, 2, ([{PEAK: 0.0}], 0))
    update(peers, updates_per_step=2).run([row(3), row(4), row(5)], 1e-3)
    assert dealt == [[3, 5], [4]]  # rows 1, 3, 5 and rows 2, 4 of all


@pytest.mark.parametrize("size", [None, 2])
@pytest.mark.parametrize("count", [1, 4, 5])
def test_supervised_processes_share_an_updates_rows_and_go_in_step(size, count):
    rows = [imitation([Span(Author.ACTOR, (7,) * (n + 2))]) for n in range(count)]
    each = [supervised.passes(rows, size, Peers(rank, 2)) for rank in range(2)]
    assert len(each[0]) == len(each[1])
    weighed = [
        tuple(batch.ids_BT[b][batch.valid_BT[b]])
        for batches in each
        for batch in batches
        for b in range(len(batch.ids_BT))
        if batch.advantage_B[b]
    ]
    assert weighed == [row.ids for row in rows]
    if size is None:
        assert {len(batches) for batches in each} == {1}


def test_a_supervised_loss_is_the_mean_over_all_however_it_is_split():
    rows = [
        imitation([Span(Author.ACTOR, tuple(range(9, 12 + n)))], float(n + 1)) for n in range(5)
    ]
    model, total = network(), supervised.total_weight(rows)

    def loss(batches):
        return sum(
            float(supervised.negative_log_likelihood(model, tensors(b, CPU), total))
            for b in batches
        )

    whole = loss([collate(rows)])
    split = [b for rank in range(2) for b in supervised.passes(rows, 2, Peers(rank, 2))]
    assert loss(split) == pytest.approx(whole, rel=1e-5)


# Adapters


@pytest.fixture
def batch():
    rows = [row(6), row(9)]
    return tensors(collate(rows), CPU)


def logprobs(model, batch):
    with torch.no_grad():
        return token_logprobs(model, batch)[0]


def test_new_adapters_change_nothing_and_alone_are_trained(batch):
    model = network()
    before = logprobs(model, batch)
    lora.add_adapters(model, Lora(rank=4), seed=1)
    torch.testing.assert_close(logprobs(model, batch), before)
    assert {name.split(".")[-3] for name, p in model.named_parameters() if p.requires_grad} == {
        "lora_A",
        "lora_B",
    }
    assert not hasattr(model.lm_head, "lora_A")


def test_merged_weights_say_what_the_adapted_model_says(batch):
    model = network()
    lora.add_adapters(model, Lora(rank=4, alpha=8), seed=1)
    generator = torch.Generator().manual_seed(3)
    for layer in lora.layers(model).values():
        layer.lora_B["default"].weight.data.normal_(0, 0.3, generator=generator)
    plain = network()
    weights = lora.merged(model)
    assert weights is not None
    plain.load_state_dict(weights)
    torch.testing.assert_close(logprobs(plain, batch), logprobs(model, batch), atol=1e-5, rtol=0)
    assert (logprobs(network(), batch) - logprobs(model, batch)).abs().max() > 0.1
    reference = lora.WithoutAdapters(model, model)
    torch.testing.assert_close(logprobs(reference, batch), logprobs(network(), batch))
    assert all(p.requires_grad for n, p in model.named_parameters() if "lora_" in n)


def test_adapters_begin_the_same_with_the_same_seed():
    first, second, other = network(), network(), network()
    for model, seed in ((first, 1), (second, 1), (other, 2)):
        lora.add_adapters(model, Lora(rank=2, targets=["q_proj"]), seed)
    key = "model.layers.0.self_attn.q_proj.lora_A.default.weight"
    assert torch.equal(first.state_dict()[key], second.state_dict()[key])
    assert not torch.equal(first.state_dict()[key], other.state_dict()[key])
    assert len(lora.layers(first)) == 2


def test_layers_that_do_not_exist_are_named():
    with pytest.raises(ConfigError, match=r"lora\.targets: .*q_prjo"):
        lora.add_adapters(network(), Lora(rank=2, targets=["q_prjo"]), 1)


def test_a_model_without_adapters_has_nothing_to_merge():
    assert lora.merged(network()) is None


# Memory against time


def test_activations_computed_again_give_the_same_update():
    ends = []
    for again in (False, True):
        one = trainer({"deepspeed": {"activation_checkpointing": again}}, ALONE)
        one.step(0)
        ends.append([p.detach().clone() for p in one.policy.model.parameters()])
        one.policy.engine.destroy()
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


def test_in_bf16_steps_too_small_for_it_are_not_lost():
    """Of 1e-6, when bf16 keeps three digits: each alone would be rounded away."""
    one = trainer(
        CASES["zero1-bf16"] | {"grpo": {"learning_rate": 1e-6, "warmup_ratio": 0.0}}, ALONE
    )
    before = [p.detach().clone() for p in one.policy.model.parameters()]
    rows = one.rows(one.roll_out(one.pick(0), 0))
    for step in range(60):
        one.update(rows, step)
        if step == 0:
            first = copy.deepcopy([p.detach() for p in one.policy.model.parameters()])
    moved = [
        sum(int((a != b).sum()) for a, b in zip(before, after, strict=True))
        for after in (first, list(one.policy.model.parameters()))
    ]
    one.policy.engine.destroy()
    assert moved[1] > 5 * moved[0]
