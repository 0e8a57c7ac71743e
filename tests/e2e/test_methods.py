"""Every kind of run and every way of answering, as the workflow's commands carry them out."""

from __future__ import annotations

import pytest

from searchr2.cli.main import main
from searchr2.config import METHODS
from searchr2.files import MANIFEST, read_json, read_jsonl, verify_manifest
from tests.e2e.stages import (
    SUPERVISED,
    TOWNS,
    assert_same_run,
    files,
    finish,
    kill,
    logged,
    metrics,
    statuses,
)

pytestmark = pytest.mark.e2e
WEIGHTS = "model/model.safetensors"


@pytest.fixture(scope="module")
def instructed(stages, base):
    """The record of the instruction stage on that base."""
    finish(stages.instruct(base, stages.results / "instruct"))
    return stages.results / "instruct"


@pytest.fixture(scope="module")
def run(stages, base):
    """Trains a run whose settings differ, from a model; its record, and what it said on the way."""

    def train(name, start=base, **settings):
        config = stages.results / f"{name}.json"
        stages.write_run(config, {"run": name, **settings}, model=str(start))
        record = stages.results / "train" / name / "seed1"
        return record, finish(stages.train(record, config))

    return train


def predictions(record):
    return [row for _, row in read_jsonl(record / "predictions.jsonl")]


def test_the_instruction_stage_goes_on_from_the_base_models_weights(base, instructed):
    about = read_json(instructed / "run.json")
    assert (about["stage"], about["tags"]["method"]) == ("instruct", "instruct")
    assert about["name"] == "instruct/tiny/seed1"
    assert read_json(instructed / MANIFEST)["stage"] == "instruct"
    assert (instructed / WEIGHTS).read_bytes() != (base / WEIGHTS).read_bytes()
    assert (instructed / "model/tokenizer.json").read_bytes() == (
        base / "model/tokenizer.json"
    ).read_bytes()
    first, last = (
        metrics(record)[step]["loss/weighted_nats_per_token"]
        for record, step in ((base, 10), (instructed, 90))
    )
    assert last < first / 3


@pytest.mark.parametrize("method", METHODS)
def test_every_method_answers_the_questions_of_a_set(stages, instructed, tmp_path, method):
    out = tmp_path / method / "seed1"
    assert main(stages.evaluate(instructed, out, method)[3:]) == 0
    rows = predictions(out)
    assert [row["id"] for row in rows] == list(TOWNS)
    assert any(row["prediction"] is not None for row in rows)
    searches = [turn["query"] for row in rows for turn in row["turns"] if "query" in turn]
    assert bool(searches) == (method in ("ircot", "search-o1", "search"))
    assert bool(rows[0].get("context")) == (method in ("rag", "ircot"))
    assert read_json(out / "run.json")["tags"]["method"] == method


def test_weights_kept_on_the_way_are_whole_and_can_be_evaluated(stages, trained, tmp_path):
    kept = sorted((trained / "snapshots").iterdir())
    assert [folder.name for folder in kept] == ["step0002", "step0004"]  # the end is the export
    weights = [trained / WEIGHTS, *(folder / WEIGHTS for folder in kept)]
    assert len({path.read_bytes() for path in weights}) == 3
    for folder, step in zip(kept, (2, 4), strict=True):
        assert verify_manifest(folder, "")["step"] == step
    out = tmp_path / "search-r2" / "seed1" / "steps" / "step0002"
    assert main(stages.evaluate(kept[0], out)[3:]) == 0
    assert read_json(out / "run.json")["name"] == "evaluate/search-r2/model/seed1/step0002"
    assert len(predictions(out)) == len(TOWNS)


def test_r1_is_trained_by_grpo_on_thoughts_alone(run, instructed):
    off = {"refiner": {"max_revisions": 0, "joint": False}, "reward": {"process": False}}
    record, _ = run("r1", instructed, method="cot", **off)
    steps = [step for number, step in metrics(record).items() if number]
    assert {step["rollout/searches"] for step in steps} == {0.0}
    assert {step["rollout/turns"] for step in steps} == {1.0}
    assert max(step["policy/grad_norm"] for step in steps) > 0
    assert not any(name.startswith("refiner/") for step in steps for name in step)


def test_sft_teaches_the_gold_answers(run, base):
    record, _ = run("sft", kind="sft", method="direct", supervised=SUPERVISED)
    losses = [step["loss/weighted_nats_per_token"] for step in metrics(record).values()]
    assert list(metrics(record)) == [10, 20]
    assert losses[1] < losses[0]
    assert (record / WEIGHTS).read_bytes() != (base / WEIGHTS).read_bytes()
    assert not (record / "snapshots").exists()


def test_rejection_sampling_teaches_what_was_right(run, base):
    record, _ = run("rejection", kind="rejection", supervised=SUPERVISED)
    [notes] = (record / "state").glob("rollouts-*.jsonl")
    [chunk] = notes.read_text().splitlines()
    share = metrics(record)[0]["rollout/em"]
    assert 0 < share < 1
    assert chunk.count('["prompt"') == round(share * 2 * len(TOWNS))
    assert list(metrics(record)) == [0, 10, 20]
    assert (record / WEIGHTS).read_bytes() != (base / WEIGHTS).read_bytes()


def test_where_nothing_was_right_the_model_stays_and_that_is_said(run, base):
    short = {"rollout": {"max_turns": 1, "max_turn_tokens": 1}}  # nobody answers in one token
    record, said = run("hopeless", kind="rejection", supervised=SUPERVISED, **short)
    assert "hopeless: no rollout" in said
    assert files(record / "model") == files(base / "model")
    assert metrics(record) == {0: {"rollout/em": 0.0}}
    verify_manifest(record, "")


@pytest.mark.parametrize(("margin", "does"), [(1e9, "accepts"), (-1e9, "rejects")])
def test_a_meta_refiner_that_judges_all_drafts_alike_is_said_in_the_log(run, base, margin, does):
    grpo = {"steps": 5, "prompts_per_step": 1, "group_size": 2, "validate_every": 9}
    refiner = {"max_revisions": 1, "margin": margin}
    _, said = run(f"always-{does}", refiner=refiner, grpo=grpo)
    assert said.count(f"always-{does}, step 4: the Meta-Refiner {does} everything") == 1


def test_a_killed_rejection_sampling_ends_with_the_same_bytes(stages, run):
    whole, _ = run("rejection", kind="rejection", supervised=SUPERVISED)
    record = stages.results / "train-killed" / "rejection" / "seed1"
    command = stages.train(record, stages.results / "rejection.json")
    kill(command, lambda: list(record.glob("state/rollouts-*.jsonl")))
    kill(command, lambda: logged(record) >= 10)
    finish(command)
    assert statuses(record) == ["killed", "killed", "finished"]
    assert_same_run(record, whole)
    assert {path.name: path.read_bytes() for path in record.glob("state/rollouts-*")} == {
        path.name: path.read_bytes() for path in whole.glob("state/rollouts-*")
    }
