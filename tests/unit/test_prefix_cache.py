"""The prefix cache: what is shared is found, what is evicted forgotten, what collides noticed."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from searchr2.engines import cache  # noqa: E402
from searchr2.engines.cache import BLOCK, GrowingLayer, PrefixCache, growing_cache  # noqa: E402

PROMPT = tuple(range(3 * BLOCK))
LAYERS, HEADS, DIM = 2, 2, 4
BYTES = LAYERS * 2 * HEADS * DIM * 4
"""Bytes of the states of one id."""
ROOM = 10**9


def states(ids):
    """States that say which id they belong to."""
    return torch.tensor(ids, dtype=torch.float32)[None, None, None, :, None].repeat(
        LAYERS, 2, HEADS, 1, DIM
    )


def put(prefixes, ids):
    parent, _ = prefixes.match(ids)
    prefixes.store(ids, states(ids), parent)


def held(prefixes):
    return [entry.ids for entry in prefixes.entries]


def test_the_longest_shared_prefix_is_found_in_whole_blocks():
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    for shared in range(3 * BLOCK):
        ids = (*PROMPT[:shared], 999, 999)
        assert prefixes.match(ids)[1] == shared // BLOCK * BLOCK


def test_what_is_found_are_the_states_of_those_ids():
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    entry, kept = prefixes.match((*PROMPT, 1))
    assert entry is not None
    assert entry.states[0, 0, 0, :kept, 0].tolist() == list(PROMPT[:kept])


def test_the_last_id_is_always_computed_for_its_logits():
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    assert prefixes.match(PROMPT)[1] == 2 * BLOCK
    assert prefixes.match(PROMPT[: BLOCK + 1])[1] == BLOCK
    assert prefixes.match(PROMPT[:BLOCK])[1] == 0


def test_a_group_shares_its_prompt():
    prefixes = PrefixCache(ROOM)
    for member in range(4):
        put(prefixes, (*PROMPT, *[100 + member] * BLOCK))
    for member in range(4):
        assert prefixes.match((*PROMPT, *[100 + member] * BLOCK, 1))[1] == 4 * BLOCK
    assert prefixes.match((*PROMPT, 7))[1] == 3 * BLOCK


def test_a_turn_finds_its_past_and_replaces_it():
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    longer = (*PROMPT, *[5] * BLOCK)
    put(prefixes, longer)
    assert held(prefixes) == [longer]
    assert prefixes.used_bytes == len(longer) * BYTES
    assert prefixes.match((*longer, 6))[1] == 4 * BLOCK


def test_a_regenerated_suffix_finds_its_kept_prefix_after_the_draft_went_on():
    prefixes = PrefixCache(ROOM)
    draft = PROMPT
    for turn in range(3):
        draft = (*draft, *[50 + turn] * BLOCK)
        put(prefixes, draft)
    kept = draft[: 4 * BLOCK]
    assert prefixes.match((*kept, 999))[1] == 4 * BLOCK


def test_memory_stays_within_its_bound_and_the_oldest_go_first():
    prefixes = PrefixCache(max_bytes=5 * BLOCK * BYTES)
    sequences = [tuple(range(100 * n, 100 * n + 2 * BLOCK)) for n in range(6)]
    for ids in sequences:
        put(prefixes, ids)
        assert prefixes.used_bytes <= prefixes.max_bytes
    assert held(prefixes) == sequences[-2:]
    assert [prefixes.match((*ids, 1))[1] for ids in sequences] == [0] * 4 + [2 * BLOCK] * 2


def test_one_sequence_is_kept_even_where_it_alone_is_over_the_bound():
    prefixes = PrefixCache(max_bytes=1)
    put(prefixes, PROMPT)
    assert prefixes.match((*PROMPT, 1))[1] == 3 * BLOCK
    put(prefixes, (999, *PROMPT))
    assert prefixes.match((*PROMPT, 1)) == (None, 0)


def test_where_there_is_no_room_at_all_nothing_is_kept():
    prefixes = PrefixCache(max_bytes=0)
    put(prefixes, PROMPT)
    assert prefixes.match((*PROMPT, 1)) == (None, 0)
    assert not prefixes.entries


def test_what_was_evicted_leaves_nothing_behind():
    prefixes = PrefixCache(max_bytes=2 * BLOCK * BYTES)
    for n in range(50):
        put(prefixes, tuple(range(100 * n, 100 * n + 2 * BLOCK)))
    assert len(prefixes.entries) == 1
    assert len(prefixes.blocks) == 2


def test_a_hash_collision_is_noticed_by_the_ids_themselves(monkeypatch):
    monkeypatch.setattr(cache, "hash", lambda value: 1, raising=False)
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    assert prefixes.match((*PROMPT, 1))[1] == 3 * BLOCK
    assert prefixes.match((999, *PROMPT)) == (None, 0)
    assert prefixes.match((*PROMPT[:BLOCK], *[999] * 2 * BLOCK))[1] == BLOCK


def test_clearing_forgets_everything():
    prefixes = PrefixCache(ROOM)
    put(prefixes, PROMPT)
    prefixes.clear()
    assert prefixes.match((*PROMPT, 1)) == (None, 0)
    assert (prefixes.used_bytes, len(prefixes.entries), len(prefixes.blocks)) == (0, 0, 0)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5 * BLOCK).map(tuple), max_size=12),
    st.integers(1, 12 * BLOCK),
)
def test_a_match_is_always_a_true_prefix_with_its_own_states(sequences, room):
    prefixes = PrefixCache(max_bytes=room * BYTES)
    for ids in sequences:
        entry, kept = prefixes.match(ids)
        assert kept % BLOCK == 0
        assert kept < len(ids)
        if entry is not None:
            assert entry.states[1, 1, 1, :kept, 0].tolist() == list(ids[:kept])
        prefixes.store(ids, states(ids), entry)
        assert prefixes.used_bytes == sum(e.states.nbytes for e in prefixes.entries)
        assert prefixes.used_bytes <= prefixes.max_bytes or len(prefixes.entries) == 1


def test_a_growing_layer_holds_what_concatenation_would():
    torch.manual_seed(0)
    past = torch.randn(LAYERS, 2, 3, HEADS, 5, DIM)
    grown = growing_cache(past)
    whole = past
    for width in (1, 1, 7, 1, 20):
        new = torch.randn(LAYERS, 2, 3, HEADS, width, DIM)
        whole = torch.cat([whole, new], dim=-2)
        for layer in range(LAYERS):
            keys, values = grown.update(new[layer, 0], new[layer, 1], layer)
            assert torch.equal(keys, whole[layer, 0])
            assert torch.equal(values, whole[layer, 1])


def test_rows_can_leave_a_growing_cache_or_be_repeated_in_it():
    torch.manual_seed(0)
    past = torch.randn(LAYERS, 2, 3, HEADS, 5, DIM)
    grown = growing_cache(past)
    chosen = torch.tensor([2, 0, 2, 1])
    for layer in range(LAYERS):
        own = grown.layers[layer]
        assert isinstance(own, GrowingLayer)
        own.batch_select_indices(chosen)
    new = torch.randn(LAYERS, 2, 4, HEADS, 1, DIM)
    for layer in range(LAYERS):
        keys, _ = grown.update(new[layer, 0], new[layer, 1], layer)
        assert torch.equal(keys, torch.cat([past[layer, 0][chosen], new[layer, 0]], dim=-2))
