"""What runs, when it runs again, and what an interrupted workflow does."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from itertools import chain

import pytest
import yaml

from searchr2.processes import alive
from tests.workflow.conftest import ROOT

DEFAULT = yaml.safe_load((ROOT / "config.yaml").read_text())
RUNS, ROWS, TABLES = (DEFAULT[key] for key in ("runs", "rows", "tables"))
GRPO = [name for name, run in RUNS.items() if run.get("kind", "grpo") == "grpo"]
SUPERVISED = [name for name in RUNS if name not in GRPO]
COSTED = [name for name, of in TABLES.items() if of.get("over_steps") and of.get("compare")]
KEPT = ("0008", "0016")
"""The steps between start and end whose weights a GRPO run of the default config keeps."""
MADE_OF_THEM = {
    *("retrieval", "figure", "revisions", "gains", "quality", "step_time", "reference", "page")
}
"""Figures and pages; which settings make each anew is tested beside each of them."""


def planned(output: str) -> set[str]:
    """The jobs of a dry run, each as its rule and what sets it apart."""
    jobs = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)+)", output, flags=re.M)
    return {
        "/".join([rule, *re.findall(r"(?:run|row|table|step)=([\w.-]+)", about)])
        for rule, about in jobs
        if rule != "default"
    }


def after(*runs: str, rows: Iterable[str] = ()) -> set[str]:
    """What follows when these runs train anew, and these rows answer anew besides."""
    again = {*rows, *(row for row, of in ROWS.items() if of["checkpoint"] in runs)}
    jobs = {f"train/{run}" for run in runs} | {f"evaluate/{row}" for row in again}
    for name, table in TABLES.items():
        if again & {*table["rows"], *chain(*table.get("compare", []))}:
            jobs.add(f"table/{name}")
        if table.get("over_steps"):
            drawn = {row for row in again & {*table["rows"]} if ROWS[row]["checkpoint"] in GRPO}
            jobs |= {f"evaluate_step/{row}/{step}" for row in drawn for step in KEPT}
    return jobs | {f"cost/{name}" for name in COSTED if f"table/{name}" in jobs}


def test_the_default_config_runs_every_stage_and_then_nothing(finished):
    called = set(finished.calls())
    assert called >= {"world", "data", "tokenizer", "index", "base", "train", "evaluate", "table"}
    status, output = finished.snakemake("--cores", "2")
    assert status == 0
    assert "Nothing to be done" in output
    assert finished.calls() == []


OF_INSTRUCT = [row for row, of in ROWS.items() if of["checkpoint"] == "instruct"]
FROM_INSTRUCT = [run for run, of in RUNS.items() if of.get("start") == "instruct"]
SEARCHED = after(*RUNS, rows=ROWS) | {"index_task"}
LEARNT = after(*RUNS, rows=ROWS) | {"base", "instruct"}
LABELLED = {f"table/{name}" for name, table in TABLES.items() if "search-r1" in table["rows"]}
CHANGES = {
    "tracking: {enabled: false, experiment: other}": set(),
    "rows: {rag: {label: Retrieve once}}": {"table/table1"},
    "rows: {search-r1: {label: Search R1}}": LABELLED,
    "evaluation: {bootstrap: 500}": {
        *(f"table/{name}" for name in TABLES), *(f"cost/{name}" for name in COSTED)
    },
    "tables: {table1: {compare: [[rag, direct]]}}": {"table/table1"},
    "evaluation: {batch_size: 7}": after(rows=ROWS),
    "evaluation: {refine: true}": after(rows=ROWS),
    "runs: {search-r2: {refiner: {margin: 0.5}}}": after("search-r2"),
    "runs: {sft: {supervised: {steps: 3}}}": after("sft"),
    "refiner: {margin: 0.5}": after(*GRPO),
    "grpo: {learning_rate: 1.0e-5}": after(*GRPO),
    "supervised: {steps: 3}": after(*SUPERVISED),
    "instruct: {steps: 9}": after(*FROM_INSTRUCT, rows=OF_INSTRUCT) | {"instruct"},
    "base: {steps: 9}": LEARNT,
    "rollout: {max_turns: 2}": LEARNT,
    "model: {vocab_size: 999}": {"tokenizer"} | LEARNT,
    "retrieval: {k1: 0.9}": {"index_world", "index_task"} | LEARNT,
    "retrieval: {kind: dense, encoder: e5}": SEARCHED,
    "retrieval: {kind: http, urls: ['http://127.0.0.1:8000/retrieve']}": SEARCHED,
    "data: {max_questions: 5}": {"data", "index_task"} | after(*RUNS, rows=ROWS),
    "world: {seed: 9}": {"world", "data", "tokenizer", "index_world", "index_task"} | LEARNT,
    "seeds: [1, 2]": after(*RUNS),
    # what nobody asks for is neither trained nor evaluated
    "{runs: {more: {}}, rows: {more: {label: More, method: search, checkpoint: more}}}": set(),
    # another table takes one job more, and the evaluations it lacks
    "tables: {mine: {title: Mine, rows: [rag, search-r2], compare: [[search-r2, rag]]}}":
        {"table/mine"},
    "{rows: {more: {label: More, method: rag, checkpoint: sft}},"
    " tables: {mine: {title: Mine, rows: [more, rag]}}}": {"evaluate/more", "table/mine"},
    "tables: {mine: {title: Mine, rows: [search-r2], over_steps: true}}": {"table/mine"},
    "tables: {mine: {title: Mine, rows: [search-r1, search-r2], over_steps: true,"
    " compare: [[search-r2, search-r1@8]]}}": {"table/mine", "cost/mine"},
    "tables: {mine: {title: Mine, rows: [plus-refiner], over_steps: true}}":
        {"evaluate_step/plus-refiner/0008", "evaluate_step/plus-refiner/0016", "table/mine"},
    "rows: {cot: {rollout: {max_turn_tokens: 96}}}": {"evaluate/cot", "table/table1"},
    # supervised training has no snapshots: a line more, and nothing to evaluate or to cost
    "tables: {mine: {title: Mine, rows: [search-r2, sft], over_steps: true,"
    " compare: [[search-r2, sft]]}}": {"table/mine", "cost/mine"},
}  # fmt: skip


@pytest.mark.parametrize(("change", "jobs"), CHANGES.items())
def test_a_change_rebuilds_what_it_touches_and_nothing_else(finished, change, jobs):
    (finished.folder / "change.yaml").write_text(change)
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    found = planned(output)
    assert found - MADE_OF_THEM == jobs
    assert jobs or not found - {"page"}


def test_a_table_over_steps_has_a_line_for_each_snapshot_and_the_end(finished):
    change = "{grpo: {snapshot_every: 10}, tables: {mine: {title: M, rows: [sft, rag]}}}"
    (finished.folder / "change.yaml").write_text(change)
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    folder = finished.folder / "results" / "config" / "tables"
    read = json.loads((folder / "table_double_rollouts.json").read_text())["lines"]
    assert [(name, of["step"], of["folders"]) for name, of in read.items()] == [
        (f"{row}@{step}" if below else row, step, [f"{row}/seed1{below}"])
        for row in TABLES["table_double_rollouts"]["rows"]
        for step, below in ((10, "/steps/step0010"), (20, "/steps/step0020"), (24, ""))
    ]
    plain = json.loads((folder / "mine.json").read_text())["lines"]
    assert {name: of["step"] for name, of in plain.items()} == {"sft": None, "rag": None}
    assert "evaluate_step/search-r2/0020" in planned(output)


def test_a_supervised_run_is_one_line_of_a_table_over_steps_and_no_ledger_of_its_figure(finished):
    (finished.folder / "change.yaml").write_text("supervised: {steps: 3}")
    status, output = finished.snakemake("-n", "-p", "--configfile", "change.yaml")
    assert status == 0, output
    assert "figure" in planned(output)
    folder = finished.folder / "results" / "config" / "tables"
    read = json.loads((folder / "table_curves.json").read_text())["lines"]
    [*stepped, sft, rejection] = read.items()
    assert [name for name, of in stepped if of["step"] == 24] == TABLES["table_curves"]["rows"][:-2]
    for (name, of), label in ((sft, "SFT"), (rejection, "Rejection Sampling")):
        assert of == {"label": label, "folders": [f"{name}/seed1"], "step": None, "shown": True}
    [command] = re.findall(r"searchr2 figure .*", output)
    assert {run for run in RUNS if f"/train/{run}/seed1/" in command} == {
        ROWS[row]["checkpoint"] for row in TABLES["table_curves"]["rows"][:-2]
    }


def test_editing_a_command_line_of_the_workflow_retrains_nothing(finished):
    rules = finished.folder / "workflow" / "rules" / "train.smk"
    text = rules.read_text()
    rules.write_text(text.replace("searchr2 train ", "searchr2  train "))
    status, output = finished.snakemake("-n")
    rules.write_text(text)
    assert status == 0, output
    assert planned(output) == set()


def started_from(finished) -> dict[str, str]:
    """Run -> the model it starts from."""
    folder = finished.folder / "results" / "config" / "train"
    return {
        run: json.loads((folder / run / "seed1.json").read_text())["paths"]["model"] for run in RUNS
    }


def test_a_model_of_ones_own_takes_the_place_of_the_base_and_the_instruction_stage(finished):
    (finished.folder / "change.yaml").write_text("model: {path: some/model}")
    status, output = finished.snakemake("-n", "-p", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) - MADE_OF_THEM == after(*RUNS, rows=ROWS)
    assert set(started_from(finished).values()) == {"some/model"}
    own = re.findall(r"--method (\S+) --checkpoint some/model ", output)
    rows = [of for of in ROWS.values() if of["checkpoint"] in ("base", "instruct")]
    assert sorted(own) == sorted(of["method"] for of in rows)


def test_an_instruct_model_of_ones_own_beside_its_base_model_is_where_the_config_says(finished):
    (finished.folder / "change.yaml").write_text("model: {path: a/base, instruct: a/chat}")
    status, output = finished.snakemake("-n", "-p", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) - MADE_OF_THEM == after(*RUNS, rows=ROWS)
    assert started_from(finished) == {
        run: "a/chat" if run in FROM_INSTRUCT else "a/base" for run in RUNS
    }
    chat = re.findall(r"--method (\S+) --checkpoint a/chat ", output)
    assert sorted(chat) == sorted(ROWS[row]["method"] for row in OF_INSTRUCT)


def test_an_instruct_model_alone_takes_the_place_of_the_instruction_stage(finished):
    (finished.folder / "change.yaml").write_text("model: {instruct: a/chat}")
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) - MADE_OF_THEM == after(*FROM_INSTRUCT, rows=OF_INSTRUCT)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "configs").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_shipped_config_has_a_plan(project, path):
    for name in re.findall(r"\b(?:my_data|data)/[\w./-]+(?:\.jsonl|/part_\w+)", path.read_text()):
        (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (project.folder / name).touch()
    status, output = project.snakemake("-n", "--configfile", f"configs/{path.name}")
    assert status == 0, output
    assert {"data", "table/table1", "retrieval"} <= planned(output)


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
    called = set(project.calls())
    assert called - {"base"} == {"evaluate", "table", "train"}  # base: the instruction stage


def test_a_failed_stage_shows_its_log_and_what_to_do(project):
    (project.folder / "bin" / "searchr2").write_text("#!/bin/sh\necho the cause >&2; exit 2\n")
    status, output = project.snakemake("--cores", "1")
    assert status == 1
    assert "the cause" in output
    assert "snakemake --cores all results/table1.csv" in output


def test_a_stage_leaves_when_its_workflow_is_killed():
    stage = "from searchr2.processes import leave_when_abandoned; leave_when_abandoned()"
    workflow = (
        "import os, subprocess, sys\n"
        "os.environ['SEARCHR2_PARENT'] = str(os.getpid())\n"
        f"stage = subprocess.Popen([sys.executable, '-c', {stage!r}])\n"
        "print(stage.pid, flush=True); stage.wait()"
    )
    with subprocess.Popen([sys.executable, "-c", workflow], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        stage_pid = int(parent.stdout.readline())
        parent.kill()
    wait_for(lambda: not alive(stage_pid))
