"""The mirror against a real sqlite store, from synthetic records."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from records import (
    evaluation_record,
    open_training,
    train_record,
    training_metrics,
    write_results,
)

from searchr2.config import SETS, Tracking
from searchr2.files import read_json, read_jsonl, sha256, write_json
from searchr2.tracking.follow import sync_once
from searchr2.tracking.lock import exclusive
from searchr2.tracking.store import MIRRORED, Store


@pytest.fixture(scope="module")
def mirrored(tmp_path_factory):
    results = tmp_path_factory.mktemp("work") / "results"
    write_results(results)
    sync_once(results, Tracking())
    return results, Store(results, Tracking())


@pytest.fixture
def empty(tmp_path, mirrored):
    """A results folder whose store exists already (making one takes seconds)."""
    (tmp_path / "mlflow.db").write_bytes((mirrored[0] / "mlflow.db").read_bytes())
    return tmp_path, Tracking(experiment="another")


def sync(results, *options):
    command = [sys.executable, "-m", "searchr2.cli.main", "sync", "--results", str(results)]
    return subprocess.Popen([*command, *options])


def by_name(store):
    return {run.info.run_name: run for run in store.client.search_runs([store.experiment])}


def test_runs_have_names_parameters_tags_status_and_times(mirrored):
    results, store = mirrored
    runs = by_name(store)
    run = runs["train/search-r2/qwen2-mini/seed1"]
    about = read_json(results / "train/search-r2/seed1/run.json")
    assert run.info.status == "FINISHED"
    assert (run.info.start_time, run.info.end_time) == (about["start"], about["end"])
    assert run.data.params["grpo.learning_rate"] == "0.0004"
    assert run.data.tags.items() >= about["tags"].items()
    axes = {"method", "backbone", "seed", "stage", "data", "config", "code", "commit", "dirty"}
    assert run.data.tags.keys() >= axes | {"attempt"}
    assert run.data.tags["data"] == "validation"
    assert set(runs["evaluate/search-r2/qwen2-mini/seed1"].data.tags["data"].split()) == set(SETS)
    folder = results / "train/search-r2/seed1"
    assert run.data.tags["mlflow.note.content"] == f"Files: `{folder}`"
    assert run.data.tags["mlflow.parentRunId"] == runs["search-r2/qwen2-mini"].info.run_id


def test_runs_name_the_data_they_read(mirrored):
    results, store = mirrored
    runs = by_name(store)
    (validation,) = runs["train/search-r2/qwen2-mini/seed1"].inputs.dataset_inputs
    assert validation.dataset.name == "validation"
    assert validation.dataset.digest == sha256(results / "data/validation.jsonl")[:32]
    assert [tag.value for tag in validation.tags] == ["training"]
    read = runs["evaluate/search-r2/qwen2-mini/seed1"].inputs.dataset_inputs
    assert {one.dataset.name for one in read} == set(SETS)


def test_the_resolved_config_is_an_artifact(mirrored, tmp_path):
    _, store = mirrored
    run = by_name(store)["train/search-r2/qwen2-mini/seed1"]
    path = store.client.download_artifacts(run.info.run_id, "config.yaml", str(tmp_path))
    assert "learning_rate: 0.0004" in Path(path).read_text()


def test_metrics_carry_their_recorded_time(mirrored):
    results, store = mirrored
    run = by_name(store)["train/search-r1/qwen2-mini/seed2"]
    lines = [line for _, line in read_jsonl(results / "train/search-r1/seed2/metrics.jsonl")]
    for name, count in (("reward/mean", 6), ("validation/em", 2)):
        history = store.client.get_metric_history(run.info.run_id, name)
        assert len(history) == count
        assert [(point.timestamp, point.step, point.value) for point in history] == [
            (line["time"], line["step"], line["metrics"][name])
            for line in lines
            if name in line["metrics"]
        ]


def test_a_parent_sums_up_its_seeds(mirrored):
    _, store = mirrored
    parent = by_name(store)["search-r2/qwen2-mini"]
    assert parent.data.metrics["em/nq"] == 56.5
    assert parent.data.tags["seeds"] == "2"
    assert parent.info.status == "FINISHED"


def test_the_best_checkpoint_of_a_set_is_found(mirrored):
    _, store = mirrored
    best, *others = store.client.search_logged_models(
        [store.experiment],
        order_by=[{"field_name": "metrics.em/nq", "ascending": False, "dataset_name": "nq"}],
    )
    assert best.name == "search-r2-seed2-step6"
    assert best.params["run"] == "search-r2"
    names = {model.name for model in others}
    assert {"base-step30", "base-step30-direct", "base-step30-rag"} <= names
    measured = {metric.key: metric for metric in best.metrics}
    hotpotqa = measured["em/hotpotqa"]
    assert (hotpotqa.value, hotpotqa.dataset_name) == (60.0, "hotpotqa")
    assert len(hotpotqa.dataset_digest) == 32
    assert measured["validation/em"].value == 0.5
    assert not {"searches/nq", "title_recall/nq"} & set(measured)


def test_every_kept_checkpoint_is_ranked_with_its_step(mirrored):
    results, store = mirrored
    by_musique = {"field_name": "metrics.em/musique", "dataset_name": "musique"}
    found = store.client.search_logged_models(
        [store.experiment],
        filter_string="params.run = 'search-r2' AND params.seed = '1'",
        order_by=[by_musique | {"ascending": False}],
    )
    assert [model.name for model in found] == ["search-r2-seed1-step6", "search-r2-seed1-step4"]
    measured = {metric.key: metric for metric in found[1].metrics}
    musique, questions = measured["em/musique"], results / "data/questions/musique.jsonl"
    assert (musique.step, musique.value, musique.dataset_name) == (4, 50.0, "musique")
    assert musique.dataset_digest == sha256(questions)[:32]
    assert (measured["f1/musique"].value, measured["title_recall/musique"].value) == (55.0, 40.0)
    assert measured["validation/em"].value == 0.25
    assert found[1].params["step"] == "4"
    assert found[1].params["weights"].endswith("train/search-r2/seed1/snapshots/step0004/model")
    run = by_name(store)["evaluate/search-r2/qwen2-mini/seed1/step0004"]
    assert run.data.tags["model"] == found[1].name
    assert found[1].source_run_id == by_name(store)["train/search-r2/qwen2-mini/seed1"].info.run_id


def test_a_run_that_never_searches_has_one_model_a_checkpoint(empty):
    results, settings = empty
    train_record(results, "r1", 1)
    evaluation_record(results, "r1", "direct", "train/r1/seed1", 9.0)
    sync_once(results, settings)
    store = Store(results, settings)
    models = store.client.search_logged_models([store.experiment])
    assert {model.name for model in models} == {"r1-seed1-step4", "r1-seed1-step6"}


def test_a_snapshot_nobody_evaluated_has_its_validation(mirrored):
    _, store = mirrored
    (model,) = store.client.search_logged_models(
        [store.experiment],
        filter_string="params.run = 'search-r1' AND params.seed = '2' AND params.step = '4'",
    )
    assert {metric.key: metric.value for metric in model.metrics} == {"validation/em": 0.25}


def test_a_trace_tells_a_trajectory(mirrored):
    _, store = mirrored
    repaired = "tags.outcome = 'repaired' AND tags.stage = 'evaluate' AND tags.step = '6'"
    trace = store.client.search_traces([store.experiment], filter_string=repaired)[0]
    root, *steps = sorted(
        trace.data.spans, key=lambda span: (span.start_time_ns, span.parent_id or "")
    )
    assert (root.span_type, root.inputs) == (
        "AGENT",
        "Who directed The Quiet Harbour, number nq-0?",
    )
    assert [(step.span_type, step.name) for step in steps] == [
        ("LLM", "actor turn 1"),
        ("RETRIEVER", "search: The Quiet Harbour"),
        ("LLM", "actor turn 2"),
        ("EVALUATOR", "discriminator: reject"),
        ("EVALUATOR", "trimmer: cut before step 2"),
        ("LLM", "regenerated turn 2"),
    ]
    assert steps[1].outputs[0]["metadata"]["title"] == "The Quiet Harbour"
    assert steps[4].outputs == {"p(step 1 is flawed)": 0.1, "p(step 2 is flawed)": 0.7}
    told = {a.name: getattr(a, "value", None) for a in trace.info.assessments}
    assert told == {
        "gold answers": ["Mira Voss"],
        "em": 1.0,
        "f1": 1.0,
        "sub_em": 1.0,
        "evidence": 1.0,
    }
    model = store.client.get_logged_model(trace.info.trace_metadata["mlflow.modelId"])
    assert model.name == "search-r2-seed2-step6"


def test_training_shows_its_first_and_last_rollouts(mirrored):
    results, store = mirrored
    run = by_name(store)["train/search-r1/qwen2-mini/seed1"]
    found = [
        trace
        for trace in store.client.search_traces([store.experiment], max_results=500)
        if trace.info.trace_metadata["mlflow.sourceRun"] == run.info.run_id
    ]
    tags = [(trace.info.tags["step"], trace.info.tags["outcome"]) for trace in found]
    assert set(tags) == {
        (step, outcome)
        for step in ("1", "6")
        for outcome in ("repaired", "right", "wrong, with the evidence")
    }
    (last,) = [trace for trace in found if trace.info.tags["outcome"] == "right"][:1]
    told = {a.name: a.value for a in last.info.assessments}
    assert (told["process"], told["reward"]) == (0.5, 1.5)
    wrong = next(t for t in found if t.info.tags["outcome"] == "wrong, with the evidence")
    assert "process" not in {a.name for a in wrong.info.assessments}  # nobody judged it
    times = [line for _, line in read_jsonl(results / "train/search-r1/seed1/metrics.jsonl")]
    assert last.info.request_time >= times[-1]["time"]


def test_mirroring_again_changes_nothing(mirrored):
    results, store = mirrored
    tables = ["metrics", "logged_model_metrics", "logged_models", "runs", "tags", "params"]
    tables += ["spans", "assessments", "experiment_tags", "trace_tags"]
    selections = [f"* FROM {table}" for table in tables]
    selections += ["source_id, destination_id FROM inputs"]  # a link made again has a new id

    def contents():
        with sqlite3.connect(results / "mlflow.db") as database:
            return [sorted(database.execute(f"SELECT {s}"), key=repr) for s in selections]

    before = contents()
    sync_once(results, Tracking())
    assert contents() == before
    for run in store.client.search_runs([store.experiment]):  # even if it forgot what it holds
        store.client.delete_tag(run.info.run_id, MIRRORED)
    sync_once(results, Tracking())
    assert contents() == before


def test_a_resumed_run_is_reopened(empty):
    results, settings = empty
    train_record(results, "x", 1, steps=3)
    sync_once(results, settings)
    with open_training(results, "x", 1) as record:
        sync_once(results, settings)
        store = Store(results, settings)
        assert by_name(store)["train/x/qwen2-mini/seed1"].info.status == "RUNNING"
        record.rewind(2)
        record.log(training_metrics(3, 1), 3)
        record.log(training_metrics(4, 1), 4)
    sync_once(results, settings)
    run = by_name(store)["train/x/qwen2-mini/seed1"]
    assert (run.info.status, run.data.tags["attempt"]) == ("FINISHED", "2")
    history = store.client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [
        (step, 1 / step) for step in (1, 2, 3, 4)
    ]


def test_a_run_that_died_is_killed(empty):
    results, settings = empty
    train_record(results, "x", 1)
    path = results / "train/x/seed1/run.json"
    write_json(path, {**read_json(path), "status": "running", "end": None})
    sync_once(results, settings)
    assert by_name(Store(results, settings))["train/x/qwen2-mini/seed1"].info.status == "KILLED"


def test_a_run_without_a_record_is_ended(empty):
    results, settings = empty
    train_record(results, "kept", 1)
    with open_training(results, "lost", 1):
        sync_once(results, settings)
    shutil.rmtree(results / "train/lost")
    assert sync_once(results, settings, abandon=True) == 2  # the run and its parent
    statuses = {name: run.info.status for name, run in by_name(Store(results, settings)).items()}
    assert statuses["train/lost/qwen2-mini/seed1"] == statuses["lost/qwen2-mini"] == "KILLED"
    assert statuses["train/kept/qwen2-mini/seed1"] == "FINISHED"
    assert sync_once(results, settings, abandon=True) == 0


def test_following_ends_with_the_workflow(empty):
    results, _ = empty
    train_record(results, "x", 1)
    with subprocess.Popen(["sleep", "1"]) as parent:
        follower = sync(results, "--follow", "--parent", str(parent.pid))
        parent.wait()
    assert follower.wait(timeout=120) == 0
    assert "train/x/qwen2-mini/seed1" in by_name(Store(results, Tracking()))


def test_a_second_sync_leaves_the_work_to_the_first(empty, capfd):
    results, _ = empty
    with exclusive(results / ".sync.lock"):
        assert sync(results).wait(timeout=120) == 0
    assert f"process {os.getpid()}" in capfd.readouterr().out
