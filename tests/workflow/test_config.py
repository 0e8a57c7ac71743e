"""A wrong config stops before any work; a right one reaches every stage as the stage reads it."""

import json
import subprocess
import sys
from typing import get_origin

import pytest
import yaml

from searchr2 import config
from searchr2.files import read_json
from tests.workflow.conftest import ROOT


def test_the_schema_in_the_tree_is_the_one_the_settings_make():
    command = [sys.executable, "-m", "searchr2.cli.main", "schema"]
    made = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert (ROOT / "workflow/schema/config.schema.json").read_text() == made, (
        "run: searchr2 schema > workflow/schema/config.schema.json"
    )


def test_a_run_may_override_exactly_the_sections_of_settings():
    fields = config.Run.model_fields
    sections = {name for name in fields if get_origin(fields[name].annotation) is dict}
    assert sections == set(config.Settings.model_fields)


def test_the_default_config_is_an_experiment_on_at_most_160_lines_of_100_characters():
    lines = (ROOT / "config.yaml").read_text().splitlines()
    assert len(lines) <= 160
    assert max(map(len, lines)) <= 110
    experiment = config.load(config.Experiment, yaml.safe_load("\n".join(lines)), "config.yaml")
    paper = (ROOT / "workflow" / "reference" / "table1.csv").read_text()
    labels = [experiment.rows[row].label for row in experiment.tables["table1"].rows]
    assert len(labels) == 11
    assert [label for label in labels if f"{label}," not in paper] == []


WRONG = {
    "grpo: {stepss: 3}": "config: grpo.stepss: no such setting; did you mean steps?",
    "worlds: {}": "config: worlds: no such setting; did you mean world?",
    "grpo: {learning_rate: 1e-6}": "write 1.0e-6",
    "grpo: {steps: 0}": "config: grpo.steps: 0 is less than the minimum of 1",
    "base:": "config: base: None is not of type 'object'",
    "data: {questions: {nqq: x.jsonl}}": "config: data.questions: 'nqq' is not one of ['nq', ",
    "runs: {r: {grpo: {step: 3}}}": "runs.r.grpo.step: no such setting; did you mean steps?",
    "runs: {r: {world: {}}}": "config: runs.r.world: no such setting; did you mean one of start, ",
    "runs: {r: {kind: grop}}": "config: runs.r.kind: 'grop' is not one of ['grpo', ",
    "runs: {base: {}}": "config: 'base' cannot name a run, a row or a table",
    "runs: {a/b: {}}": "config: 'a/b' cannot name a run, a row or a table",
    "tables: {a/b: {title: T, rows: [rag]}}": "config: 'a/b' cannot name a run, a row or a table",
    "rows: {q: {label: Q, method: serch}}": "config: rows.q.method: 'serch' is not one of",
    "retrieval: {kind: dense}": "retrieval.encoder: retrieval of kind dense needs it",
    "retrieval: {kind: http}": "retrieval.urls: retrieval of kind http needs it",
    "engine: {kind: vllm}": "engine.urls: an engine of kind vllm needs it",
    "engine: {kind: sglang, urls: ['host:1']}": "config: engine.urls.0: 'host:1' does not match",
    "rows: {q: {label: Q, method: rag, checkpoint: r3}}": "rows.q.checkpoint: 'r3' is not in runs",
    "tables: {mine: {title: T, rows: [rag, cto]}}": "config: tables.mine: 'cto' is not in rows",
    "tables: {table_curves: {rows: [search-r3]}}":
        "config: tables.table_curves: 'search-r3' is not in rows",
    "tables: {table1: {compare: [[rag, r3]]}}": "config: tables.table1: 'r3' is not in rows",
    "tables: {mine: {title: T, rows: []}}": "config: tables.mine.rows: [] ",
    "tables: {mine: {rows: [rag]}}": "config: tables.mine: 'title' is a required property",
    "tables: {mine: {title: T, rows: [sft], over_steps: true}}":
        "config: tables.mine: over_steps, and no row is of a GRPO run",
    "tables: {mine: {title: T, rows: [search-r2, rag], over_steps: true}}":
        "config: tables.mine: over_steps, and 'rag' is of no run that is trained here",
    "gains: {run: search-r3}": "config: gains.run: 'search-r3' is not in runs",
    "rows: {q: {label: Q, method: rag, rollout: {max_turn: 3}}}":
        "config: rows.q.rollout.max_turn: no such setting; did you mean max_turns?",
    "step_time: {runs: [search-r1, r9]}": "config: step_time.runs: 'r9' is not in runs",
    "seeds: [1, 1]": "config: seeds: [1, 1] has non-unique elements",
    "data: {corpus: config.yaml}":
        "config: data: corpus, questions, train go together; there is only corpus",
    "retrieval: {kind: dense, encoder: e, vectors: [nowhere/part_aa]}":
        "config: nowhere/part_aa: no such file",
    "tables: {table_quality: {title: T, rows: [rag]}}":
        "config: tables.table_quality: the workflow writes table_quality.csv itself",
    "gains: {run: o}\nruns: {o: {refiner: {oracle: true, joint: false}}}":
        "config: gains.run: 'o' has an oracle: not the Meta-Refiner's own verdicts",
    "tracking: {uri: 'https://me:hush@host'}": "config: tracking.uri: a user name or password",
}  # fmt: skip


