"""A training step is a function of the weights and of (seed, step), whatever ran before it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, repeat

import pytest
from rollouts import CODEC, Library, document, prompt_book

torch = pytest.importorskip("torch")

from searchr2.config import Grpo, Refiner, Rollout, TrainConfig, TrainPaths  # noqa: E402
from searchr2.engines.local import LocalEngine  # noqa: E402
from searchr2.judging.evidence import EvidenceJudge  # noqa: E402
from searchr2.rewards import Reward  # noqa: E402
from searchr2.training.loop import Trainer, learning_rate  # noqa: E402
from searchr2.trajectory import Author, MixedWeights, Question  # noqa: E402

QUESTIONS = [
    Question(f"q{n}", "nq", f"Where is town number {n}?", ("x",), ("Town",)) for n in range(5)
]


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
def trainer(model):
    return make(model)


def make(model, seed=1, **grpo):
    """A trainer whose policy is never updated here."""
    config = TrainConfig(
        run="r",
        seed=seed,
        backbone="b",
        paths=TrainPaths(model="", index="", train=[], validation=[]),
        rollout=Rollout(max_turn_tokens=30, max_turns=3, max_context_tokens=10_000),
        refiner=Refiner(margin=-1.0),
        grpo=Grpo(**({"prompts_per_step": 3, "group_size": 2} | grpo)),
    )
    return Trainer(
        config=config,
        policy=None,  # type: ignore[arg-type]
        reference=model,
        engine=LocalEngine(model, CODEC),
        retriever=Library({"a": [document("Town")]}),
        judge=EvidenceJudge(),
        prompts=prompt_book(),
        questions=QUESTIONS,
        validation=QUESTIONS,
    )


def traces(trainer, step):
    return [rollout.trace for rollout in trainer.roll_out(trainer.pick(step), step)]


def test_rollouts_are_the_same_to_the_bit_whatever_was_generated_before(trainer, model):
    fresh = traces(make(model), 3)
    trainer.validate()
    assert traces(trainer, 3) == fresh
    traces(trainer, 7)
    assert traces(trainer, 3) == fresh


class Watched(LocalEngine):
    """Remembers how many prefixes were cached when each batch came."""

    def generate(self, requests):
        self.seen = [*getattr(self, "seen", []), len(self.prefixes.entries)]
        return super().generate(requests)


def test_rollouts_find_no_prefix_that_a_resumed_run_would_not_have(trainer, model):
    trainer.engine = Watched(model, CODEC)
    trainer.validate()
    validation = len(trainer.engine.seen)
    traces(trainer, 0)
    assert trainer.engine.seen[validation] == 0
    assert max(trainer.engine.seen) > 0


def test_steps_and_seeds_roll_out_apart(trainer, model):
    assert traces(trainer, 1) != traces(trainer, 2)
    other = make(model, seed=2)
    questions = trainer.pick(1)
    assert [r.trace for r in other.roll_out(questions, 1)] != traces(trainer, 1)


def test_members_of_a_group_share_their_question_and_nothing_else(trainer):
    rollouts = trainer.roll_out(trainer.pick(0), 0)
    assert [r.question.id for r in rollouts[::2]] == [r.question.id for r in rollouts[1::2]]
    assert all(a.trace != b.trace for a, b in zip(rollouts[::2], rollouts[1::2], strict=True))


@pytest.mark.parametrize("method", ["direct", "cot"])
def test_r1_rolls_out_and_validates_without_anything_to_search(model, method):
    trainer = make(model)
    trainer.config = trainer.config.model_copy(update={"method": method})
    trainer.retriever = None
    for rollout in trainer.roll_out(trainer.pick(0), 0):
        [step] = rollout.trace.final.steps
        assert (step.query, rollout.trace.verdicts) == (None, ())
        assert rollout.trace.final.prompt == getattr(prompt_book(), method)(rollout.question.text)
    assert trainer.validate()["validation/em"] is not None


def test_every_question_comes_once_an_epoch(trainer):
    drawn = [q.id for step in range(10) for q in trainer.pick(step)]
    for epoch in range(6):
        assert Counter(drawn[5 * epoch : 5 * epoch + 5]) == Counter(q.id for q in QUESTIONS)
    assert drawn[:5] != drawn[5:10]


def test_the_questions_of_a_step_need_no_history(trainer, model):
    assert trainer.pick(7) == make(model).pick(7)
    assert [make(model, seed=s).pick(0) for s in range(8)] != [trainer.pick(0)] * 8


def test_all_rows_of_a_trace_carry_its_groups_advantage(trainer):
    rollouts = trainer.roll_out(trainer.pick(0), 0)
    rows = trainer.rows(rollouts)
    finals = [row for row in rows if row.author is Author.ACTOR]
    assert [row.ids for row in finals] == [r.trace.final.ids for r in rollouts]
    verdicts = sum(len(r.trace.verdicts) for r in rollouts)
    assert verdicts == len(rollouts)
    assert len(rows) == len(finals) + verdicts


def test_the_learning_rate_warms_up_and_stays():
    settings = Grpo(steps=10, warmup_ratio=0.3, learning_rate=0.3)
    rates = [learning_rate(settings, step) for step in range(10)]
    assert rates == pytest.approx([0.1, 0.2] + [0.3] * 8)
    assert learning_rate(Grpo(steps=10, warmup_ratio=0.0, learning_rate=0.3), 0) == 0.3


class Versions(LocalEngine):
    """Names the weights of each completion as it is told."""

    names: Iterator[str]

    def generate(self, requests):
        return [replace(c, version=next(self.names)) for c in super().generate(requests)]


def test_the_weights_that_wrote_a_step_stand_with_its_trajectories(trainer, model):
    trainer.engine = Versions(model, CODEC)
    trainer.engine.names = repeat("v3")
    trainer.rollouts = trainer.roll_out(trainer.pick(0), 0)
    assert {row["weights"] for row in trainer.transcripts()} == {"v3"}


def test_what_a_trajectory_earned_stands_with_it(trainer):
    first, second, *_ = trainer.roll_out(trainer.pick(0), 0)
    right, wrong = Reward(1.0, 0.5), Reward(0.0, None)
    trainer.rollouts = [replace(first, reward=right), replace(second, reward=wrong)]
    earned = [(row["process"], row["reward"]) for row in trainer.transcripts()]
    assert earned == [(0.5, 1.5), (None, 0.0)]


def test_a_step_whose_trajectories_come_from_different_weights_is_refused(trainer, model):
    trainer.engine = Versions(model, CODEC)
    trainer.engine.names = chain(["v3"], repeat("v4"))
    with pytest.raises(MixedWeights, match="v3"):
        trainer.roll_out(trainer.pick(0), 0)
