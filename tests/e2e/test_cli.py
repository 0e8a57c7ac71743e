"""The commands as a person types them: help, a question, and one line where something is amiss."""

from __future__ import annotations

import json
import shutil
import socket
import tomllib
from pathlib import Path

import pytest

from searchr2.cli.main import COMMANDS, main
from searchr2.files import read_json, read_jsonl, write_json
from searchr2.tracking.lock import exclusive
from tests.e2e.stages import TOWNS, fact

pytestmark = pytest.mark.e2e
ROOT = Path(__file__).parents[2]
RUN = "ask", "Where is tamsul?", "--run", "search-r2", "--results"


@pytest.fixture
def say(capsys):
    """Runs a command in this process; its exit status, and what it printed and complained of."""

    def run(*arguments):
        status = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return status, said.out, said.err

    return run


@pytest.fixture
def refused(say):
    """The one line with which a command refuses; its exit status is 2."""

    def run(*arguments):
        status, _, complaint = say(*arguments)
        assert status == 2, complaint
        lines = [line for line in complaint.splitlines() if line.startswith("searchr2 ")]
        assert len(lines) == 1, complaint
        assert "Traceback" not in complaint
        return lines[0]

    return run


@pytest.fixture
def copy(stages, trained, tmp_path):
    """A copy of the results, to be damaged."""
    shutil.copytree(stages.results, tmp_path / "results")
    return tmp_path / "results"


def spoil(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def authors(shown):
    return [line.split()[0] for line in shown.splitlines()]


# Help


def test_help_lists_every_command_with_what_it_does(say):
    status, shown, _ = say("--help")
    assert status == 0
    for name, what in COMMANDS.items():
        assert f"{name} " in shown
        assert what in shown
    assert say()[1] == shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name, capsys):
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    assert end.value.code == 0
    shown = capsys.readouterr().out
    assert "example" in shown
    assert f"searchr2 {name}" in shown.partition("example")[2]


def test_an_unknown_command_is_named_beside_the_known_ones(say):
    status, _, complaint = say("trian")
    assert status == 2
    assert complaint.startswith("searchr2: no command 'trian'")
    assert "train" in complaint


def test_the_version_is_that_of_the_package(say):
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert say("--version") == (0, f"searchr2 {declared}\n", "")


# Asking


def test_ask_shows_the_trajectory_as_it_unfolds(say, stages, trained):
    status, shown, _ = say(*RUN, stages.results)
    assert status == 0
    said = authors(shown)
    assert said[0] == "question"
    assert said[1] == "actor"
    assert said[-1] == "answer"
    assert "evidence" in said
    assert any(fact(town) in shown for town in TOWNS)


def test_ask_answers_alike_when_asked_again(say, stages, trained):
    assert say(*RUN, stages.results) == say(*RUN, stages.results)


def test_ask_with_the_refiner_shows_its_verdict_and_the_cut(say, stages, trained):
    status, shown, _ = say(*RUN, stages.results, "--refine")
    assert status == 0
    verdict, outcome = [line for line in shown.splitlines() if line.startswith(" refiner")]
    assert "accept" in verdict
    assert "step 1" in verdict
    if "accepted" in outcome:
        assert authors(shown)[-2:] == ["refiner", "answer"]
    else:
        assert "written again from step" in outcome
        assert "actor" in authors(shown)[authors(shown).index("refiner") :]


def test_ask_reads_any_checkpoint_and_index(say, stages, base):
    status, shown, _ = say(
        "ask", "Where is tamsul?", "--checkpoint", base / "model", "--index", stages.index
    )
    assert status == 0
    assert authors(shown)[0] == "question"


def test_a_passage_cannot_steer_the_terminal(say, stages, trained, tmp_path):
    corpus = tmp_path / "corpus.jsonl"
    text = "tamsul is \x1b[2Jlocated in \x07belmar."
    rows = [{"id": town, "contents": f'"{town}"\n{text}'} for town in TOWNS]
    corpus.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert say("index", "--corpus", corpus, "--out", tmp_path / "index")[0] == 0
    status, shown, _ = say(*RUN, stages.results, "--index", tmp_path / "index")
    assert status == 0
    assert "located in" in shown
    assert not {"\x1b", "\x07"} & set(shown)


