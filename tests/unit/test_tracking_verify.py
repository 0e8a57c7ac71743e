import subprocess

import pytest
from records import evaluation_record, open_training, train_record, write_questions

from searchr2.cli.main import main
from searchr2.files import read_json, write_json, write_manifest, write_text
from searchr2.tracking import provenance
from searchr2.tracking.provenance import content_digest, made, provenance_path
from searchr2.tracking.reconcile import reconcile
from searchr2.tracking.verify import find_artefacts, verify


@pytest.fixture
def results(tmp_path):
    """World -> index -> training; world and evaluation -> table."""
    write_text(tmp_path / "world/corpus.jsonl", "passages")
    with made(tmp_path / "world", stage="world", config={"seed": 7}, inputs={}):
        pass
    write_text(tmp_path / "index/terms", "terms")
    write_manifest(tmp_path / "index", {})
    with made(
        tmp_path / "index", stage="index", config={}, inputs={"c": tmp_path / "world/corpus.jsonl"}
    ):
        pass
    write_text(tmp_path / "table1.csv", "method")
    with made(tmp_path / "table1.csv", stage="table", config={}, inputs={"i": tmp_path / "index"}):
        pass
    return tmp_path


def test_what_matches_is_fine(results, capsys):
    assert main(["verify", "--results", str(results)]) == 0
    assert "3 of 3 artefacts match" in capsys.readouterr().out
    made_by = read_json(provenance_path(results / "table1.csv"))
    assert made_by["artefact"] == "table1.csv"
    assert set(made_by) >= {
        "config",
        "inputs",
        "code",
        "packages",
        "hardware",
        "command",
        "start",
        "end",
    }


def test_a_changed_input_is_named_with_all_that_rests_on_it(results, capsys):
    write_text(results / "world/corpus.jsonl", "other passages")
    with pytest.raises(SystemExit):
        main(["verify", "--results", str(results)])
    said = capsys.readouterr().out
    assert f"{results / 'world'}: has changed since it was made" in said
    assert "was made from world/corpus.jsonl, which is another one now" in said
    assert f"{results / 'table1.csv'}: rests on {results / 'index'}" in said
    assert f"{results / 'table1.csv'}: rests on {results / 'world'}" in said
    assert "0 of 3 artefacts match" in said


def test_a_damaged_or_missing_artefact_is_named(results):
    write_text(results / "index/terms", "TERMS")
    (results / "table1.csv").unlink()
    problems = verify(find_artefacts(results))
    assert set(problems) == {results / "index", results / "table1.csv"}
    assert "damaged" in problems[results / "index"][0]
    assert problems[results / "table1.csv"][0] == "is gone"


def test_a_provenance_says_what_made_the_artefact(results, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/env/bin/searchr2", "table", "--title", "two words"])
    with made(results / "x", stage="x", config={"a": {"b": 1}}, inputs={"i": results / "index"}):
        write_text(results / "x/y", "z")
    told = read_json(provenance_path(results / "x"))
    assert told["config"] == {"a": {"b": 1}}
    digest = content_digest(results / "index")
    assert told["inputs"] == {"i": {"path": "index", "digest": digest}}
    assert told["command"] == "searchr2 table --title 'two words'"
    assert told["code"].keys() == {"digest", "commit", "dirty", "diff"}
    assert told["packages"].keys() >= {"python", "numpy"}
    assert told["hardware"].keys() == {"host", "system", "cores", "memory_gib", "gpus"}
    assert 0 < told["start"] <= told["end"]


def test_uncommitted_changes_are_kept_with_the_commit_they_are_over(tmp_path, monkeypatch):
    def git(*command):
        author = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *author, *command], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init")
    write_text(tmp_path / "grpo.py", "clip = 0.2\n")
    git("add", "grpo.py")
    git("commit", "-m", "one")
    monkeypatch.setattr(provenance, "SOURCE", tmp_path)
    clean = provenance.code.__wrapped__()
    assert (clean["commit"], clean["dirty"], clean["diff"]) == (
        git("rev-parse", "HEAD"),
        False,
        None,
    )
    write_text(tmp_path / "grpo.py", "clip = 0.3\n")
    changed = provenance.code.__wrapped__()
    assert (changed["commit"], changed["dirty"]) == (clean["commit"], True)
    assert "-clip = 0.2\n+clip = 0.3\n" in changed["diff"]
    assert changed["digest"] != clean["digest"]


def test_a_block_that_fails_leaves_no_provenance(tmp_path):
    with pytest.raises(ZeroDivisionError), made(tmp_path / "x", stage="x", config={}, inputs={}):
        1 / 0  # noqa: B018
    assert not provenance_path(tmp_path / "x").exists()


def test_records_have_a_provenance_that_their_own_state_does_not_change(tmp_path):
    write_questions(tmp_path)
    evaluation_record(tmp_path, "rag", "rag", "base", 20.0)
    before = content_digest(tmp_path / "evaluate/rag/seed1")
    evaluation_record(tmp_path, "rag", "rag", "base", 10.0, snapshot=4)
    write_json(tmp_path / "evaluate/rag/seed1/run.json", {})
    assert content_digest(tmp_path / "evaluate/rag/seed1") == before is not None
    assert verify(find_artefacts(tmp_path)) == {}


def test_reconcile_marks_the_dead_and_leaves_the_living(tmp_path):
    train_record(tmp_path, "dead", 1)
    path = tmp_path / "train/dead/seed1/run.json"
    about = read_json(path)
    about["attempts"][-1].update(status="running", end=None)
    write_json(path, {**about, "status": "running", "end": None})
    with open_training(tmp_path, "alive", 1):
        assert reconcile(tmp_path) == ["train/dead/qwen2-mini/seed1"]
        assert read_json(tmp_path / "train/alive/seed1/run.json")["status"] == "running"
    about = read_json(path)
    assert about["status"] == about["attempts"][-1]["status"] == "killed"
    assert about["start"] <= about["end"]
    assert reconcile(tmp_path) == []
