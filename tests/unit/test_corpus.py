"""Reading passages: the layout, its quirks, and what is said of rows that cannot be used."""

import json

import pytest

from searchr2.corpus import read_corpus, split_contents
from searchr2.files import DataError


def write(folder, *rows):
    path = folder / "corpus.jsonl"
    path.write_text(
        "".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows)
    )
    return path


@pytest.mark.parametrize(
    ("contents", "title", "text"),
    [
        ('"A B"\nIt is.', "A B", "It is."),
        ('"A B"\nIt is.\nIt was.', "A B", "It is.\nIt was."),
        ('"""A"" B"\nThe ""A"" is.', '"A" B', 'The ""A"" is.'),
        ('"Eddie "The Eagle" Edwards"\nHe is.', 'Eddie "The Eagle" Edwards', "He is."),
        ('"A B"', "A B", "A B"),
        ("No title. It is.", "No title. It is.", "No title. It is."),
        ("No title.\nIt is.", "No title.", "No title.\nIt is."),
        ('"\nIt is.', '"', '"\nIt is.'),
    ],
)
def test_title_and_text_are_parted(contents, title, text):
    assert split_contents(contents) == (title, text)


def test_ids_become_strings_and_order_is_kept(tmp_path):
    path = write(tmp_path, {"id": 7, "contents": '"A"\na'}, "", {"id": "x", "contents": '"B"\nb'})
    assert [(p.id, p.title, p.text, p.score) for p in read_corpus(path)] == [
        ("7", "A", "a", 0.0),
        ("x", "B", "b", 0.0),
    ]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("{", "not a line of JSON"),
        ("[1]", "expected a JSON object"),
        ({"contents": "c"}, '"id" must be'),
        ({"id": "", "contents": "c"}, '"id" must be'),
        ({"id": None, "contents": "c"}, '"id" must be'),
        ({"id": "b"}, '"contents" must be'),
        ({"id": "b", "contents": " \n"}, '"contents" must be'),
        ({"id": "b", "contents": ["c"]}, '"contents" must be'),
        ({"id": "a", "contents": "c"}, "id 'a' occurs twice"),
    ],
)
def test_a_row_that_cannot_be_used_is_named_by_file_and_line(tmp_path, row, reason):
    path = write(tmp_path, {"id": "a", "contents": '"A"\na'}, row)
    with pytest.raises(DataError) as error:
        list(read_corpus(path))
    assert str(error.value).startswith(f"{path}:2: ")
    assert reason in str(error.value)


def test_an_empty_corpus_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no passage"):
        list(read_corpus(write(tmp_path, "")))


def test_a_corpus_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.jsonl: No such file"):
        list(read_corpus(tmp_path / "nowhere.jsonl"))


def test_real_passages_are_read(real):
    passages = list(read_corpus(real / "corpus.jsonl"))
    assert len(passages) == 33_457
    assert all(p.title and p.text for p in passages)
    assert sum(p.title.startswith('"') and p.title.endswith('"') for p in passages) == 0
