"""Each check of the doctor says what is wrong and what to do, and is content where nothing is."""

import errno
import fcntl
import socket
from pathlib import Path

import pytest

import searchr2.doctor.checks as checks
import searchr2.doctor.named as named
from searchr2.cli.main import main
from searchr2.config import Experiment
from searchr2.doctor.finding import Finding
from searchr2.plan.machine import GIB

ROOT = Path(__file__).parents[2]


def remedied(finding: Finding, state: str = "bad") -> str:
    """The remedy of a finding that is not well."""
    assert finding.state == state, finding
    assert finding.remedy
    return finding.remedy


def test_an_old_python():
    assert "python3.11" in remedied(checks.python((3, 10)))
    assert checks.python((3, 12)).state == "ok"


def test_packages_that_are_missing_or_of_another_version():
    required = ["torch>=2.6", "tqdm>=4", "pytest>=8; extra == 'dev'"]
    found = {f.what: f for f in checks.packages(required, {"torch": "2.1"})}
    assert found["package torch"].found == "2.1, not >=2.6"
    assert found["package tqdm"].found == "not installed"
    assert "requirements.txt" in remedied(found["package tqdm"])
    assert "package pytest" not in found
    [fine] = checks.packages(required, {"torch": "2.13.0+cpu", "tqdm": "4.70"})
    assert (fine.state, fine.found) == ("ok", "2 have a version that pyproject.toml allows")


def test_a_package_is_found_however_its_name_is_spelled():
    [fine] = checks.packages(["prometheus-client>=0.20"], {"Prometheus_Client": "0.26.0"})
    assert fine.state == "ok"


def test_programs_that_are_not_on_the_path():
    found = list(checks.tools({"searchr2": None, "cc": None, "git": "/usr/bin/git"}))
    assert "activate" in remedied(found[0])
    assert "gcc" in remedied(found[1], "note")
    assert found[2].state == "ok"


def test_a_module_that_cannot_be_imported_and_one_that_takes_its_process_down(
    tmp_path, monkeypatch
):
    (tmp_path / "crashing.py").write_text("import os; os._exit(9)")
    (tmp_path / "broken.py").write_text("raise ImportError('libcudart.so.12: not found')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert "ends with 9" in checks.imports("crashing").found
    assert "libcudart.so.12" in checks.imports("broken").found
    assert "pin" in remedied(checks.imports("broken"))
    assert checks.imports("json").state == "ok"


def test_a_gpu_that_torch_does_not_see():
    assert "CPU build" in remedied(checks.accelerator(0, "cuda False none\n", driver=True))
    assert "driver" in remedied(checks.accelerator(0, "cuda False 12.8\n", driver=True))
    assert remedied(checks.accelerator(1, "RuntimeError: no kernel image", driver=True))
    assert checks.accelerator(0, "cuda False none\n", driver=False).state == "ok"
    assert checks.accelerator(0, "cuda True 12.8\n", driver=True).found == "on a GPU, CUDA 12.8"


def test_threads_that_nobody_bounds():
    assert "OMP_NUM_THREADS=1" in remedied(checks.threads({}, 8), "note")
    assert checks.threads({"OMP_NUM_THREADS": "1"}, 8).state == "ok"


def test_too_little_memory_shared_memory_or_room():
    assert "--cores 1" in remedied(checks.memory(2 * GIB), "note")
    assert "--shm-size" in remedied(checks.shared_memory(64 << 20))
    assert "searchr2 plan" in remedied(checks.room(1e9))
    assert {f(1e13).state for f in (checks.memory, checks.shared_memory, checks.room)} == {"ok"}


def test_fewer_gpus_than_processes():
    assert "one a process" in remedied(checks.gpus(8, 1), "note")
    assert checks.gpus(2, 8).state == "ok"


def test_results_that_cannot_be_written_or_locked(tmp_path, monkeypatch):
    assert {f.state for f in checks.results(tmp_path / "new" / "results")} == {"ok"}
    assert list(tmp_path.iterdir()) == []

    def refuse(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert "locks" in remedied(next(f for f in checks.results(tmp_path) if f.what == "locks"))

    def forbid(self, mode):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbid)
    first = next(iter(checks.results(tmp_path)))
    assert "Permission denied" in first.found
    assert "results:" in remedied(first)


def test_models_and_passages_that_are_not_there(tmp_path):
    settings = Experiment.model_validate(
        {
            "model": {"path": str(tmp_path), "instruct": "Qwen/Qwen2.5-7B-Instruct"},
            "runs": {"published": {"model": "no/such/folder"}},
            "data": {"corpus": "no.jsonl", "questions": {"nq": "a"}, "train": ["b"]},
            "retrieval": {"kind": "dense", "encoder": str(tmp_path), "vectors": ["part_aa"]},
            "deepspeed": {"config": str(tmp_path)},
        }
    )
    found = {f.what: f for f in named.models(settings)}
    assert found["model.path"].state == "ok"
    assert found["model.instruct"].state == "note"
    assert "fetch" in remedied(found["runs.published.model"])
    for place in ("data.corpus", "data.questions.nq", "data.train", "retrieval.vectors"):
        assert remedied(found[place])
    assert found["deepspeed.config"].state == "ok"


def test_a_server_that_does_not_answer():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        assert named.server("judge.url", url).state == "ok"
    assert "start the server" in remedied(named.server("judge.url", url))


def test_the_servers_of_a_config_are_asked():
    settings = Experiment.model_validate(
        {
            "engine": {"kind": "vllm", "urls": ["http://127.0.0.1:1"]},
            "retrieval": {"kind": "http", "urls": ["http://127.0.0.1:2/retrieve"]},
            "judge": {"kind": "http", "url": "http://127.0.0.1:3/v1", "model": "m"},
        }
    )
    places = [place for place, _ in named.servers(settings)]
    assert places == ["engine.urls", "retrieval.urls", "judge.url"]
    assert list(named.servers(Experiment())) == []


@pytest.mark.parametrize(("state", "status"), [("ok", 0), ("note", 0), ("bad", 1)])
def test_the_command_ends_with_1_where_something_must_be_put_right(
    monkeypatch, capsys, state, status
):
    finding = Finding("a thing", state, "as found", "" if state == "ok" else "do this")
    monkeypatch.setattr(checks, "examine", lambda settings: [finding])
    monkeypatch.chdir(ROOT)
    if status:
        with pytest.raises(SystemExit) as ended:
            main(["doctor"])
        assert ended.value.code == status
    else:
        assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "as found" in shown
    assert ("-> do this" in shown) == (state != "ok")