def test_ask_wants_to_know_whom(refused):
    assert "--run NAME or --checkpoint DIR" in refused("ask", "Where is tamsul?")


# Searching and scoring


def test_search_prints_a_json_line_a_passage(say, stages):
    status, shown, _ = say("search", "--index", stages.index, "--k", 2, "tamsul located")
    rows = [json.loads(line) for line in shown.splitlines()]
    assert status == 0
    assert [list(row) for row in rows] == [["rank", "id", "title", "score", "text"]] * 2
    assert rows[0]["text"] == fact("tamsul")
    assert [row["rank"] for row in rows] == [1, 2]


def test_an_evaluation_can_be_scored_again(say, evaluated):
    predictions = evaluated / "predictions.jsonl"
    status, shown, _ = say("score", "--predictions", predictions, "--json")
    scores, recorded = json.loads(shown), read_json(evaluated / "metrics.json")
    assert status == 0
    assert scores["n"] == len(TOWNS)
    assert scores["em"] == pytest.approx(recorded["sets"]["nq"]["em"])
    status, shown, _ = say("score", "--predictions", predictions)
    assert "nq" in shown


def test_predictions_are_readable_trajectories(evaluated):
    rows = [row for _, row in read_jsonl(evaluated / "predictions.jsonl")]
    assert [row["id"] for row in rows] == list(TOWNS)
    searched = [turn for row in rows for turn in row["turns"] if "query" in turn]
    assert searched
    assert all(f"<search> {turn['query']}</search>" in turn["text"] for turn in searched)
    assert all(turn["documents"][0]["title"] in TOWNS for turn in searched)


def test_evaluation_with_the_refiner_records_its_verdicts(say, stages, trained, tmp_path):
    out = tmp_path / "row" / "seed1"
    inputs = ["--checkpoint", trained, "--index", stages.index, "--questions", stages.questions]
    status, *_ = say("evaluate", "--method", "search", *inputs, "--refine", "--out", out)
    assert status == 0
    for _, row in read_jsonl(out / "predictions.jsonl"):
        assert len(row["verdicts"]) == 1
        assert len(row["drafts"]) == (not row["verdicts"][0]["accepts"])


# What is amiss is said in one line, with the rule that puts it right


def test_a_second_writer_is_refused(refused, stages, trained):
    with exclusive(trained / "state" / "lock"):
        line = refused("train", "--config", stages.results / "train.json", "--out", trained)
    assert "held by process" in line
    assert read_json(trained / "run.json")["status"] == "finished"


@pytest.mark.parametrize("name", ["model/model.safetensors", "model/tokenizer.json"])
@pytest.mark.parametrize("damage", [spoil, lambda path: path.unlink()])
def test_a_damaged_checkpoint_is_named_with_the_rule_that_rebuilds_it(
    refused, copy, stages, name, damage
):
    damage(copy / "base" / name)
    stages.write_run(copy / "train.json", model=str(copy / "base"))
    line = refused("train", "--config", copy / "train.json", "--out", copy / "new")
    assert str(copy / "base" / name) in line
    assert "snakemake --forcerun base" in line
    damage(copy / "train" / "search-r2" / "seed1" / name)
    line = refused(*RUN, copy)
    assert str(copy / "train" / "search-r2" / "seed1" / name) in line
    assert "snakemake" in line


def test_a_missing_checkpoint_is_named_with_the_rule_that_makes_it(refused, copy, stages):
    shutil.rmtree(copy / "base")
    stages.write_run(copy / "train.json", model=str(copy / "base"))
    line = refused("train", "--config", copy / "train.json", "--out", copy / "new")
    assert f"{copy / 'base'}: no checkpoint here" in line
    assert "snakemake --forcerun base" in line
    assert "no checkpoint here" in refused("ask", "why", "--run", "nosuch", "--results", copy)


def test_a_missing_checkpoint_named_from_here_is_not_sought_on_the_hub(refused, copy, monkeypatch):
    monkeypatch.chdir(copy.parent)
    shutil.rmtree("results/base")
    assert "results/base: no checkpoint here" in refused("ask", "why", "--run", "base")


