"""Reading questions: FlashRAG's rows, supporting titles in every form, and clear errors."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

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


@pytest.mark.parametrize(
    ("file", "dataset"),
    [
        ("nq/test.jsonl", "nq"),
        ("hotpotqa/dev.jsonl.gz", "hotpotqa"),
        ("popqa.jsonl", "popqa"),
        ("data/musique.v1.json", "musique"),
    ],
)
def test_a_file_named_after_its_split_belongs_to_the_set_of_its_folder(tmp_path, file, dataset):
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(ROW))
    assert [question.dataset for question in read_questions(path)] == [dataset]


HOTPOTQA = {
    "_id": "5a8b57f25542995d1e6f1371",
    "answer": "yes",
    "question": "Were A and B of the same nationality?",
    "supporting_facts": [["A (film)", 0], ["B", 0], ["B", 3]],
    "context": [["A (film)", ["One.", " Two."]], ["C", ["Three."]]],
    "type": "comparison",
    "level": "hard",
}
MUSIQUE = {
    "id": "2hop__482757_12019",
    "paragraphs": [
        {"idx": 0, "title": "A", "paragraph_text": "One.", "is_supporting": False},
        {"idx": 1, "title": "B", "paragraph_text": "Two.", "is_supporting": True},
        {"idx": 2, "title": "C", "paragraph_text": "Three.", "is_supporting": True},
    ],
    "question": "When did it end?",
    "question_decomposition": [{"id": 1, "answer": "B", "paragraph_support_idx": 1}],
    "answer": "1925",
    "answer_aliases": ["in 1925", "1925"],
    "answerable": True,
}


@pytest.mark.parametrize("lines", [True, False])
def test_hotpotqa_s_own_rows_are_read(tmp_path, lines):
    path = tmp_path / "hotpotqa.json"
    path.write_text(json.dumps(HOTPOTQA) if lines else json.dumps([HOTPOTQA]))
    [question] = read_questions(path)
    assert (question.id, question.dataset) == (HOTPOTQA["_id"], "hotpotqa")
    assert question.golden_answers == ("yes",)
    assert question.supporting_titles == ("A (film)", "B")
    assert question.metadata.keys() == {"type", "level", "supporting_facts"}


def test_2wikimultihopqa_s_own_rows_keep_their_evidences(tmp_path):
    path = tmp_path / "2wikimultihopqa" / "dev.json"
    path.parent.mkdir()
    path.write_text(json.dumps([HOTPOTQA | {"evidences": [["A", "country", "X"]]}]))
    [question] = read_questions(path)
    assert question.dataset == "2wikimultihopqa"
    assert question.supporting_titles == ("A (film)", "B")
    assert question.metadata["evidences"] == [["A", "country", "X"]]


def test_musique_s_own_rows_are_read_and_unanswerable_ones_counted(tmp_path, caplog):
    unanswerable = MUSIQUE | {"answerable": False}
    path = write(tmp_path, MUSIQUE, unanswerable, name="musique")
    [question] = read_questions(path)
    assert question.golden_answers == ("1925", "in 1925")
    assert question.supporting_titles == ("B", "C")
    assert "paragraphs" not in question.metadata
    assert f"{path}: 1 unanswerable, left out" in caplog.text


def test_rows_whose_answers_are_withheld_are_refused(tmp_path):
    withheld = {key: value for key, value in HOTPOTQA.items() if key != "answer"}
    with pytest.raises(DataError, match=r"hotpotqa\.jsonl:1: no \"answer\""):
        read_questions(write(tmp_path, withheld, name="hotpotqa"))


def test_flashrag_s_musique_names_its_titles_in_the_decomposition():
    hops = [
        {"support_paragraph": {"title": "A", "paragraph_text": "One."}},
        {"support_paragraph": None},
        {"support_paragraph": {"title": "B", "paragraph_text": "Two."}},
    ]
    metadata = {"answerable": True, "question_decomposition": hops}
    assert parse_question(ROW | {"metadata": metadata}, "musique").supporting_titles == ("A", "B")


def test_the_passages_that_come_with_a_question_are_left_behind(tmp_path):
    facts = {"title": ["A"], "sent_id": [0]}
    metadata = {"supporting_facts": facts, "context": {"title": ["A"]}, "level": None, "type": "t"}
    [question] = read_questions(write(tmp_path, ROW | {"metadata": metadata}))
    assert question.metadata == {"supporting_facts": facts, "type": "t"}


def test_an_empty_answer_among_others_is_left_out():
    answers = ["", "A", " ", "B"]
    assert parse_question(ROW | {"golden_answers": answers}, "nq").golden_answers == ("A", "B")


def search_r1(source, index, **change):
    """A row as Search-R1's test.parquet has it."""
    return {
        "id": f"test_{index}",
        "question": f"who is {source} {index}",
        "golden_answers": ["A", "B"],
        "data_source": source,
        "prompt": [{"role": "user", "content": f"Answer. Question: who is {source} {index}?\n"}],
        "ability": "fact-reasoning",
        "reward_model": {"ground_truth": {"target": ["A", "B"]}, "style": "rule"},
        "extra_info": {"index": index, "split": "test"},
        "metadata": None,
        **change,
    }


