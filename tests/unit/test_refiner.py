"""Algorithm 1: accept, or cut before the flawed step and regenerate from the kept prefix."""

import math
from collections import Counter
from dataclasses import replace

import pytest
from fakes import PieceCodec
from hypothesis import given
from hypothesis import strategies as st
from rollouts import (
    CODEC,
    KEY,
    Library,
    actor,
    answer,
    document,
    meta_refiner,
    question,
    replied,
    run,
    search,
    trajectory,
    written,
)

from searchr2.config import Rollout
from searchr2.ports import Generate, Score
from searchr2.refiner import log_sum, softmax
from searchr2.trajectory import Author

LOGS = st.lists(st.floats(-50, 0), min_size=1, max_size=6)
DRAFT = [search("a"), search("b"), answer("wrong")]


def judge(logs, draft=None, key=KEY, **settings):
    """The verdict on a draft when the policy gives its options ``logs``."""
    y = draft or trajectory(*[search("a")] * (len(logs) - 2), answer("b"))
    procedure = meta_refiner(**settings).judge(question(), y, key)
    with pytest.raises(StopIteration) as end:
        procedure.send(replied(next(procedure), logs))
    return end.value.value


def test_0_accepts_the_draft_as_it_is():
    trace = run(meta_refiner().roll_out(question(), KEY), DRAFT, [0])
    assert trace.final.answer == "wrong"
    assert trace.drafts == ()
    assert [v.choice for v in trace.verdicts] == [0]


@pytest.mark.parametrize("flawed", [1, 2, 3])
def test_i_keeps_the_steps_before_i_as_the_same_objects(flawed):
    trace = run(meta_refiner().roll_out(question(), KEY), [*DRAFT, answer("right")], [flawed])
    [draft], [verdict] = trace.drafts, trace.verdicts
    assert verdict.choice == flawed
    assert draft.answer == "wrong"
    assert len(trace.final.steps) == flawed
    assert trace.final.answer == "right"
    for kept, step in zip(trace.final.steps[: flawed - 1], draft.steps, strict=False):
        assert kept is step
    assert trace.final.prompt is draft.prompt


def test_a_regenerated_suffix_goes_on_from_exactly_the_kept_ids():
    procedure = meta_refiner().roll_out(question(), KEY)
    request = next(procedure)
    asked = []
    for text in DRAFT:
        asked.append(request)
        request = procedure.send(written(text))
        if not isinstance(request, Score):
            request = procedure.send(())
    assert isinstance(request, Score)
    again = procedure.send(replied(request, [-5.0, -5.0, -5.0, -0.1]))
    assert isinstance(again, Generate)
    assert again.ids == asked[2].ids
    assert again.key not in {r.key for r in asked}


@pytest.mark.parametrize(("drafts", "again"), [(0.0, 0.7), (0.5, 0.5)])
def test_after_a_greedy_draft_it_samples_since_the_same_words_would_come_again(drafts, again):
    policy = replace(actor(), temperature=drafts, limits=Rollout(temperature=0.7))
    procedure = meta_refiner(policy).roll_out(question(), KEY)
    draft = next(procedure)
    asked = procedure.send(written(answer("wrong")))
    revision = procedure.send(replied(asked, [-5.0, -0.1]))
    assert (draft.temperature, revision.temperature) == (drafts, again)


def test_no_more_revisions_are_made_than_allowed_and_the_last_is_not_judged():
    for allowed in (1, 2, 3):
        refiner = meta_refiner(max_revisions=allowed)
        turns = [answer(str(n)) for n in range(9)]
        trace = run(refiner.roll_out(question(), KEY), turns, [1] * 9)
        assert [y.answer for y in trace.drafts] == [str(n) for n in range(allowed)]
        assert len(trace.verdicts) == allowed
        assert trace.final.answer == str(allowed)


