"""The records of a rollout: ids in order, cutting by slicing, what is derived from them."""

from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rollouts import answer, document, search, trajectory, verdict

from searchr2.trajectory import (
    Author,
    MixedWeights,
    Span,
    Step,
    Trace,
    Trajectory,
    sampled_from,
)


def spans(author):
    return st.builds(Span, st.just(author), st.lists(st.integers(0, 300), max_size=5).map(tuple))


STEPS = st.builds(
    Step, spans(Author.ACTOR), st.just(""), observation=st.none() | spans(Author.ENVIRONMENT)
)
TRAJECTORIES = st.builds(Trajectory, spans(Author.PROMPT), st.lists(STEPS, max_size=4).map(tuple))


@pytest.fixture
def draft():
    return trajectory(search("a"), search("b"), answer("c"), found=(document("A"),))


@given(TRAJECTORIES)
def test_the_ids_are_those_of_the_spans_in_order(y):
    assert y.ids == sum((span.ids for span in y.spans), ())


@given(TRAJECTORIES, st.data())
def test_cutting_keeps_a_prefix_of_the_same_objects(y, data):
    steps = data.draw(st.integers(0, len(y.steps)))
    kept = y.keep(steps)
    assert kept.prompt is y.prompt
    assert [id(step) for step in kept.steps] == [id(step) for step in y.steps[:steps]]
    assert y.ids[: len(kept.ids)] == kept.ids


def test_a_cut_before_the_first_step_keeps_the_prompt_alone(draft):
    assert draft.keep(0).ids == draft.prompt.ids


@pytest.mark.parametrize("steps", [-1, 4])
def test_steps_that_are_not_there_cannot_be_kept(draft, steps):
    with pytest.raises(ValueError, match=f"cannot keep {steps} of 3 steps"):
        draft.keep(steps)


def test_extending_leaves_the_trajectory_itself_as_it_was(draft):
    before = draft.steps
    longer = draft.keep(2).extend(draft.steps[2])
    assert longer == draft
    assert draft.steps is before


def test_log_probabilities_come_one_an_id_or_not_at_all():
    Span(Author.ACTOR, (1, 2), (-0.1, -0.2))
    with pytest.raises(ValueError, match="1 log-probabilities for 2 ids"):
        Span(Author.ACTOR, (1, 2), (-0.1,))


def test_the_answer_is_the_last_steps_and_none_without_one(draft):
    assert draft.answer == "c"
    assert draft.keep(2).answer is None
    assert draft.keep(0).answer is None


def test_every_search_counts_as_a_collection_even_one_that_found_nothing(draft):
    assert [len(c) for c in draft.collections] == [1, 1]
    assert trajectory(search("a"), answer("b")).collections == ((),)
    assert trajectory(answer("b")).collections == ()


def test_records_cannot_be_changed(draft):
    with pytest.raises(FrozenInstanceError):
        draft.steps[0].query = "another"
    with pytest.raises(FrozenInstanceError):
        draft.prompt = Span(Author.PROMPT, ())


def test_a_verdict_accepts_with_0_and_nothing_else():
    assert [verdict(choice).accepts for choice in (0, 1, 2)] == [True, False, False]


def test_the_draft_of_a_trace_is_the_first_that_was_cut_or_the_final_trajectory(draft):
    other, final = trajectory(answer("x")), trajectory(answer("y"))
    revised = Trace(final, (verdict(1), verdict(1)), (draft, other))
    assert revised.draft is draft
    assert revised.revised
    accepted = Trace(final, (verdict(0),))
    assert accepted.draft is final
    assert not accepted.revised


def sampled(version, *drafts):
    """A trace whose final trajectory and drafts were written by these weights."""

    def written(by):
        span = Span(Author.ACTOR, (1,), (-0.1,), by)
        return Trajectory(Span(Author.PROMPT, (0,)), (Step(span, "a"),))

    return Trace(written(version), drafts=tuple(written(draft) for draft in drafts))


def test_traces_of_one_version_of_the_weights_are_of_that_version():
    assert sampled_from([sampled("v1"), sampled("v1", "v1")]) == "v1"
    assert sampled_from([sampled(None)]) is None
    assert sampled_from([]) is None


@pytest.mark.parametrize(
    "traces",
    [[sampled("v1"), sampled("v2")], [sampled("v1", "v2")], [sampled("v1"), sampled(None)]],
)
def test_traces_of_mixed_weights_are_refused(traces):
    with pytest.raises(MixedWeights, match="v1"):
        sampled_from(traces)
