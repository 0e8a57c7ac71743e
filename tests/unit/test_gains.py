"""The terms of the gain: exact in an enumerated world, honest in a sampled one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy import SEARCHES, TURNS, enumerated, policy, reward, ways

from searchr2.gains.terms import Drafts, Estimate, estimate, quantities, rejected, unconditional
from searchr2.randomness import generator

EXACT = 1e-9


@pytest.fixture(params=[False, True], ids=["accepts or not", "accepts with a probability"])
def world(request):
    return enumerated(soft=request.param)


def test_over_all_drafts_the_terms_sum_to_the_gain_of_the_mixture_policy(world):
    terms = unconditional(world.drafts, world.weight_RN)
    assert abs(world.gain) > 0.01
    assert terms.total == pytest.approx([world.gain], abs=EXACT)
    corrected = world.weight_RN @ (world.drafts.corrected_N - world.drafts.reward_N)
    assert terms.a_prec + terms.v_inter * corrected == pytest.approx([world.gain], abs=EXACT)
    assert terms.s_trim + terms.gbar == pytest.approx(corrected, abs=EXACT)


def test_over_rejected_drafts_two_terms_are_the_whole_gain(world):
    assert rejected(world.drafts, world.weight_RN).total == pytest.approx([world.gain], abs=EXACT)


def test_selection_precision_added_to_the_rejected_terms_counts_it_twice(world):
    precision = unconditional(world.drafts, world.weight_RN).a_prec
    twice = precision + rejected(world.drafts, world.weight_RN).total
    assert precision > 0.005
    assert twice - world.gain == pytest.approx(precision, abs=EXACT)
    assert not hasattr(rejected(world.drafts, world.weight_RN), "a_prec")


def test_the_same_policy_within_the_same_budget_has_no_baseline_gain(world):
    gain_RK = world.weight_RN @ world.drafts.gain_NK
    assert gain_RK == pytest.approx(np.zeros((1, TURNS)), abs=EXACT)
    assert unconditional(world.drafts, world.weight_RN).gbar == pytest.approx([0], abs=EXACT)


def test_over_rejected_drafts_the_baseline_is_the_largest_term():
    world = enumerated()
    terms = rejected(world.drafts, world.weight_RN)
    assert terms.gbar[0] > abs(terms.s_trim[0]) > EXACT


def test_turns_given_back_after_a_cut_are_a_baseline_gain():
    """A last turn that may still be used makes every regeneration better than its draft."""
    world = enumerated()
    fresh = np.zeros_like(world.drafts.value_NK)
    for n, (hard, state) in enumerate(world.states):
        for kept in range(len(state)):
            ends = ways(hard, state[:kept])
            again = sum(
                p * policy(hard, ("north", "north"))["gold"]
                for p, end in ends
                if end[-1] in SEARCHES
            )
            fresh[n, kept] = sum(p * reward(end) for p, end in ends) + again
    drafts = Drafts(
        world.drafts.reward_N, world.drafts.accept_N, world.drafts.steps_N,
        world.drafts.trimmer_NK, fresh,
    )  # fmt: skip
    assert unconditional(drafts, world.weight_RN).gbar[0] > 0.01


def test_the_table_has_each_convention_in_columns_of_its_own():
    world = enumerated()
    found = quantities(world.drafts, world.weight_RN)
    assert list(found) == [
        "alpha", "R", "J_trim", "V_0", "V_1", "V_2", "A_prec", "V_inter", "S_trim", "Gbar",
        "delta_J_sum", "S_rej", "Gbar_rej", "delta_J_rejected_sum",
    ]  # fmt: skip
    assert found["V_0"] == pytest.approx(found["R"])
    assert found["alpha"] + found["V_inter"] == pytest.approx([1])


CHANCE = st.floats(0, 1)
DRAFT = st.tuples(CHANCE, CHANCE, st.lists(CHANCE, min_size=3, max_size=3), st.integers(0, 3))


@given(st.lists(DRAFT, min_size=1, max_size=6))
def test_the_sums_hold_on_any_sample_which_is_why_they_prove_nothing(rows):
    steps_N = np.array([steps for *_, steps in rows])
    values_NK = np.array([values for _, _, values, _ in rows])
    trimmer_NK = (np.arange(3) < steps_N[:, None]) / np.maximum(steps_N, 1)[:, None]
    reward_N, accept_N = (np.array([row[i] for row in rows]) for i in (0, 1))
    drafts = Drafts(reward_N, accept_N, steps_N, trimmer_NK, values_NK)
    weight_RN = np.full((1, len(rows)), 1 / len(rows))
    gain = np.mean((1 - accept_N) * (drafts.corrected_N - reward_N))
    assert unconditional(drafts, weight_RN).total == pytest.approx([gain], abs=EXACT)
    if (1 - accept_N).sum() > 1e-6:
        assert rejected(drafts, weight_RN).total == pytest.approx([gain], abs=EXACT)


def simulated(world, questions, each, regenerations, draws):
    """What a sampler would bring home: drafts and lifts of questions, either of them as likely."""
    weights = world.weight_RN[0]
    by_kind = [
        np.array([kind == hard for kind, _ in world.states]) * weights * 2 for hard in (0, 1)
    ]
    kinds = draws.integers(2, size=questions)
    question_N = np.repeat(np.arange(questions), each)
    all_ = world.drafts

    def pick():
        return np.array([draws.choice(len(weights), p=by_kind[kinds[q]]) for q in question_N])

    n = pick()
    values_NK = draws.binomial(regenerations, all_.value_NK[n]) / regenerations
    drafts = Drafts(
        all_.reward_N[n], all_.accept_N[n], all_.steps_N[n], all_.trimmer_NK[n], values_NK
    )
    n = pick()
    kept = np.array([draws.choice(TURNS, p=p) for p in all_.trimmer_NK[n]])
    again = draws.random(len(n)) < all_.value_NK[n, kept]
    lift_M = np.where(all_.accept_N[n] > 0, 0.0, again - all_.reward_N[n])
    return drafts, question_N, lift_M, question_N


def test_estimates_are_right_on_average_and_their_errors_say_how_far_off_they_are():
    world, draws = enumerated(), generator(5)
    exact = {
        name: float(value[0]) for name, value in quantities(world.drafts, world.weight_RN).items()
    }
    exact |= {"delta_J": world.gain, "residual": 0.0}
    runs = [estimate(*simulated(world, 60, 2, 2, draws)) for _ in range(150)]
    for name, truth in exact.items():
        values = np.array([run[name].value for run in runs])
        errors = np.array([run[name].error for run in runs])
        assert abs(values.mean() - truth) < 4 * values.std() / math.sqrt(len(runs)) + 0.002, name
        assert 0.8 < errors.mean() / values.std() < 1.25, name
        assert 0.88 < np.mean(np.abs(values - truth) < 2 * errors) <= 1, name


def test_a_larger_sample_is_nearer_and_says_so():
    world = enumerated()
    small, large = (
        {
            name: found.error or 0.0
            for name, found in estimate(*simulated(world, questions, 4, 2, generator(3))).items()
        }
        for questions in (40, 640)
    )
    for name in ("alpha", "R", "A_prec", "S_trim", "delta_J_sum", "delta_J", "residual"):
        assert large[name] == pytest.approx(small[name] / 4, rel=0.35), name


def sample(rewards, questions, lifts=None):
    count = len(rewards)
    drafts = Drafts(
        np.array(rewards, dtype=float), np.ones(count), np.ones(count, dtype=int),
        np.ones((count, 1)), np.zeros((count, 1)),
    )  # fmt: skip
    question_N = np.array(questions)
    lift_M = np.zeros(count) if lifts is None else np.array(lifts, dtype=float)
    return drafts, question_N, lift_M, question_N


def test_the_error_of_a_mean_is_s_over_the_root_of_the_questions():
    rewards = [1, 0, 0, 1, 1]
    found = estimate(*sample(rewards, range(5), rewards))
    for name in ("R", "delta_J"):
        assert found[name].value == pytest.approx(0.6)
        assert found[name].error == pytest.approx(np.std(rewards, ddof=1) / math.sqrt(5))


def test_drafts_of_one_question_are_left_out_together():
    once = estimate(*sample([1, 0, 0, 1], range(4)))
    again = estimate(*sample([1, 0, 0, 1] * 3, [0, 1, 2, 3] * 3))
    assert again["R"].value == once["R"].value
    assert again["R"].error == pytest.approx(once["R"].error)


def test_where_nothing_is_rejected_the_rejected_terms_are_absent_and_the_gain_is_0():
    found = estimate(*sample([1, 0, 1], range(3)))
    assert found["S_rej"] == found["Gbar_rej"] == Estimate(None, None)
    assert found["delta_J_rejected_sum"] == Estimate(None, None)
    assert found["V_inter"] == found["delta_J_sum"] == Estimate(0.0, 0.0)


def test_what_rests_on_one_question_has_no_error():
    drafts, question_N, lift_M, question_M = sample([1, 0, 1], range(3))
    one = Drafts(
        drafts.reward_N, np.array([1.0, 0.0, 1.0]), drafts.steps_N,
        drafts.trimmer_NK, drafts.value_NK,
    )  # fmt: skip
    found = estimate(one, question_N, lift_M, question_M)
    assert found["Gbar_rej"] == Estimate(0.0, None)
    assert found["V_inter"].error == pytest.approx(1 / 3)
    assert estimate(*sample([1], [0]))["R"] == Estimate(1.0, None)


def test_a_draft_without_steps_stays_as_it_is():
    drafts = Drafts(
        np.array([0.0, 1.0]), np.array([1.0, 0.0]), np.array([0, 1]),
        np.array([[0.0], [1.0]]), np.array([[0.0], [0.5]]),
    )  # fmt: skip
    assert drafts.corrected_N.tolist() == [0.0, 0.5]
    assert quantities(drafts, np.array([[0.5, 0.5]]))["V_0"].tolist() == [0.5]
