"""What runs, when it runs again, and what an interrupted workflow does."""

import os
import re
import subprocess
import sys
import time

import pytest

from searchr2.processes import alive
from tests.workflow.conftest import ROOT

STAGES = "world data tokenizer index base train evaluate table retrieval figure"


def planned(output: str) -> set[str]:
    """The jobs of a dry run, each as its rule and what sets it apart."""
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", output, flags=re.M)
    return {
        "/".join([rule, *re.findall(r"(?:run|row)=([\w.-]+)", about)])
        for rule, about in jobs
        if rule != "default"
    }


def test_the_default_config_runs_every_stage_and_then_nothing(finished):
    assert finished.calls() == sorted(STAGES.split())
    status, output = finished.snakemake("--cores", "2", "results/table1.csv")
    assert status == 0
    assert "Nothing to be done" in output
    assert finished.calls() == []


ROWS = {"evaluate/direct", "evaluate/rag", "evaluate/base-search"}
EVALUATED = ROWS | {"evaluate/search-r1", "evaluate/search-r2"}
TRAINED = {"train/search-r1", "train/search-r2", "evaluate/search-r1", "evaluate/search-r2"}
TABLES = {"table", "figure"}
LEARNT = {"base"} | ROWS | TRAINED | TABLES
SEARCHED = {"index_task", "retrieval"} | ROWS | TRAINED | TABLES
CHANGES = {
    "tracking: {enabled: false, experiment: other}": set(),
    "rows: {rag: {label: Retrieve once}}": {"table"},
    "rows: {search-r1: {label: Search R1}}": {"table", "figure"},
    "evaluation: {bootstrap: 500}": {"table"},
    "compare: [[rag, direct]]": {"table"},
    "evaluation: {batch_size: 7}": EVALUATED | {"table"},
    "evaluation: {refine: true}": EVALUATED | {"table"},
    "runs: {search-r2: {refiner: {margin: 0.5}}}":
        {"train/search-r2", "evaluate/search-r2"} | TABLES,
    "runs: {search-r1: {grpo: {steps: 3}}}": {"train/search-r1", "evaluate/search-r1"} | TABLES,
    "runs: {more: {}}": {"train/more", "figure"},
    "refiner: {margin: 0.5}": TRAINED | TABLES,
    "grpo: {learning_rate: 1.0e-5}": TRAINED | TABLES,
    "base: {steps: 9}": LEARNT,
    "rollout: {max_turns: 2}": LEARNT,
    "model: {vocab_size: 999}": {"tokenizer"} | LEARNT,
    "retrieval: {k1: 0.9}": {"index_world", "index_task", "retrieval"} | LEARNT,
    "retrieval: {kind: dense, encoder: e5}": SEARCHED,
    "retrieval: {kind: http, urls: ['http://127.0.0.1:8000/retrieve']}": SEARCHED,
    "data: {max_questions: 5}": {"data", "index_task", "retrieval"} | ROWS | TRAINED | TABLES,
    "world: {seed: 9}":
        {"world", "data", "tokenizer", "index_world", "index_task", "retrieval"} | LEARNT,
    "seeds: [1, 2]": TRAINED | TABLES,
}  # fmt: skip


@pytest.mark.parametrize(("change", "jobs"), CHANGES.items())
def test_a_change_rebuilds_what_it_touches_and_nothing_else(finished, change, jobs):
    (finished.folder / "change.yaml").write_text(change)
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) == jobs


def test_editing_a_command_line_of_the_workflow_retrains_nothing(finished):
    rules = finished.folder / "workflow" / "rules" / "train.smk"
    text = rules.read_text()
    rules.write_text(text.replace("searchr2 train ", "searchr2  train "))
    status, output = finished.snakemake("-n")
    rules.write_text(text)
    assert status == 0, output
    assert planned(output) == set()


def test_a_model_of_ones_own_takes_the_place_of_the_base_stage(finished):
    (finished.folder / "change.yaml").write_text("model: {path: some/model}")
    status, output = finished.snakemake("-n", "-p", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) == ROWS | TRAINED | TABLES
    assert "--checkpoint some/model " in output


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_config_has_a_plan(project, path):
    for name in re.findall(r"my_data/\S+\.jsonl", path.read_text()):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).touch()
    status, output = project.snakemake("-n", "--configfile", f"configs/{path.name}")
    assert status == 0, output
    assert {"data", "table", "retrieval"} <= planned(output)


def test_a_dry_run_is_quick_and_imports_neither_torch_nor_the_package(project):
    code = (
        "import sys; from snakemake.cli import main\n"
        "try: main(['-n'])\n"
        "except SystemExit as end: status = end.code\n"
        "print('IMPORTED', {'torch', 'searchr2', 'mlflow'} & set(sys.modules), status)"
    )
    command = [sys.executable, "-c", code]
    before = os.times()
    done = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=True)
    after = os.times()
    assert "IMPORTED set() 0" in done.stdout
    spent = after.children_user + after.children_system
    assert spent - before.children_user - before.children_system < 5
    assert project.calls() == []


def wait_for(condition, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.1)


def test_after_a_kill_the_same_command_goes_on(project):
    command = ["--cores", "2", "results/table1.csv"]
    hang = project.folder / "hang_in_train"
    hang.touch()
    calls = project.folder / "calls"
    killed = project.start(*command)
    wait_for(lambda: calls.exists() and "train" in calls.read_text())

    status, output = project.snakemake(*command)
    assert status == 1
    assert "another snakemake is at work in results/" in output
    (project.folder / "mine.yaml").write_text("base: {steps: 9}")
    assert project.snakemake("-n")[0] == 0
    assert project.snakemake("-n", "--configfile", "mine.yaml")[0] == 1

    killed.kill()
    killed.wait()
    hang.unlink()
    project.calls()
    status, output = project.snakemake(*command)
    assert status == 0, output
    assert project.calls() == ["evaluate", "table", "train"]


def test_a_failed_stage_shows_its_log_and_what_to_do(project):
    (project.folder / "bin" / "searchr2").write_text("#!/bin/sh\necho the cause >&2; exit 2\n")
    status, output = project.snakemake("--cores", "1")
    assert status == 1
    assert "the cause" in output
    assert "snakemake --cores all results/table1.csv" in output


def test_a_stage_leaves_when_its_workflow_is_killed():
    stage = "import sys; from searchr2.processes import leave_with; leave_with(int(sys.argv[1]))"
    workflow = (
        "import os, subprocess, sys\n"
        f"stage = subprocess.Popen([sys.executable, '-c', {stage!r}, str(os.getpid())])\n"
        "print(stage.pid, flush=True); stage.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", workflow], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        stage_pid = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: not alive(stage_pid))
