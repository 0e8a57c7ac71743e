import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from searchr2.files import read_json
from searchr2.tracking.lock import LockedError
from searchr2.tracking.record import Record, flatten

CONFIG = {"seed": 1, "grpo": {"steps": 3, "betas": (0.9, 0.99)}, "model": {"path": None}}


def record(folder: Path, **changes) -> Record:
    settings = {"name": "train/x/mini/seed1", "stage": "train", "tags": {"seed": 1}}
    return Record.open(folder, **{**settings, "config": CONFIG, **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_run_json_says_what_ran_and_how_it_ended(tmp_path):
    with record(tmp_path) as run:
        assert read_json(tmp_path / "run.json")["status"] == "running"
        run.log({"reward/mean": 0.5}, step=1)
    about = read_json(tmp_path / "run.json")
    assert about["status"] == "finished"
    assert about["start"] <= about["end"] < time.time() * 1000 + 1
    assert about["parameters"]["grpo.betas"] == "[0.9, 0.99]"
    assert set(about["tags"]) >= {"seed", "stage", "config", "code", "commit", "dirty", "attempt"}
    assert about["tags"]["attempt"] == "1"
    assert read_json(tmp_path / "provenance.json")["config"]["seed"] == 1


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError, "failed"), (KeyboardInterrupt, "killed"), (SystemExit, "killed")],
)
def test_a_run_that_stops_says_how(tmp_path, error, status):
    def stop():
        with record(tmp_path):
            raise error

    with pytest.raises(error):
        stop()
    assert read_json(tmp_path / "run.json")["status"] == status
    assert not (tmp_path / "metrics.jsonl").exists()


def test_an_error_after_the_launcher_died_is_a_run_that_was_killed(tmp_path, monkeypatch):
    def lose_a_peer():
        with record(tmp_path):
            launcher = subprocess.Popen([sys.executable, "-c", ""])
            launcher.wait()
            monkeypatch.setenv("SEARCHR2_PARENT", str(launcher.pid))
            raise ConnectionError

    with pytest.raises(ConnectionError):
        lose_a_peer()
    assert read_json(tmp_path / "run.json")["status"] == "killed"


def test_none_is_left_out_and_non_finite_values_are_counted(tmp_path, caplog):
    with record(tmp_path) as run:
        run.log({"a": 1, "b": None, "c": math.nan, "d": math.inf}, step=1)
    (line,) = lines(tmp_path / "metrics.jsonl")
    assert line["metrics"] == {"a": 1.0, "alarms/nonfinite": 2.0}
    assert "c, d" in caplog.text


def test_a_resumed_run_keeps_its_points_and_their_times(tmp_path):
    def interrupted():
        with record(tmp_path) as run:
            for step in (1, 2, 3):
                run.log({"reward/mean": step / 3, "time/rollout": 1.0}, step)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    before = lines(tmp_path / "state/metrics.jsonl")
    with record(tmp_path) as run:
        run.rewind(1)
        for step in (2, 3, 4):
            run.log({"reward/mean": step / 3, "time/rollout": 2.0}, step)
    after = lines(tmp_path / "metrics.jsonl")
    assert after[:3] == before
    assert [line["step"] for line in after] == [1, 2, 3, 4]
    about = read_json(tmp_path / "run.json")
    assert [attempt["status"] for attempt in about["attempts"]] == ["killed", "finished"]
    assert about["tags"]["attempt"] == "2"


def test_another_value_at_a_recorded_step_is_reported_and_replaces_it(tmp_path, caplog):
    with record(tmp_path) as run:
        run.log({"loss": 1.0}, step=1)
        run.rewind(0)
        run.log({"loss": 2.0}, step=1)
    assert "loss is 2.0 now, was 1.0" in caplog.text
    assert [line["metrics"] for line in lines(tmp_path / "metrics.jsonl")] == [{"loss": 2.0}]


def test_points_taken_back_and_not_computed_again_are_not_in_the_result(tmp_path):
    with record(tmp_path) as run:
        run.log({"loss": 1.0}, step=1)
        run.log({"loss": 0.5}, step=2)
        run.rewind(1)
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1]


def test_a_torn_last_line_is_dropped(tmp_path):
    with record(tmp_path) as run:
        run.log({"loss": 1.0}, step=1)
    with (tmp_path / "state/metrics.jsonl").open("a") as file:
        file.write('{"time": 1, "st')
    with record(tmp_path) as run:
        run.log({"loss": 0.5}, step=2)
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]


def test_another_config_is_another_run(tmp_path):
    with record(tmp_path) as run:
        run.log({"loss": 1.0}, step=1)
    first = read_json(tmp_path / "run.json")
    with record(tmp_path, config={**CONFIG, "seed": 2}) as run:
        run.log({"loss": 3.0}, step=1)
    about = read_json(tmp_path / "run.json")
    assert about["id"] != first["id"]
    assert len(about["attempts"]) == 1
    assert [line["metrics"]["loss"] for line in lines(tmp_path / "metrics.jsonl")] == [3.0]


def test_trajectories_and_snapshots_are_kept_until_another_run_takes_the_folder(tmp_path):
    with record(tmp_path) as run:
        run.keep([{"id": "q"}], step=4)
        (tmp_path / "snapshots/step0004").mkdir(parents=True)
    assert lines(tmp_path / "rollouts/step-000004.jsonl") == [{"id": "q"}]
    with record(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} >= {"rollouts", "snapshots"}
    with record(tmp_path, config={**CONFIG, "seed": 2}):
        assert not {path.name for path in tmp_path.iterdir()} & {"rollouts", "snapshots"}


def test_another_input_is_another_run(tmp_path):
    data = tmp_path / "data.jsonl"
    ids = []
    for text in ("one", "one", "two"):
        data.write_text(text)
        with record(tmp_path / "run", inputs={"data": data}):
            ids.append(read_json(tmp_path / "run/run.json")["id"])
    assert ids[0] == ids[1] != ids[2]
    assert read_json(tmp_path / "run/provenance.json")["inputs"]["data"]["path"] == "data.jsonl"


HOLDER = """
import sys, time
from pathlib import Path
from searchr2.tracking.record import Record
with Record.open(Path(sys.argv[1]), name="n", stage="s", tags={}, config={}) as run:
    run.log({"loss": 1.0}, step=1)
    print("holding", flush=True)
    time.sleep(60)
"""


def test_one_writer_a_folder_until_it_dies(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(LockedError, match=f"process {other.pid} on "):
            record(tmp_path, name="n", stage="s", tags={}, config={}).__enter__()
        os.kill(other.pid, signal.SIGKILL)
    with record(tmp_path, name="n", stage="s", tags={}, config={}) as run:
        run.log({"loss": 0.5}, step=2)
    about = read_json(tmp_path / "run.json")
    assert [attempt["status"] for attempt in about["attempts"]] == ["killed", "finished"]
    assert [line["step"] for line in lines(tmp_path / "metrics.jsonl")] == [1, 2]


def test_parameters_are_flat_text():
    assert flatten({"a": {"b": 1, "c": {"d": None}}, "e": "x", "f": {}}) == {
        "a.b": "1",
        "a.c.d": "null",
        "e": "x",
    }


def test_opening_and_closing_is_cheap(tmp_path):
    with record(tmp_path):
        pass
    start = time.process_time()
    with record(tmp_path):
        pass
    assert time.process_time() - start < 0.1