def test_a_repaired_trajectory_may_be_accepted_or_cut_again():
    turns = [*DRAFT, search("c"), answer("better"), answer("best")]
    trace = run(meta_refiner(max_revisions=3).roll_out(question(), KEY), turns, [2, 3, 0])
    assert [y.answer for y in trace.drafts] == ["wrong", "better"]
    assert trace.final.answer == "best"
    assert [step.query for step in trace.final.steps] == ["a", "c", None]
    assert trace.final.steps[0] is trace.drafts[0].steps[0]
    assert trace.final.steps[1] is trace.drafts[1].steps[1]
    assert len(trace.verdicts) == 3


def test_without_revisions_it_is_the_actor_alone_and_nothing_is_asked():
    trace = run(meta_refiner(max_revisions=0).roll_out(question(), KEY), DRAFT, [])
    assert (trace.verdicts, trace.drafts) == ((), ())
    assert trace.final == run(actor().roll_out(trace.final.keep(0), (*KEY, 0)), DRAFT)


def test_a_repaired_trajectory_is_no_longer_than_a_draft_may_be():
    refiner = meta_refiner(actor(max_turns=3))
    trace = run(refiner.roll_out(question(), KEY), [*DRAFT, search("c")], [3])
    assert len(trace.final.steps) == 3
    assert not trace.final.steps[2].searched


def test_a_trajectory_without_steps_is_not_judged():
    """Its prompt alone fills the context: there is no step that could be flawed."""
    refiner = meta_refiner(actor(max_context_tokens=5))
    trace = run(refiner.roll_out(question(), KEY), [], [])
    assert (trace.final.steps, trace.verdicts) == ((), ())


def test_it_judges_the_question_and_the_steps_with_the_actors_own_weights_and_prompt_book():
    library = Library({"a": [document("A", "one")]})
    procedure = meta_refiner().roll_out(question("why?"), KEY)
    request = next(procedure)
    procedure.send(written(search("a")))
    procedure.send(library.search(["a"], 3)[0])
    request = procedure.send(written(answer("x")))
    text = CODEC.decode(request.ids)
    assert "Question: why?" in text
    assert text.index("Step 1:") < text.index("one") < text.index("Step 2:")
    assert text.endswith("Flawed step: ")  # what all options begin with belongs to the prompt
    assert [CODEC.decode(option) for option in request.options] == ["0", "1", "2"]


@given(LOGS.filter(lambda logs: len(logs) > 1))
def test_p_over_0_to_t_is_renormalised(logs):
    verdict = judge(logs)
    assert sum(verdict.probabilities) == pytest.approx(1)
    assert verdict.probabilities == pytest.approx(softmax(logs))


@given(LOGS.filter(lambda logs: len(logs) > 1), st.floats(-3, 3))
def test_it_revises_only_where_the_log_odds_exceed_the_margin(logs, margin):
    odds = log_sum(logs[1:]) - logs[0]
    assert judge(logs, margin=margin).accepts == (odds <= margin)


def test_even_odds_accept_at_margin_0():
    assert judge([math.log(0.5), math.log(0.25), math.log(0.25)]).accepts
    assert judge([math.log(0.5), math.log(0.5)]).accepts
    assert not judge([math.log(0.49), math.log(0.51)]).accepts


def test_margin_0_is_half_of_the_probability_and_not_the_most_likely_integer():
    verdict = judge([math.log(0.4), math.log(0.3), math.log(0.3)])
    assert not verdict.accepts


def test_the_argmax_trimmer_takes_the_likeliest_flawed_step():
    logs = [math.log(p) for p in (0.2, 0.1, 0.5, 0.2)]
    assert {judge(logs, key=(n,), trim="argmax").choice for n in range(20)} == {2}


def test_the_sampling_trimmer_draws_steps_in_proportion_to_their_probability():
    logs = [math.log(p) for p in (0.2, 0.1, 0.5, 0.2)]
    y = trajectory(search("a"), search("a"), answer("b"))
    draws = Counter(judge(logs, y, key=(n,)).choice for n in range(2000))
    assert 0 not in draws
    for step, share in ((1, 0.125), (2, 0.625), (3, 0.25)):
        # four standard errors of a share over 2000 draws
        assert draws[step] / 2000 == pytest.approx(share, abs=4 * math.sqrt(share / 2000))