@pytest.mark.parametrize("damage", [spoil, lambda path: path.unlink()])
def test_a_damaged_index_is_named_with_the_rule_that_rebuilds_it(refused, copy, stages, damage):
    index = copy / "index" / "task"
    damage(index / "passages.jsonl")
    rule = "snakemake --forcerun index_task"
    stages.write_run(copy / "train.json", index=str(index))
    for line in (
        refused("train", "--config", copy / "train.json", "--out", copy / "new"),
        refused("search", "--index", index, "tamsul"),
        refused(*RUN, copy),
    ):
        assert str(index / "passages.jsonl") in line
        assert rule in line


def test_a_missing_index_or_tokenizer_stops_the_base_stage_by_name(refused, copy):
    config = ["--config", copy / "base.json", "--out", copy / "new"]
    questions = ["--demonstrations", copy / "demonstrations.jsonl"]
    tokenizer, index = copy / "tokenizer", copy / "index" / "task"
    line = refused("base", *config, *questions, "--start", copy / "x", "--index", index)
    assert f"{copy / 'x'}: no manifest.json here; `snakemake --forcerun tokenizer base`" in line
    line = refused("base", *config, *questions, "--start", tokenizer, "--index", copy / "y")
    assert f"{copy / 'y'}: no manifest.json here; `searchr2 index` rebuilds it" in line


@pytest.mark.parametrize("name", ["verify", "sync", "reconcile", "ui", "report"])
def test_a_results_folder_that_is_not_there_is_named_and_not_made(refused, tmp_path, name):
    absent = tmp_path / "nowhere"
    out = ["--out", tmp_path / "r.html"] if name == "report" else []
    assert f"{absent}: no such folder" in refused(name, "--results", absent, *out)
    assert not absent.exists()


def test_a_folder_of_nothing_is_not_verified(refused, tmp_path):
    assert "nothing here" in refused("verify", "--results", tmp_path)


@pytest.mark.parametrize("port", [80_000, "taken"])
def test_ui_prints_no_links_to_a_port_it_cannot_have(refused, say, tmp_path, port):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1] if port == "taken" else port
        command = ["ui", "--results", tmp_path, "--port", number]
        assert f"--port: 127.0.0.1:{number}: " in refused(*command)
        assert say(*command)[1] == ""


def test_an_output_that_cannot_be_written_is_named(refused, tmp_path):
    (tmp_path / "file").write_text("")
    path = tmp_path / "file" / "world"
    assert f"{path}" in refused("world", "--config", write_world(tmp_path), "--out", path)


def write_world(folder, **settings):
    path = folder / "world.json"
    write_json(path, {"world": {"works": 40, "test_questions": 2, **settings}})
    return path


def test_hops_that_go_backwards_are_refused(refused, tmp_path):
    config = write_world(tmp_path, hops=[5, 3])
    line = refused("world", "--config", config, "--out", tmp_path / "w")
    assert "hops go from the fewest to the most, not [5, 3]" in line


def test_a_missing_file_is_named(refused, copy):
    absent = copy / "nowhere.json"
    for name in ("train", "world"):
        line = refused(name, "--config", absent, "--out", copy / "new")
        assert f"{absent}: No such file" in line
    inputs = ["--checkpoint", copy / "base", "--index", copy / "index" / "task"]
    questions = ["--questions", copy / "nowhere.jsonl", "--out", copy / "new" / "seed1"]
    line = refused("evaluate", "--method", "search", *inputs, *questions)
    assert "nowhere.jsonl: No such file" in line


def test_a_mistyped_setting_is_named_before_any_work(refused, copy):
    config = read_json(copy / "train.json")
    config["grpo"]["step"] = 3
    write_json(copy / "train.json", config)
    line = refused("train", "--config", copy / "train.json", "--out", copy / "new")
    assert "grpo.step" in line
    assert not (copy / "new").exists()


def test_no_prompt_short_enough_to_train_on_is_said(refused, copy):
    config = read_json(copy / "train.json")
    config["rollout"]["max_prompt_tokens"] = 2
    write_json(copy / "train.json", config)
    line = refused("train", "--config", copy / "train.json", "--out", copy / "new")
    assert "rollout.max_prompt_tokens" in line
