"""Killed at any moment and started again, a stage ends with the bytes it would have ended with."""

from __future__ import annotations

import random
import shutil

import pytest

from tests.e2e.stages import (
    STEPS,
    assert_same_run,
    finish,
    kill,
    logged,
    made,
    metrics,
    statuses,
)

pytestmark = pytest.mark.e2e
STEP_SECONDS = 0.1
"""About what a step takes; kills come somewhere within the steps that follow a moment."""


def test_a_training_killed_again_and_again_ends_with_the_same_bytes(
    stages, base, trained, evaluated
):
    rng = random.Random(20260203)
    record = stages.results / "train-killed" / "search-r2" / "seed1"
    command = stages.train(record)

    def saving(step):
        whole = record / f"state/step-{step:06d}"
        return lambda: whole.exists() or whole.with_suffix(".tmp").exists()

    def exporting():
        before = made(record / "model.tmp")  # by an attempt that was killed at it
        return lambda: made(record / "model.tmp") not in (None, before)

    kill(command, saving(2))
    kill(command, saving(4), rng.uniform(0, 2 * STEP_SECONDS))
    kill(command, saving(STEPS), rng.uniform(0, STEP_SECONDS))
    kill(command, exporting())
    finish(command)

    assert len(statuses(record)) == 5
    assert statuses(record)[:2] == ["killed"] * 2
    assert not list(record.glob("state/step-*.tmp"))
    assert_same_run(record, trained)
    assert sorted(metrics(trained)) == list(range(STEPS + 1))

    again = stages.results / "evaluate-killed" / "search-r2" / "seed1"
    evaluate = stages.evaluate(record, again)
    kill(evaluate, (again / "run.json").exists, rng.uniform(0, STEP_SECONDS))
    finish(evaluate)
    for name in ("predictions.jsonl", "metrics.json"):
        assert (again / name).read_bytes() == (evaluated / name).read_bytes()


def test_the_training_did_learn_something_that_could_have_differed(base, trained):
    """Otherwise equal bytes would prove nothing."""
    weights = "model/model.safetensors"
    assert (trained / weights).read_bytes() != (base / weights).read_bytes()
    steps = [step for number, step in metrics(trained).items() if number]
    for name in ("policy/grad_norm", "rollout/searches", "refiner/revised", "reward/std"):
        assert max(step[name] for step in steps) > 0


def test_a_killed_base_stage_ends_with_the_same_bytes(stages, base):
    record = stages.results / "base-killed"
    step = random.Random(7).randint(20, 60)
    kill(stages.base(record), lambda: logged(record) >= step)
    finish(stages.base(record))
    assert statuses(record) == ["killed", "finished"]
    assert_same_run(record, base)


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(stages, trained):
    record = stages.results / "train-damaged" / "search-r2" / "seed1"
    shutil.copytree(trained, record)
    (record / "manifest.json").unlink()
    damaged = next((record / f"state/step-{STEPS:06d}").rglob("*.pt"))
    damaged.write_bytes(damaged.read_bytes()[:-100])
    said = finish(stages.train(record))
    assert f"{damaged}: does not match" in said
    assert_same_run(record, trained)
