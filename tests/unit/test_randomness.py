"""Random numbers are a function of their key and of nothing else."""

from hypothesis import assume, given
from hypothesis import strategies as st

from searchr2.randomness import generator, stage_key

KEYS = st.lists(st.integers(0, 2**40), max_size=5).map(tuple)


def drawn(key):
    return tuple(generator(*key).integers(0, 2**62, size=2))


@given(KEYS)
def test_a_key_names_one_stream(key):
    before = drawn(key)
    generator(*key, 1).random(100)
    assert drawn(key) == before


@given(KEYS, KEYS)
def test_two_keys_name_two_streams(one, other):
    assume(one != other)
    assert drawn(one) != drawn(other)


def test_a_key_is_not_confused_with_one_that_goes_on_with_zeros():
    streams = {drawn(key) for key in ((), (0,), (0, 0), (1,), (1, 0), (0, 1), (1, 0, 0))}
    assert len(streams) == 7


def test_stages_of_a_seed_and_seeds_of_a_stage_draw_apart():
    names, seeds = ("rollout", "train-order", "validation", "demonstrations"), range(5)
    keys = [stage_key(seed, name) for name in names for seed in seeds]
    assert len({drawn(key) for key in keys}) == len(keys)


def test_numbers_are_the_same_on_every_machine():
    assert stage_key(1, "rollout") == (1, 1956693391)
    assert generator(1, 2, 3).random(3).round(6).tolist() == [0.825117, 0.525855, 0.854202]
