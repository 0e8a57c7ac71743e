"""From traces to flat arrays: every id once, loss on what the policy wrote and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import answer, document, search, trajectory, verdict

from searchr2.packing import Row, collate, flatten, imitation, micro_batches
from searchr2.trajectory import Author, Span, Step, Trace, Trajectory, Verdict

IDS = st.lists(st.integers(0, 300), max_size=6).map(tuple)
LOGP = st.floats(-20, 0, width=32)


@st.composite
def spans(draw, author):
    ids = draw(IDS)
    policys = author in (Author.ACTOR, Author.REFINER)
    logprobs = (
        tuple(draw(st.lists(LOGP, min_size=len(ids), max_size=len(ids)))) if policys else None
    )
    return Span(author, ids, logprobs)


STEPS = st.builds(
    Step, spans(Author.ACTOR), st.just(""), observation=st.none() | spans(Author.ENVIRONMENT)
)
TRAJECTORIES = st.builds(Trajectory, spans(Author.PROMPT), st.lists(STEPS, max_size=3).map(tuple))
VERDICTS = st.builds(
    Verdict, spans(Author.PROMPT), spans(Author.REFINER), st.just((1.0,)), st.integers(0, 3)
)
TRACES = st.builds(
    Trace,
    TRAJECTORIES,
    st.lists(VERDICTS, max_size=2).map(tuple),
    st.lists(TRAJECTORIES, max_size=2).map(tuple),
)


def by_policy(span):
    return span.author in (Author.ACTOR, Author.REFINER)


def row(length, advantage=0.0):
    return Row(tuple(range(length)), (True,) * length, (-1.0,) * length, advantage, Author.ACTOR)


@given(TRACES)
def test_a_row_is_prompt_and_completions_exactly_as_they_were(trace):
    rows = list(flatten(trace, 1.0, joint=True))
    sources = [list(trace.final.spans), *([v.prompt, v.decision] for v in trace.verdicts)]
    assert len(rows) == len(sources)
    for packed, source in zip(rows, sources, strict=True):
        assert packed.ids == sum((span.ids for span in source), ())


@given(TRACES)
def test_loss_falls_on_what_the_policy_wrote_and_carries_its_log_probabilities(trace):
    rows = list(flatten(trace, 1.0, joint=True))
    sources = [list(trace.final.spans), *([v.prompt, v.decision] for v in trace.verdicts)]
    for packed, source in zip(rows, sources, strict=True):
        at = 0
        for span in source:
            part = slice(at, at + len(span.ids))
            assert set(packed.mask[part]) <= {by_policy(span)}
            expected = span.logprobs if by_policy(span) else (0.0,) * len(span.ids)
            assert packed.logprobs[part] == expected
            at = part.stop


@given(TRACES)
def test_the_mask_sums_to_the_tokens_the_policy_wrote(trace):
    rows = list(flatten(trace, 1.0, joint=True))
    policys = [span for span in trace.final.spans if by_policy(span)]
    policys += [v.decision for v in trace.verdicts]
    assert sum(sum(packed.mask) for packed in rows) == sum(len(span.ids) for span in policys)


@given(TRACES, st.booleans())
def test_meta_actions_train_only_under_joint_optimisation(trace, joint):
    rows = list(flatten(trace, 0.5, joint))
    assert [packed.author for packed in rows] == [Author.ACTOR] + [Author.REFINER] * (
        len(trace.verdicts) if joint else 0
    )
    assert {packed.advantage for packed in rows} == {0.5}


def test_cut_drafts_carry_no_loss():
    draft, final = trajectory(search("draft"), answer("x")), trajectory(answer("y"))
    rows = list(flatten(Trace(final, (verdict(1),), (draft,)), 1.0, joint=True))
    assert [packed.ids for packed in rows] == [
        final.ids,
        verdict(1).prompt.ids + verdict(1).decision.ids,
    ]


def test_passages_carry_no_loss():
    y = trajectory(search("a"), answer("b"), found=(document("A"),))
    [packed] = flatten(Trace(y), 1.0, joint=True)
    start = len(y.prompt.ids) + len(y.steps[0].action.ids)
    shown = packed.mask[start : start + len(y.steps[0].observation.ids)]
    assert len(shown) > 10
    assert not any(shown)
    assert sum(packed.mask) == sum(len(step.action.ids) for step in y.steps)


def test_a_policys_span_without_log_probabilities_is_refused():
    y = Trajectory(Span(Author.PROMPT, (1,)), (Step(Span(Author.ACTOR, (2,)), ""),))
    with pytest.raises(ValueError, match="actor came without its log-probabilities"):
        list(flatten(Trace(y), 1.0, joint=True))


def test_a_demonstration_teaches_what_the_policy_would_write():
    y = trajectory(search("a"), answer("b"), found=(document("A"),))
    packed = imitation(list(y.spans))
    assert packed.ids == y.ids
    assert packed.mask == tuple(by_policy(span) for span in y.spans for _ in span.ids)


def test_a_row_of_unequal_parts_is_refused():
    with pytest.raises(ValueError, match="differ in length"):
        Row((1, 2), (True,), (0.0, 0.0), 1.0, Author.ACTOR)


@given(st.lists(TRACES, min_size=1, max_size=4))
def test_padding_adds_columns_and_nothing_else(traces):
    rows = [
        packed for i, trace in enumerate(traces) for packed in flatten(trace, float(i), joint=True)
    ]
    batch = collate(rows)
    for b, packed in enumerate(rows):
        valid = batch.valid_BT[b]
        assert valid.sum() == len(packed.ids)
        assert not valid[len(packed.ids) :].any()
        assert batch.ids_BT[b][valid].tolist() == list(packed.ids)
        assert batch.loss_BT[b][valid].tolist() == list(packed.mask)
        assert batch.old_logp_BT[b][valid].tolist() == list(packed.logprobs)
        assert not batch.loss_BT[b][~valid].any()
        assert not batch.old_logp_BT[b][~valid].any()
        assert batch.advantage_B[b] == packed.advantage
    assert batch.loss_tokens == sum(sum(packed.mask) for packed in rows)


def test_arrays_have_the_types_the_loss_reads():
    batch = collate([row(2), row(3)])
    assert batch.ids_BT.dtype == np.int64
    assert batch.valid_BT.dtype == batch.loss_BT.dtype == np.bool_
    assert batch.old_logp_BT.dtype == batch.advantage_B.dtype == np.float32
    assert batch.ids_BT.shape == (2, 3)


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.integers(1, 100))
def test_micro_batches_hold_every_row_once_within_their_bound(lengths, max_tokens):
    rows = [row(length, advantage=float(i)) for i, length in enumerate(lengths)]
    batches = list(micro_batches(rows, max_tokens))
    assert sorted(a for batch in batches for a in batch.advantage_B) == [
        float(i) for i in range(len(rows))
    ]
    for batch in batches:
        assert batch.ids_BT.size <= max_tokens or len(batch.ids_BT) == 1


def test_rows_of_like_length_share_a_micro_batch():
    batches = list(micro_batches([row(n) for n in (3, 30, 4, 29)], 64))
    assert [batch.ids_BT.shape for batch in batches] == [(2, 4), (2, 30)]