@pytest.mark.parametrize(("line", "message"), WRONG.items())
def test_a_wrong_setting_is_named_with_its_place_before_any_work(project, line, message):
    (project.folder / "mine.yaml").write_text(line)
    status, output = project.snakemake("--cores", "1", "--configfile", "mine.yaml")
    assert status == 1
    assert message in output
    assert "hush" not in output
    assert not (project.folder / "results").exists()
    assert project.calls() == []


def test_a_missing_local_file_is_named_before_any_work(project):
    status, output = project.snakemake("--cores", "1", "--configfile", "configs/local_files.yaml")
    assert status == 1
    assert "my_data/corpus.jsonl" in output
    assert project.calls() == []


def test_a_missing_file_is_named_where_an_older_product_of_it_is_there(finished):
    status, output = finished.snakemake("-n", "--configfile", "configs/local_files.yaml")
    assert status == 1
    assert "config: my_data/corpus.jsonl: no such file" in output


READERS: dict[str, type[config.Section]] = {
    "world.json": config.WorldConfig,
    "data.json": config.DataConfig,
    "base.json": config.BaseConfig,
    "instruct.json": config.BaseConfig,
    "train/*/*.json": config.TrainConfig,
    "evaluate/*/*.json": config.EvaluateConfig,
    "tables/*.json": config.TableConfig,
    "step_time.json": config.StepTimeConfig,
    "quality.json": config.QualityConfig,
    "gains.json": config.GainsConfig,
    "tracking.json": config.Tracking,
}


def test_every_stage_can_read_its_settings(finished):
    folder = finished.folder / "results" / "config"
    unread = set(folder.rglob("*.json"))
    for pattern, kind in READERS.items():
        for path in folder.glob(pattern):
            config.load(kind, read_json(path), path)
            unread.remove(path)
    assert not unread


def test_a_run_reads_the_configs_settings_with_its_own_laid_over(finished):
    folder = finished.folder / "results" / "config" / "train"
    one, two = (
        config.load(config.TrainConfig, read_json(folder / run / "seed1.json"), run)
        for run in ("search-r1", "search-r2")
    )
    assert one.refiner.max_revisions == 0
    assert not one.refiner.joint
    assert not one.reward.process
    assert two.refiner.max_revisions == 1
    assert two.refiner.joint
    assert two.reward.process
    same = {"run", "refiner", "reward"}
    assert one.model_dump(exclude=same) == two.model_dump(exclude=same)


def test_moving_lines_of_the_config_changes_no_settings(finished):
    def settings():
        folder = finished.folder / "results" / "config"
        return {str(path): path.read_text() for path in folder.rglob("*.json")}

    before = settings()
    default = yaml.safe_load((ROOT / "config.yaml").read_text())
    turned = {key: default[key] for key in reversed(default)}
    turned["grpo"] = dict(reversed(default["grpo"].items()))
    (finished.folder / "config.yaml").write_text(json.dumps(turned))
    status, output = finished.snakemake("-n")
    assert status == 0, output
    assert settings() == before
