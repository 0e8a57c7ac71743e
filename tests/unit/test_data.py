"""The data stage: the world's files by default, a user's own checked and split."""

import json

import pytest
from worlds import rows, world

from searchr2 import splits
from searchr2.config import SETS, ConfigError, Data, load
from searchr2.data import prepare
from searchr2.files import DataError, read_jsonl


def read(path):
    return [row for _, row in read_jsonl(path)]


def write(path, made):
    path.write_text("".join(json.dumps(row) + "\n" for row in made))
    return str(path)


def questions(name, count):
    return [
        {"id": f"{name}{i}", "question": "who is it", "golden_answers": ["A"], "metadata": {}}
        for i in range(count)
    ]


@pytest.fixture
def own(tmp_path):
    """A user's own files, as the config names them."""
    return {
        "corpus": write(tmp_path / "my.jsonl", [{"id": 1, "contents": '"A"\na'}]),
        "questions": {"nq": write(tmp_path / "asked.jsonl", questions("q", 5))},
        "train": [write(tmp_path / f"{n}.jsonl", questions(n, 10)) for n in ("one", "two")],
        "validation": 4,
    }


def test_by_default_the_files_are_the_world_s(tmp_path):
    prepare(Data(max_questions=3), world(), tmp_path)
    assert (tmp_path / "corpus.jsonl").read_bytes() == (world() / "corpus.jsonl").read_bytes()
    for name in ("train", "validation"):
        assert read(tmp_path / f"{name}.jsonl") == rows(name)
    for name in SETS:
        expected = rows(f"questions/{name}")[:3]
        assert read(tmp_path / "questions" / f"{name}.jsonl") == expected


def test_own_files_are_split_and_the_corpus_is_linked_to(tmp_path, own):
    out = tmp_path / "data"
    prepare(Data(**own), world(), out)
    prepare(Data(**own), world(), out)
    assert (out / "corpus.jsonl").resolve() == (tmp_path / "my.jsonl").resolve()
    assert [path.name for path in (out / "questions").iterdir()] == ["nq.jsonl"]
    assert {row["dataset"] for row in read(out / "questions" / "nq.jsonl")} == {"nq"}
    train, held_out = (read(out / f"{name}.jsonl") for name in ("train", "validation"))
    assert (len(train), len(held_out)) == (16, 4)
    assert {row["dataset"] for row in train} == {"one", "two"}
    ids = [row["id"] for row in (*train, *held_out)]
    assert ids != sorted(ids)
    assert len(set(ids)) == 20


def test_a_corpus_in_another_container_is_imported(tmp_path, own):
    table = tmp_path / "my.tsv"
    table.write_text("1\tIt is.\n")
    out = tmp_path / "data"
    for _ in range(2):
        prepare(Data(**own | {"corpus": str(table)}), world(), out)
        assert not (out / "corpus.jsonl").is_symlink()
        assert read(out / "corpus.jsonl") == [{"id": "1", "contents": "It is."}]


@pytest.fixture
def small_paper(monkeypatch, own):
    """The paper's split table, of the size of ``own``."""
    monkeypatch.setattr(splits, "EVALUATION", {"nq": splits.Split("test", 5)})
    table = {"one": splits.Split("train", 10), "two": splits.Split("train", 10)}
    monkeypatch.setattr(splits, "TRAINING", table)


def test_the_papers_questions_are_counted_before_any_is_left_out(tmp_path, own, small_paper):
    prepare(Data(**own, expect="paper", max_questions=2), world(), tmp_path / "data")
    assert len(read(tmp_path / "data" / "questions" / "nq.jsonl")) == 2


def test_other_questions_than_the_papers_are_refused_where_those_are_expected(
    tmp_path, own, small_paper
):
    own["questions"]["popqa"] = own["questions"]["nq"]
    with pytest.raises(DataError, match="popqa: not one of the paper's sets"):
        prepare(Data(**own, expect="paper"), world(), tmp_path / "data")
    del own["questions"]["popqa"]
    with pytest.raises(DataError, match="two: 0 questions read, its train split has 10"):
        prepare(Data(**own | {"train": own["train"][:1]}, expect="paper"), world(), tmp_path)
    prepare(Data(**own | {"train": own["train"][:1]}), world(), tmp_path / "data")


def test_files_with_the_papers_numbers_pass_and_one_question_less_does_not(tmp_path, own):
    """The real table, against files of so many rows."""
    asked = {
        name: write(tmp_path / f"{name}.jsonl", questions("q", split.questions))
        for name, split in splits.EVALUATION.items()
    }
    train = {
        name: write(tmp_path / name, questions(name, split.questions))
        for name, split in splits.TRAINING.items()
    }
    settings = own | {"questions": asked, "train": list(train.values()), "expect": "paper"}
    prepare(Data(**settings, max_questions=1), world(), tmp_path / "data")
    made = [(tmp_path / "data" / f"{n}.jsonl").read_bytes() for n in ("train", "validation")]
    assert sum(content.count(b"\n") for content in made) == 169_615
    write(tmp_path / "musique.jsonl", questions("q", 2_416))
    with pytest.raises(DataError, match="musique: 2,416 questions read, its dev split has 2,417"):
        prepare(Data(**settings), world(), tmp_path / "data")


def test_holding_out_every_row_is_an_error(tmp_path, own):
    with pytest.raises(ConfigError, match=r"data\.validation: 20 of 20"):
        prepare(Data(**own | {"validation": 20}), world(), tmp_path)


def test_a_bad_passage_is_named_before_anything_is_written(tmp_path, own):
    write(tmp_path / "my.jsonl", [{"id": 1}])
    with pytest.raises(DataError, match=r"my\.jsonl:1: "):
        prepare(Data(**own), world(), tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("missing", ["corpus", "questions", "train"])
def test_own_files_go_together(own, missing):
    with pytest.raises(ConfigError, match=f"go together: no {missing}"):
        load(Data, own | {missing: None}, "config.json")
