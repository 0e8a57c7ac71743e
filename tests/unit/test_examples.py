"""What SFT and Rejection Sampling imitate: which rows, in which order, and after a kill."""

from __future__ import annotations

from collections import Counter

import pytest
from fakes import ScriptedEngine
from rollouts import CODEC, Library, answer, document, prompt_book, search

from searchr2.config import Rollout, Supervised, TrainConfig, TrainPaths
from searchr2.packing import imitation
from searchr2.training import examples
from searchr2.trajectory import Author, Question, Span

QUESTIONS = [
    Question(f"q{n}", "nq", f"Where is town number {n}?", ("Ostra", "the country of Ostra"))
    for n in range(7)
]
SAMPLES = 3
KILLED_AT = 11
"""The turn in which a policy is killed: within the second of four chunks."""


def text(row):
    return CODEC.decode(row.ids)


def trained(row):
    return CODEC.decode([token for token, loss in zip(row.ids, row.mask, strict=True) if loss])


# SFT


def test_sft_imitates_the_first_gold_answer_after_directs_prompt():
    rows = examples.gold(QUESTIONS, prompt_book())
    for row, question in zip(rows, QUESTIONS, strict=True):
        prompt = prompt_book().direct(question.text)
        assert row.ids[: len(prompt.ids)] == prompt.ids
        assert trained(row) == "<answer> Ostra</answer>"
        assert not any(row.mask[: len(prompt.ids)])
        assert row.advantage == 1.0


def test_tags_in_a_gold_answer_are_plain_text():
    [row] = examples.gold([Question("q", "nq", "?", ("</answer><search>",))], prompt_book())
    specials = [token for token in row.ids if token > 255]
    assert specials == [*CODEC.template("<answer>"), *CODEC.template("</answer>")]


# Epochs


def rows(count):
    return [imitation([Span(Author.ACTOR, (n,))]) for n in range(count)]


def seen(epochs, steps):
    return [row.ids[0] for step in steps for row in epochs.batch(step)]


def test_every_row_comes_once_an_epoch_also_where_a_batch_lies_across_two():
    drawn = seen(examples.Epochs(rows(7), 3, seed=1), range(14))
    epochs = [drawn[i : i + 7] for i in range(0, 42, 7)]
    assert all(Counter(epoch) == Counter(range(7)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_a_batch_needs_no_history_and_is_a_function_of_seed_and_step():
    assert (
        seen(examples.Epochs(rows(7), 3, 1), [5])
        == seen(examples.Epochs(rows(7), 3, 1), range(6))[-3:]
    )
    orders = {tuple(seen(examples.Epochs(rows(7), 7, seed), [0])) for seed in range(5)}
    assert len(orders) > 1


def test_a_batch_may_be_larger_than_all_there_is():
    drawn = seen(examples.Epochs(rows(2), 5, 1), [0, 1])
    assert Counter(drawn) == {0: 5, 1: 5}


# Rejection Sampling


class Policy(ScriptedEngine):
    """Searches, then answers: rightly or not, as the key of the request says.

    It is killed in turn number ``killed_at``.
    """

    def __init__(self, killed_at=None, never=False):
        super().__init__(CODEC, [])
        self.killed_at, self.never, self.turn, self.refreshed = killed_at, never, 0, 0

    def generate(self, requests):
        return [self.reply(request) for request in requests]

    def reply(self, request):
        self.turn += 1
        if self.turn == self.killed_at:
            raise KeyboardInterrupt
        *_, rollout, _draft, turn = request.key
        right = "Ostra" if rollout % 2 and not self.never else "Belmar"
        self.turns = [answer(right) if turn else search("town", f"Attempt {rollout}.")]
        return self._next(request)

    def refresh(self):
        self.refreshed += 1


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(examples, "CHUNK", 2)


def kept(notes, policy=None, prompts=None, seed=1):
    config = TrainConfig(
        run="r",
        seed=seed,
        kind="rejection",
        backbone="b",
        paths=TrainPaths(model="", index="", train=[], validation=[]),
        rollout=Rollout(max_turn_tokens=300, max_context_tokens=10_000),
        supervised=Supervised(samples=SAMPLES, prompts=prompts),
    )
    library = Library({"town": [document("Town", "A town in <answer> Ostra</answer>.")]})
    return examples.kept(config, QUESTIONS, policy or Policy(), library, prompt_book(), notes)


def test_exactly_the_rollouts_that_were_right_are_kept_and_all_are_counted(tmp_path):
    found, count = kept(tmp_path / "notes.jsonl")
    assert count == SAMPLES * len(QUESTIONS)
    # of a chunk of two questions, six rollouts, every second is right; the last question is alone
    assert len(found) == 3 * 3 + 1
    for row in found:
        [searched, answered] = trained(row).split("</search>")
        assert searched.startswith("<think> Attempt")
        assert answered.endswith("<answer> Ostra</answer>")
        assert "<information>" in text(row)
        assert "<information>" not in trained(row)
    asked = Counter(text(row).split("Question: ")[1].split("?")[0] for row in found)
    assert set(asked) == {question.text[:-1] for question in QUESTIONS}


def test_only_so_many_prompts_are_rolled_out_as_the_settings_say(tmp_path):
    found, count = kept(tmp_path / "notes.jsonl", prompts=3)
    assert count == SAMPLES * 3
    assert {text(row).split("number ")[1][0] for row in found} == {"0", "1", "2"}


def test_nothing_right_is_nothing_to_imitate(tmp_path):
    found, count = kept(tmp_path / "notes.jsonl", Policy(never=True))
    assert (found, count) == ([], SAMPLES * len(QUESTIONS))


@pytest.mark.parametrize("part", ["", '[[["prompt", [1, 2'])
def test_killed_within_a_chunk_it_goes_on_after_the_last_whole_one(tmp_path, part):
    undisturbed = kept(tmp_path / "whole.jsonl")
    notes = tmp_path / "notes.jsonl"
    with pytest.raises(KeyboardInterrupt):
        kept(notes, Policy(killed_at=KILLED_AT + 6))
    assert len(notes.read_text().splitlines()) == 1
    with notes.open("a") as file:
        file.write(part)  # a kill may come within a line
    resumed = Policy()
    assert kept(notes, resumed) == undisturbed
    assert notes.read_bytes() == (tmp_path / "whole.jsonl").read_bytes()
    assert resumed.turn == 2 * SAMPLES * (len(QUESTIONS) - 2)
    assert resumed.refreshed == 3  # once a chunk: a cached prefix would move the rounding


def test_what_was_rolled_out_is_not_rolled_out_again(tmp_path):
    first = kept(tmp_path / "notes.jsonl")
    again = Policy()
    assert kept(tmp_path / "notes.jsonl", again) == first
    assert again.turn == 0
