"""Orders against orders: Spearman's rho by hand, its interval, and chance."""

import numpy as np
import pytest

from searchr2.ranks import agreement, spearman

SETS = ("nq", "bamboogle")


def method(right: int, questions: int = 40):
    """Both sets, right on the first ``right`` questions of each."""
    return {name: [1] * right + [0] * (questions - right) for name in SETS}


OURS = {"direct": method(2), "rag": method(12), "r1": method(24), "r2": method(26)}


def test_spearman_is_one_minus_six_squared_rank_differences():
    # d = 0 0 1 1: 1 - 6 x 2 / (4 x 15) = 0.8; turned round d = 3 1 1 3: 1 - 6 x 20 / 60 = -1
    rhos = spearman(np.array([[1.0, 2, 4, 3], [4, 3, 2, 1], [10, 20, 30, 40]]), [1, 2, 3, 4])
    assert rhos == pytest.approx([0.8, -1.0, 1.0])


def test_equal_values_share_their_rank():
    # ranks 1 2.5 2.5 4 and 1 2 3 4: 4.5 / sqrt(4.5 x 5)
    assert spearman(np.array([1.0, 5, 5, 9]), [1, 2, 3, 4]) == pytest.approx(4.5 / 22.5**0.5)
    assert np.isnan(spearman(np.array([2.0, 2, 2]), [1, 2, 3]))


def test_the_same_order_is_one_whatever_the_values():
    found = agreement(OURS, {"direct": 18.1, "rag": 30.4, "r1": 35.0, "r2": 40.4}, 500)
    assert found is not None
    assert (found.rho.value, found.methods) == (1.0, 4)
    assert found.chance == pytest.approx(1 / 24)


def test_the_interval_is_over_our_questions():
    reference = {"direct": 18.1, "rag": 30.4, "r1": 35.0, "r2": 40.4}
    near = OURS | {"r1": {name: [0, 1] * 20 for name in SETS}, "r2": method(21)}
    found = agreement(near, reference, 1000)
    assert found is not None
    # r1 and r2 lie a question apart, right on different ones: resamples turn them round
    assert (found.rho.low, found.rho.value, found.rho.high) == pytest.approx((0.8, 1.0, 1.0))
    assert agreement(near, reference, 1000) == found


def test_an_order_turned_round_is_no_better_than_any():
    found = agreement(OURS, {"direct": 4, "rag": 3, "r1": 2, "r2": 1}, 200)
    assert found is not None
    assert found.rho.value == -1.0
    assert found.chance == 1.0


def test_only_methods_both_sides_have_count_and_two_are_no_order():
    reference = {"direct": 18.1, "cot": 10.6, "rag": 30.4, "r2": 40.4}
    found = agreement(OURS, reference, 200)
    assert found is not None
    assert found.methods == 3
    assert agreement({name: OURS[name] for name in ("r1", "r2")}, reference, 200) is None
    same = {name: method(5) for name in OURS}
    assert agreement(same, reference, 200) is None


def test_many_methods_take_a_sample_of_the_orders():
    ours = {str(i): method(3 * i) for i in range(11)}
    found = agreement(ours, {str(i): float(i) for i in range(11)}, 100)
    assert found is not None
    assert 0 < found.chance < 0.001