def write_parquet(path, *rows):
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.Table.from_pylist(list(rows)), path)
    return path


def test_search_r1_s_file_holds_several_sets_and_each_takes_its_own(tmp_path):
    facts = {"supporting_facts": {"title": ["X", "Y"]}, "context": {"title": ["X"]}, "type": "t"}
    path = write_parquet(
        tmp_path / "test.parquet",
        search_r1("nq", 0),
        search_r1("searchR1_hotpotqa", 0, metadata=facts),
        search_r1("nq", 1),
    )
    assert [(q.dataset, q.id) for q in read_questions(path)] == [
        ("nq", "test_0"),
        ("hotpotqa", "test_0"),
        ("nq", "test_1"),
    ]
    assert [q.text for q in read_questions(path, "nq")] == ["who is nq 0", "who is nq 1"]
    [hotpotqa] = read_questions(path, "hotpotqa")
    assert hotpotqa.supporting_titles == ("X", "Y")
    assert hotpotqa.metadata.keys() == {"supporting_facts", "type"}
    with pytest.raises(DataError, match="no question of musique"):
        read_questions(path, "musique")


@pytest.mark.parametrize(
    ("gone", "change"),
    [
        (["question"], {}),
        (["question", "prompt"], {"extra_info": {"index": 0, "split": "test", "question": "q"}}),
        (["id", "golden_answers"], {}),
        (["reward_model", "golden_answers"], {"reward_spec": {"ground_truth": {"target": ["A"]}}}),
        (["golden_answers"], {"reward_model": {"ground_truth": "A"}}),
    ],
)
def test_verl_s_and_skyrl_s_rows_need_not_repeat_flashrag_s_columns(tmp_path, gone, change):
    row = {k: v for k, v in search_r1("nq", 0, **change).items() if k not in gone}
    [question] = read_questions(write_parquet(tmp_path / "train.parquet", row))
    asked = "q" if "prompt" in gone else "who is nq 0?" if "question" in gone else "who is nq 0"
    assert (question.id, question.dataset, question.text) == ("test_0", "nq", asked)
    assert question.golden_answers[0] == "A"


def test_a_row_in_no_known_layout_is_named(tmp_path):
    path = write_parquet(tmp_path / "x.parquet", search_r1("nq", 0, extra_info="none"))
    with pytest.raises(DataError, match=r"x\.parquet, row 1: not a row of any layout known here"):
        read_questions(path)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (HOTPOTQA | {"answer": 3}, "must hold strings"),
        (HOTPOTQA | {"supporting_facts": "A (film)"}, "must be strings in a list"),
        (HOTPOTQA | {"supporting_facts": [[1, 0]]}, "must be strings in a list"),
        (MUSIQUE | {"answer_aliases": "1925"}, '"answer_aliases" must be a list'),
        (MUSIQUE | {"paragraphs": "B"}, "not a row of any layout"),
        (search_r1("nq", 0, golden_answers=None, reward_model={}), "must hold strings"),
        (search_r1("nq", 0, golden_answers=None, reward_model="A"), "not a row of any layout"),
        (search_r1(3, 0), '"dataset" must be a string'),
        (search_r1(["nq"], 0), '"dataset" must be a string'),
    ],
)
def test_wrong_types_in_the_layouts_of_others_are_named_by_file_and_line(tmp_path, row, reason):
    with pytest.raises(DataError, match=rf"nq\.jsonl:1: .*{reason}"):
        read_questions(write(tmp_path, row))


text = st.text(min_size=1).filter(str.strip)


@given(
    st.lists(
        st.builds(
            lambda id_, asked, answers, titles: {
                "id": id_,
                "question": asked.strip(),
                "golden_answers": answers,
                "dataset": "nq",
                "metadata": {"supporting_titles": titles} if titles else {},
            },
            text,
            text,
            st.lists(text, min_size=1),
            st.lists(text, unique=True),
        ),
        min_size=1,
        unique_by=lambda row: row["id"],
    )
)
def test_any_questions_survive_writing_and_reading(tmp_path_factory, made):
    path = write(tmp_path_factory.mktemp("questions"), *made)
    assert [question_row(question) for question in read_questions(path)] == made


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
