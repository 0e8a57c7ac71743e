"""Reading questions: FlashRAG's rows, supporting titles in every form, and clear errors."""

import json

import pytest

from searchr2.files import DataError
from searchr2.questions import parse_question, question_row, read_questions

ROW = {"id": "q", "question": "who is it", "golden_answers": ["A B"]}


def write(folder, *rows, name="nq"):
    path = folder / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_set_is_the_argument_else_the_row_s_else_the_file_s_name(tmp_path):
    path = write(tmp_path, ROW, ROW | {"dataset": "popqa"})
    assert [q.dataset for q in read_questions(path)] == ["nq", "popqa"]
    path = write(tmp_path, ROW | {"dataset": "popqa"})
    assert [q.dataset for q in read_questions(path, "musique")] == ["musique"]


@pytest.mark.parametrize(
    ("metadata", "titles"),
    [
        (None, None),
        ({}, None),
        ({"supporting_titles": []}, None),
        ({"supporting_titles": ["B", "A", "B"]}, ("B", "A")),
        ({"supporting_facts": {"title": ["B", "A"], "sent_id": [0, 1]}}, ("B", "A")),
        ({"supporting_facts": [["B", 0], ["B", 2], ["A", 1]]}, ("B", "A")),
        ({"supporting_titles": ["C"], "supporting_facts": [["B", 0]]}, ("C",)),
    ],
)
def test_supporting_titles_are_read_from_every_form(metadata, titles):
    assert parse_question(ROW | {"metadata": metadata}, "nq").supporting_titles == titles


def test_a_row_survives_reading_and_writing():
    row = ROW | {"dataset": "nq", "metadata": {"supporting_titles": ["A"], "hops": 2}}
    assert question_row(parse_question(row, "nq")) == row


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"id": None}, '"id" must be'),
        ({"question": " "}, '"question" must be'),
        ({"question": 3}, '"question" must be'),
        ({"golden_answers": []}, "at least one answer"),
        ({"golden_answers": "A B"}, "must be a list"),
        ({"golden_answers": None}, "must be a list"),
        ({"golden_answers": ["A", 3]}, "must hold strings"),
        ({"golden_answers": [""]}, "must hold strings"),
        ({"metadata": [1]}, '"metadata" must be'),
        ({"metadata": {"supporting_titles": "A"}}, "must be strings"),
        ({"metadata": {"supporting_titles": [1]}}, "must be strings"),
        ({"metadata": {"supporting_facts": [1]}}, "must be strings"),
        ({"dataset": 3}, '"dataset" must be'),
        ({"id": "first"}, "id 'first' occurs twice"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, change, reason):
    path = write(tmp_path, ROW | {"id": "first"}, ROW | change)
    with pytest.raises(DataError) as error:
        read_questions(path)
    assert str(error.value).startswith(f"{path}:2: ")
    assert reason in str(error.value)


def test_a_file_without_questions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no question"):
        read_questions(write(tmp_path))


@pytest.mark.parametrize(
    ("name", "count", "with_titles"),
    [
        ("questions/nq", 300, 290),
        ("questions/triviaqa", 300, 0),
        ("questions/popqa", 300, 300),
        ("questions/hotpotqa", 285, 285),
        ("questions/2wikimultihopqa", 100, 100),
        ("questions/musique", 110, 110),
        ("questions/bamboogle", 50, 0),
        ("train/hotpotqa", 600, 600),
        ("train/2wikimultihopqa", 500, 500),
        ("train/musique", 310, 310),
    ],
)
def test_real_questions_are_read(real, name, count, with_titles):
    questions = read_questions(real / f"{name}.jsonl")
    assert len(questions) == count
    assert sum(q.supporting_titles is not None for q in questions) == with_titles
    assert {q.dataset for q in questions} == {name.split("/")[1]}
