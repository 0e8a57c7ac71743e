"""Intervals and paired tests against hand computations."""

import math
import time

import numpy as np
import pytest
from scipy.stats import binomtest

from searchr2.randomness import generator
from searchr2.statistics import (
    Interval,
    bootstrap,
    holm,
    macro_average,
    mcnemar,
    mcnemar_by_set,
    paired_bootstrap,
    resampled_averages,
    seed_deviation,
    seed_interval,
    wilson,
    wilson_of,
)


def half(questions):
    return np.arange(questions) % 2


def test_the_macro_average_weighs_sets_alike():
    assert macro_average({"large": [1, 1, 0, 0], "small": [1]}) == 0.75
    assert macro_average({"seeds": [[1, 0], [1, 1], [0, 0]]}) == 0.5


def test_a_set_without_questions_has_no_mean():
    with pytest.raises(ValueError, match="without questions"):
        macro_average({"empty": []})


def test_seed_deviation_is_that_of_the_averages():
    assert seed_deviation({"a": [[1, 0], [1, 1]]}) == pytest.approx(math.sqrt(0.125))
    balanced = {"a": [[1, 0], [1, 1]], "b": [[1, 1], [1, 0]]}
    assert seed_deviation(balanced) == 0.0
    assert seed_deviation({"a": [1, 0]}) is None


def test_the_interval_of_a_share_is_the_normal_one_at_200_questions():
    interval = bootstrap({"a": half(200)}, 4000)
    width = 1.96 * math.sqrt(0.25 / 200)
    assert interval.value == 0.5
    assert interval.low == pytest.approx(0.5 - width, abs=0.006)
    assert interval.high == pytest.approx(0.5 + width, abs=0.006)


def test_stratification_keeps_the_spread_between_sets_out():
    assert bootstrap({"all right": [1] * 9, "all wrong": [0] * 9}, 200) == Interval(0.5, 0.5, 0.5)
    seven = bootstrap({str(i): half(100) for i in range(7)}, 2000)
    width = 1.96 * math.sqrt(0.25 / 700)
    assert seven.high - seven.low == pytest.approx(2 * width, rel=0.06)


def test_seeds_are_averaged_before_questions_are_drawn():
    once = bootstrap({"a": half(50)}, 500)
    assert bootstrap({"a": [half(50), half(50), half(50)]}, 500) == once
    opposite = {"a": [half(50), 1 - half(50)]}
    assert bootstrap(opposite, 500) == Interval(0.5, 0.5, 0.5)


def test_the_same_samples_give_the_same_interval_and_set_order_changes_nothing():
    samples = {"a": half(40), "b": half(9)}
    assert bootstrap(samples, 300) == bootstrap(dict(reversed(samples.items())), 300)


def test_long_sets_are_drawn_in_pieces_without_a_seam(monkeypatch):
    whole = bootstrap({"a": half(100)}, 300)
    monkeypatch.setattr("searchr2.statistics._CHUNK", 700)
    assert bootstrap({"a": half(100)}, 300) == whole


def test_a_paired_difference_is_free_of_the_questions_difficulty():
    a = half(100)
    assert paired_bootstrap({"s": a}, {"s": a}, 300) == Interval(0.0, 0.0, 0.0)
    better = np.maximum(a, np.arange(100) < 10)  # right on five more questions
    gap = paired_bootstrap({"s": better}, {"s": a}, 2000)
    assert gap.value == pytest.approx(0.05)
    assert 0.01 <= gap.low < gap.value < gap.high <= 0.1
    unpaired = bootstrap({"s": better}, 2000)
    assert gap.high - gap.low < (unpaired.high - unpaired.low) / 2


def test_the_paired_difference_changes_sign_with_the_order():
    a, b = {"s": [1, 1, 0, 1]}, {"s": [0, 1, 0, 0]}
    gap, turned = paired_bootstrap(a, b, 500), paired_bootstrap(b, a, 500)
    assert (gap.value, turned.value) == (0.5, -0.5)
    assert (gap.low, gap.high) == pytest.approx((-turned.high, -turned.low))


def test_methods_are_compared_on_the_same_questions_only():
    with pytest.raises(ValueError, match="not the same sets"):
        paired_bootstrap({"a": [1]}, {"b": [1]}, 100)
    with pytest.raises(ValueError, match="2 questions cannot be paired with 1"):
        mcnemar({"a": [1, 0]}, {"a": [1]})


@pytest.mark.parametrize(
    ("wins", "losses", "p"),
    [(0, 0, 1.0), (1, 0, 1.0), (5, 1, 0.21875), (1, 5, 0.21875), (10, 0, 2 / 1024), (3, 3, 1.0)],
)
def test_mcnemar_is_the_exact_binomial_tail(wins, losses, p):
    a = [1] * wins + [0] * losses + [1, 0]
    b = [0] * wins + [1] * losses + [1, 0]
    assert mcnemar({"s": a}, {"s": b}) == pytest.approx(p)


