"""Algorithm 2: halts at an action, reads what a search returned, and keeps to its limits."""

import pytest
from fakes import QWEN2_PIECES, PieceCodec
from rollouts import CODEC, KEY, Library, actor, answer, document, prompt_book, run, search, written

from searchr2.ports import Generate, Search
from searchr2.tags import STOPS
from searchr2.trajectory import Author, Trajectory

PASSAGE = document("Arvane", "Arvane lies in Ostra.")


def start(codec=CODEC):
    return Trajectory(prompt_book(codec=codec).actor("Where is Arvane?"))


def test_it_searches_reads_and_answers():
    library = Library({"Arvane": [PASSAGE]})
    y = run(actor().roll_out(start(), KEY), [search("Arvane"), answer("Ostra")], found=library)
    assert [step.query for step in y.steps] == ["Arvane", None]
    assert y.collections == ((PASSAGE,),)
    assert y.answer == "Ostra"
    assert library.asked == [["Arvane"]]
    assert [span.author for span in y.spans] == [
        Author.PROMPT,
        Author.ACTOR,
        Author.ENVIRONMENT,
        Author.ACTOR,
    ]


def test_each_turn_goes_on_from_exactly_the_ids_so_far():
    policy = actor(temperature=0.7, max_turn_tokens=9)
    procedure = policy.roll_out(start(), KEY)
    first = next(procedure)
    assert first == Generate(start().ids, 9, STOPS, 0.7, (*KEY, 0))
    turn = written(search("Arvane"))
    assert procedure.send(turn) == Search("Arvane")
    second = procedure.send((PASSAGE,))
    shown = policy.prompts.observation((PASSAGE,), policy.limits.max_document_tokens)
    assert second.ids == (*start().ids, *turn.ids, *shown.ids)
    assert second.key == (*KEY, 1)


def test_what_was_sampled_is_kept_with_its_log_probabilities():
    turn = written(answer("Ostra"))
    procedure = actor().roll_out(start(), KEY)
    next(procedure)
    with pytest.raises(StopIteration) as end:
        procedure.send(turn)
    [step] = end.value.value.steps
    assert (step.action.ids, step.action.logprobs) == (turn.ids, turn.logprobs)
    assert step.text == answer("Ostra")


@pytest.mark.parametrize(
    "text",
    ["<think> I am lost.</think>", "no tags", "<search> </search>", "</search>", "<|im_end|>"],
)
def test_a_turn_without_an_action_ends_the_trajectory_unanswered(text):
    y = run(actor().roll_out(start(), KEY), [text])
    [step] = y.steps
    assert (step.query, step.observation, y.answer) == (None, None, None)


def test_an_empty_answer_is_an_answer():
    assert run(actor().roll_out(start(), KEY), ["<answer></answer>"]).answer == ""


def test_a_search_that_finds_nothing_is_read_like_any_other():
    y = run(actor().roll_out(start(), KEY), [search("nowhere"), answer("x")])
    assert y.steps[0].searched
    assert y.steps[0].documents == ()
    assert y.answer == "x"


def test_a_search_in_the_last_turn_is_not_run():
    library = Library({"b": [PASSAGE]})
    y = run(actor(max_turns=2).roll_out(start(), KEY), [search("a"), search("b")], found=library)
    assert library.asked == [["a"]]
    assert [step.searched for step in y.steps] == [True, False]
    assert y.steps[1].query is None
    assert y.steps[1].action.ids == CODEC.template(search("b"))


def test_no_more_turns_are_taken_than_allowed():
    for turns in (1, 2, 4):
        y = run(actor(max_turns=turns).roll_out(start(), KEY), [search("a")] * 9)
        assert len(y.steps) == turns


def test_the_turn_budget_counts_kept_steps():
    draft = run(actor().roll_out(start(), KEY), [search("a"), search("b"), answer("c")])
    kept = draft.keep(2)
    y = run(actor(max_turns=3).roll_out(kept, KEY), [search("d")])
    assert len(y.steps) == 3
    assert not y.steps[2].searched
    assert all(mine is kept_step for mine, kept_step in zip(y.steps, kept.steps, strict=False))


def test_a_regenerated_turn_has_the_number_of_its_place():
    draft = run(actor().roll_out(start(), KEY), [search("a"), search("b"), answer("c")])
    assert next(actor().roll_out(draft.keep(2), KEY)).key == (*KEY, 2)


def test_a_turn_gets_what_room_the_context_has_left():
    room = len(start().ids) + 10
    request = next(actor(max_context_tokens=room, max_turn_tokens=50).roll_out(start(), KEY))
    assert request.max_new_tokens == 10
    request = next(actor(max_context_tokens=room, max_turn_tokens=5).roll_out(start(), KEY))
    assert request.max_new_tokens == 5


def test_a_turn_without_room_is_not_started():
    y = run(actor(max_context_tokens=len(start().ids)).roll_out(start(), KEY), [])
    assert y == start()
    turn = search("Arvane")
    full = len(start().ids) + len(CODEC.template(turn)) + 3  # the observation does not fit any more
    y = run(actor(max_context_tokens=full).roll_out(start(), KEY), [turn])
    assert [step.query for step in y.steps] == ["Arvane"]


def test_a_turn_cut_off_by_its_limit_is_no_action():
    y = run(actor(max_turn_tokens=10).roll_out(start(), KEY), [answer("Ostra")])
    assert len(y.steps[0].action.ids) == 10
    assert y.answer is None


def test_a_turn_ends_with_its_first_action():
    y = run(actor().roll_out(start(), KEY), [answer("Ostra") + search("more")])
    assert y.steps[0].text == answer("Ostra")


def test_passages_are_shown_up_to_their_limit():
    library = Library({"a": [document("A", "x" * 100)]})
    policy = actor(max_document_tokens=20)
    y = run(policy.roll_out(start(), KEY), [search("a"), answer("b")], found=library)
    assert CODEC.decode(y.steps[0].observation.ids).count("x") == 19
    assert y.collections[0][0].text == "x" * 100


@pytest.mark.parametrize("after", ["\n", "\n\n", "<"])
def test_a_closing_tag_fused_with_what_follows_is_kept_whole_and_read_properly(after):
    """Qwen2 writes ``>`` and two newlines as one id: the stop string ends in the middle of it."""
    codec = PieceCodec(QWEN2_PIECES)
    text = search("Arvane") + after
    ids = codec.template(text)
    assert codec.decode(ids[:-1]) == search("Arvane").removesuffix(">")
    y = run(actor(codec).roll_out(start(codec), KEY), [text + "and on", answer("x")], codec=codec)
    assert y.steps[0].action.ids == ids
    assert y.steps[0].text == text
    assert y.steps[0].query == "Arvane"
    assert codec.decode(y.ids).startswith(codec.decode(start(codec).ids) + text + "\n<information>")