def test_a_cut_is_a_function_of_its_key():
    logs = [math.log(p) for p in (0.1, 0.3, 0.3, 0.3)]
    assert len({judge(logs, key=(5,)).choice for _ in range(5)}) == 1
    assert len({judge(logs, key=(n,)).choice for n in range(30)}) == 3


def test_the_decision_is_what_was_scored_with_the_vocabularys_log_probability():
    procedure = meta_refiner(trim="argmax").judge(
        question(), trajectory(search("a"), answer("b")), KEY
    )
    request = next(procedure)
    with pytest.raises(StopIteration) as end:
        procedure.send(((-9.0,), (-7.0,), (-8.0,)))
    verdict = end.value.value
    assert verdict.prompt.ids == request.ids
    assert verdict.prompt.author is Author.PROMPT
    assert verdict.decision.ids == request.options[1]
    assert verdict.decision.logprobs == (-7.0,)
    assert verdict.decision.author is Author.REFINER


def options(steps, codec):
    """What is asked of a draft of ``steps`` steps: the end of the prompt, and the options."""
    y = trajectory(*[search("a")] * (steps - 1), answer("b"), codec=codec)
    request = next(meta_refiner(actor(codec)).judge(question(), y, KEY))
    text = "".join(codec.decode(request.ids))
    return text[text.index("Flawed step:") :], [codec.decode(o) for o in request.options]


def test_a_space_that_is_an_id_of_its_own_belongs_to_the_prompt():
    assert options(3, CODEC) == ("Flawed step: ", ["0", "1", "2", "3"])


def test_an_id_that_holds_space_and_digit_is_the_whole_decision():
    codec = PieceCodec([f" {digit}" for digit in range(10)])
    assert options(3, codec) == ("Flawed step:", [" 0", " 1", " 2", " 3"])


def test_integers_of_several_ids_are_ended_so_that_none_begins_another():
    end, texts = options(11, CODEC)
    assert end == "Flawed step: "
    assert texts == [f"{i}\n" for i in range(12)]
    y = trajectory(*[search("a")] * 10, answer("b"))
    request = next(meta_refiner().judge(question(), y, KEY))
    for one in request.options:
        assert not any(other != one and other[: len(one)] == one for other in request.options)


def test_an_integer_of_several_ids_counts_as_their_product():
    y = trajectory(*[search("a")] * 10, answer("b"))
    procedure = meta_refiner(trim="argmax").judge(question(), y, KEY)
    request = next(procedure)
    logs = [tuple(-3.0 for _ in option) for option in request.options]
    logs[10] = (-3.0, -0.2, -0.2)
    logs[1] = (-3.0, -1.0)
    with pytest.raises(StopIteration) as end:
        procedure.send(tuple(logs))
    verdict = end.value.value
    assert verdict.choice == 10
    assert verdict.decision.ids == CODEC.template("10\n")
    assert verdict.decision.logprobs == (-3.0, -0.2, -0.2)
    assert verdict.probabilities == pytest.approx(softmax([sum(log) for log in logs]))


@given(LOGS)
def test_probabilities_are_proportional_to_exponentials(logs):
    p = softmax(logs)
    assert sum(p) == pytest.approx(1)
    assert [math.log(x) for x in p] == pytest.approx([x - log_sum(logs) for x in logs], abs=1e-9)


def test_logs_of_nothing_and_of_impossible_things_are_minus_infinity():
    assert log_sum([]) == log_sum([-math.inf]) == -math.inf
    assert log_sum([0.0, -math.inf]) == 0.0
    assert softmax([0.0, 0.0]) == pytest.approx((0.5, 0.5))
    assert softmax([-1000.0, -1001.0])[0] == pytest.approx(1 / (1 + math.exp(-1)))
