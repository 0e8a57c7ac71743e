"""What the estimator is fed: verdicts on every draft, regenerations from every cut, traces of q."""

import json
from collections import Counter
from dataclasses import asdict

import pytest
from rollouts import KEY, Library, actor, meta_refiner, question, run, verdict
from toy import TURNS, ChanceEngine, asked, enumerated, read
from toy import verdict as toy_verdict

from searchr2.config import Gains
from searchr2.driver import drive
from searchr2.gains.sampling import Sample, Sampler, examine, pick, trimmer
from searchr2.gains.terms import quantities
from searchr2.trajectory import Trajectory

QUESTIONS = [asked(i % 2) for i in range(60)]


def sampled(questions=QUESTIONS, engine=None, temperature=0.7, refiner=None, **settings):
    few = Gains(**({"drafts": 4, "regenerations": 2, "rollouts": 8} | settings))
    refiner = refiner or meta_refiner(actor(max_turns=TURNS, temperature=temperature))
    sampler = Sampler(refiner, None, engine or ChanceEngine(), Library(), 3, few, "step 0")
    return sampler.sample(questions)


@pytest.fixture(scope="module")
def engine():
    return ChanceEngine()


@pytest.fixture(scope="module")
def sample(engine):
    return sampled(engine=engine)


def test_every_quantity_is_within_its_error_of_the_enumerated_one(sample):
    world = enumerated()
    exact = {
        name: float(value[0]) for name, value in quantities(world.drafts, world.weight_RN).items()
    }
    found = sample.estimates(TURNS)
    assert set(found) == {*exact, "delta_J", "residual"}
    for name, truth in {**exact, "delta_J": world.gain, "residual": 0.0}.items():
        assert 0 < found[name].error < 0.1, name
        assert abs(found[name].value - truth) < 3 * found[name].error, name


def test_the_meta_refiner_is_asked_about_every_draft_and_its_trimmer_about_accepted_ones(sample):
    accepted = [draft for draft in sample.drafts if draft.accept]
    assert len(sample.drafts) == 4 * len(QUESTIONS)
    assert 0 < len(accepted) < len(sample.drafts)
    for draft in sample.drafts:
        assert len(draft.trimmer) == len(draft.regained) > 0
        assert sum(draft.trimmer) == pytest.approx(1)
        assert {len(rewards) for rewards in draft.regained} == {2}


def test_everything_is_sampled_at_the_training_temperature_with_a_key_of_its_own(engine, sample):
    assert {request.temperature for request in engine.generated} == {0.7}
    assert max(Counter(request.key for request in engine.generated).values()) == 1


def test_kept_steps_count_against_the_turns(engine, sample):
    """Whatever is kept, nobody writes a turn after the last."""
    lengths = {len(read(request.ids)[1]) for request in engine.generated}
    assert lengths == set(range(TURNS))


def test_regenerations_go_on_from_exactly_the_ids_that_were_kept():
    refiner = meta_refiner(actor(max_turns=TURNS))
    engine = ChanceEngine()
    sampled([asked(0)], engine, refiner=refiner, drafts=1, regenerations=5, rollouts=1)
    [score] = engine.scored[:1]
    state = read(score.ids)[1]
    drafted = [request.ids for request in engine.generated[: len(state)]]
    again = [r.ids for r in engine.generated[len(state) :] if r.ids in drafted]
    assert all(again.count(ids) >= 5 for ids in drafted)


def test_the_same_seed_gives_the_same_sample_and_another_one_does_not(sample):
    assert sampled() == sample
    assert sampled(batch_size=7) == sample
    assert sampled(seed=2) != sample


def test_traces_of_the_mixture_policy_are_other_trajectories_than_the_drafts(engine, sample):
    draws = Counter(request.key[1] for request in engine.generated)
    assert len(draws) == 3
    assert len(sample.lifts) == 8 * len(QUESTIONS)
    assert {lift for _, lift in sample.lifts} == {-1.0, 0.0, 1.0}


def test_a_sample_is_the_same_once_written_and_read(sample):
    again = Sample.of_json(json.loads(json.dumps(asdict(sample))))
    assert again == sample


def test_the_trimmer_is_what_the_meta_refiner_cuts_by():
    refiner = meta_refiner(actor(max_turns=TURNS))
    draft = next(
        y
        for n in range(99)
        for y, found in drive([examine(refiner, asked(0), (n,))], ChanceEngine(), Library(), 3)
        if found is not None and not found.accepts and len(y.steps) == TURNS
    )
    procedures = [refiner.judge(asked(0), draft, (*KEY, n)) for n in range(4000)]
    verdicts = drive(procedures, ChanceEngine(), Library(), 3)
    counts = Counter(v.choice - 1 for v in verdicts)
    for kept, share in enumerate(trimmer(verdicts[0], argmax=False)):
        assert counts[kept] / 4000 == pytest.approx(share, abs=0.03)


def test_a_trimmer_that_takes_the_argmax_is_certain():
    flawed = verdict(0)
    assert trimmer(flawed, argmax=True) == [1.0, 0.0]
    assert trimmer(flawed, argmax=False) == [0.5, 0.5]


def test_a_draft_without_steps_is_not_judged_and_counts_as_accepted():
    refiner = meta_refiner(actor(max_context_tokens=5))
    draft, found = run(examine(refiner, question(), KEY), [], [])
    assert (draft.steps, found) == ((), None)
    assert isinstance(draft, Trajectory)
    assert trimmer(found, argmax=False) == trimmer(found, argmax=True) == []
    sample = sampled([asked(0), asked(1)], refiner=refiner, drafts=1)
    assert [(d.accept, d.reward, d.regained) for d in sample.drafts] == [(1.0, 0.0, [])] * 2
    assert sample.estimates(TURNS)["delta_J_sum"].value == 0
    assert sample.estimates(TURNS)["V_0"].value is None


def test_verdicts_on_drafts_are_those_of_the_enumerated_world(engine, sample):
    judged = [read(request.ids)[1] for request in engine.scored[: len(sample.drafts)]]
    expected = Counter((float(toy_verdict(state)[0] >= 0.5), len(state)) for state in judged)
    assert Counter((draft.accept, len(draft.trimmer)) for draft in sample.drafts) == expected


def test_questions_are_drawn_by_the_seed_and_no_more_than_there_are():
    some = pick(QUESTIONS, Gains(questions=10))
    assert len(some) == 10
    assert some == pick(QUESTIONS, Gains(questions=10))
    assert some != pick(QUESTIONS, Gains(questions=10, seed=2))
    assert len(pick(QUESTIONS, Gains(questions=1000))) == len(QUESTIONS)