def test_mcnemar_pools_sets_and_takes_many_questions():
    a, b = {"x": [1, 1, 1], "y": [1, 1, 0]}, {"x": [0, 0, 0], "y": [0, 0, 1]}
    assert mcnemar(a, b) == pytest.approx(0.21875)
    many = np.ones(30_000)
    assert mcnemar({"x": many}, {"x": 0 * many}) == 0.0


def test_with_seeds_a_question_falls_to_the_higher_mean():
    a = {"s": [[1, 1, 0], [1, 0, 0]]}  # means 1, 1/2, 0
    b = {"s": [1, 0, 1]}
    assert mcnemar(a, b) == mcnemar({"s": [1, 1, 0]}, {"s": [1, 0, 1]}) == 1.0


def test_two_thousand_resamples_of_700_questions_take_well_under_a_second():
    draw = generator(1)
    samples = {str(i): draw.random((3, 100)) < 0.4 for i in range(7)}
    began = time.perf_counter()
    bootstrap(samples, 2000)
    assert time.perf_counter() - began < 0.5


@pytest.mark.parametrize(("right", "questions"), [(50, 100), (0, 100), (10, 10), (3, 7), (58, 125)])
def test_the_interval_of_one_set_is_wilsons(right, questions):
    interval = wilson([1] * right + [0] * (questions - right))
    expected = binomtest(right, questions).proportion_ci(method="wilson")
    assert interval.value == right / questions
    assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high), abs=1e-7)


def test_bamboogles_125_questions_have_an_interval_of_about_9_points_on_either_side():
    interval = wilson_of(0.462, 125)
    assert (interval.high - interval.low) / 2 == pytest.approx(0.086, abs=0.0005)


def test_seeds_make_the_interval_of_a_set_no_narrower_than_one_seed_with_their_mean():
    assert wilson([half(50), half(50)]) == wilson(half(50))
    assert wilson([half(50), 1 - half(50)]) == wilson(half(50))


def test_holm_steps_down_as_by_hand():
    # sorted 0.01 0.02 0.03 0.04, times 4 3 2 1: 0.04 0.06 0.06 0.04, and none below the one before
    p = {"a": 0.03, "b": 0.01, "c": 0.04, "d": 0.02}
    assert holm(p) == pytest.approx({"a": 0.06, "b": 0.04, "c": 0.06, "d": 0.06})
    assert list(holm(p)) == list(p)


def test_holm_of_ten_p_values_by_hand():
    # of Benjamini and Hochberg (1995); times 10 down to 1, from the sixth on held up by the sixth
    p = [0.0001, 0.0004, 0.0019, 0.0095, 0.0201, 0.0278, 0.0298, 0.0344, 0.0459, 0.3240]
    adjusted = [0.001, 0.0036, 0.0152, 0.0665, 0.1206, 0.139, 0.139, 0.139, 0.139, 0.324]
    found = holm({str(i): value for i, value in enumerate(p)})
    assert list(found.values()) == pytest.approx(adjusted)


def test_holm_never_exceeds_one_and_leaves_a_single_test_alone():
    assert holm({"a": 0.6, "b": 0.7}) == {"a": 1.0, "b": 1.0}
    assert holm({"a": 0.03}) == {"a": 0.03}
    assert holm({}) == {}


def test_sets_are_tested_one_by_one_and_corrected_together():
    right, wrong = [1] * 6, [0] * 6
    a, b = {"x": right, "y": right, "z": right}, {"x": wrong, "y": right, "z": [0, *right[1:]]}
    # alone: x 2/64, y 1, z 1; the smallest is multiplied by three
    assert mcnemar_by_set(a, b) == pytest.approx({"x": 3 * 2 / 64, "y": 1.0, "z": 1.0})


def test_a_resample_draws_the_same_questions_for_every_method():
    a = half(60)
    averages = resampled_averages({"s": a}, 50) + resampled_averages({"s": 1 - a}, 50)
    assert averages == pytest.approx(np.ones(50))


def test_differences_of_1_2_and_3_points_have_students_interval():
    a = {"x": [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]], "y": [[0.51], [0.52], [0.53]]}
    b = {"x": [[1.0, 0.0]] * 3, "y": [[0.49], [0.48], [0.47]]}
    found = seed_interval(a, b)
    assert found is not None
    assert found.value == pytest.approx(0.02)
    half = 4.302653 * 0.01 / 3**0.5
    assert (found.low, found.high) == pytest.approx((0.02 - half, 0.02 + half), abs=1e-6)


def test_one_seed_of_a_method_meets_all_of_the_other_and_one_of_each_has_no_interval():
    found = seed_interval({"x": [[1.0], [0.0]]}, {"x": [[0.5]]})
    assert found is not None
    assert found.value == 0.0
    assert seed_interval({"x": [[1.0]]}, {"x": [[0.5]]}) is None
