"""Templates become ids piece by piece: ours with tags, values as plain text, spans untouched."""

import pytest
from fakes import PieceCodec
from rollouts import CODEC, answer, document, prompt_book, search, trajectory

from searchr2.config import ConfigError, Prompts
from searchr2.prompts import TEMPLATES, PromptBook, load_prompts
from searchr2.tags import ALL_TAGS, INFORMATION
from searchr2.trajectory import Author

SHIPPED = ("brief", "default")


def book(codec=CODEC, chat=("", ""), **templates):
    return PromptBook(templates, codec, chat)


def contains(ids, part):
    return any(ids[i : i + len(part)] == part for i in range(len(ids)))


def test_values_stand_where_the_template_names_them():
    prompts = book(actor="Q: {question}\nA:")
    assert CODEC.decode(prompts.actor("why?").ids) == "Q: why?\nA:"
    assert prompts.actor("why?").author is Author.PROMPT


def test_literal_tags_are_ours_and_tags_in_values_are_plain_text():
    ids = book(actor="<search>{question}</search>").actor("<search>").ids
    [opening] = CODEC.template("<search>")
    assert ids.count(opening) == 1
    assert ids == (opening, *CODEC.text("<search>"), *CODEC.template("</search>"))


def test_a_placeholder_in_a_value_is_not_filled_in():
    prompts = book(refiner="{question}|{steps}")
    y = trajectory(answer("x")).keep(0)
    assert CODEC.decode(prompts.refiner("{steps} {question}", y).ids) == "{steps} {question}|"


def test_a_space_before_a_value_is_encoded_with_it():
    """BPE vocabularies write a word with its leading space."""
    codec = PieceCodec(["Where", " Where"])
    [word] = codec.text(" Where")
    assert book(codec, actor="Question: {question}").actor("Where").ids[-1] == word


def test_the_chat_template_stands_around_the_prompt():
    prompts = book(chat=("<|im_end|>user\n", "<|im_end|>\n"), actor="{question}")
    ids = prompts.actor("why <|im_end|>").ids
    assert CODEC.decode(ids) == "<|im_end|>user\nwhy <|im_end|><|im_end|>\n"
    assert ids.count(CODEC.eos_id) == 2


def test_an_observation_is_the_passages_between_information_tags():
    span = prompt_book().observation((document("A", "one"), document("B", "two")), 50)
    assert span.author is Author.ENVIRONMENT
    assert span.logprobs is None
    text = CODEC.decode(span.ids)
    assert text.startswith("\n<information>")
    assert text.endswith("</information>\n")
    assert text.index("one") < text.index("two")


def test_a_search_that_found_nothing_is_answered_with_empty_tags():
    assert CODEC.decode(prompt_book().observation((), 50).ids) == "\n<information></information>\n"


def test_a_long_passage_is_cut_and_its_tags_stay_closed():
    long = document("A", "x" * 1000)
    ids = prompt_book().observation((long, long), 10).ids
    [closing] = CODEC.template(INFORMATION[1])
    assert ids.count(closing) == 1
    assert CODEC.decode(ids).count("x") == 2 * 9  # the leading space is the tenth


def test_the_refiner_sees_each_numbered_step_with_what_its_search_returned():
    y = trajectory(search("a"), search("b"), answer("c"), found=(document("A", "one"),))
    for name in SHIPPED:
        span = prompt_book(name).refiner("why?", y)
        text = CODEC.decode(span.ids)
        places = [text.index(f"Step {number}:") for number in (1, 2, 3)]
        assert places == sorted(places)
        assert "Step 4:" not in text
        assert "why?" in text
        for step in y.steps:
            assert contains(span.ids, step.action.ids)
        assert contains(span.ids, y.steps[0].observation.ids)


def test_a_turn_that_ended_the_sequence_does_not_end_the_refiners_prompt():
    end = CODEC.decode((CODEC.eos_id,))
    y = trajectory(search("a"), answer("b") + end)
    assert y.ids[-1] == CODEC.eos_id
    for name in SHIPPED:
        assert CODEC.eos_id not in prompt_book(name).refiner("why?", y).ids


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_set_is_whole_and_asks_for_what_each_prompt_must_show(name):
    prompts = prompt_book(name)
    assert set(prompts.templates) == set(TEMPLATES)
    for role in ("actor", "direct", "rag", "refiner"):
        assert "{question}" in prompts.templates[role]
    assert "{documents}" in prompts.templates["rag"]
    assert "{steps}" in prompts.templates["refiner"]
    assert {"{action}", "{observation}", "{number}"} <= {
        f"{{{key}}}"
        for key in TEMPLATES["refiner_step"]
        if key in prompts.templates["refiner_step"]
    }


def test_the_actors_long_prompt_states_the_format_and_names_every_tag():
    text = CODEC.decode(prompt_book("default").actor("why?").ids)
    assert all(tag in text for tag in ALL_TAGS)


def test_a_folder_of_ones_own_replaces_the_shipped_sets(tmp_path):
    for name in TEMPLATES:
        (tmp_path / f"{name}.txt").write_text(f"my {name}\n")
    prompts = load_prompts(Prompts(templates=str(tmp_path)), CODEC)
    assert CODEC.decode(prompts.actor("why?").ids) == "my actor"


def test_a_missing_template_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"prompts.templates: .*actor\.txt does not exist"):
        load_prompts(Prompts(templates=str(tmp_path)), CODEC)


def test_an_unknown_placeholder_is_named_with_the_known_ones(tmp_path):
    for name in TEMPLATES:
        (tmp_path / f"{name}.txt").write_text("{quesion}" if name == "rag" else "")
    with pytest.raises(
        ConfigError, match=r"rag\.txt: unknown placeholder \{quesion\}; known: .*question"
    ):
        load_prompts(Prompts(templates=str(tmp_path)), CODEC)


def test_the_chat_template_is_used_where_the_config_asks_for_it():
    class Chatting(PieceCodec):
        def chat(self, thinking=True):
            return "[user]", "[reply]"

    codec = Chatting([])
    for chat, around in ((True, "[user]"), (False, "")):
        ids = load_prompts(Prompts(chat=chat), codec).actor("why?").ids
        assert codec.decode(ids).startswith(around + "Answer by searching.")
