"""Runs and an evaluation whose rollouts come from a server of vLLM's or SGLang's dialect."""

from __future__ import annotations

import json

import pytest
from fakes.rollouts import SERVERS, serving

from searchr2.engines.weights import Fixed
from searchr2.files import read_jsonl
from tests.e2e.stages import (
    GRPO,
    LIMITS,
    assert_same_run,
    command,
    finish,
    kill,
    metrics,
    statuses,
)

pytestmark = pytest.mark.e2e
STEPS = 4
LOADS = {"vllm": "/collective_rpc", "sglang": "/update_weights_from_disk"}


def held(folder):
    """Weights whose samples are a function of the request alone: no cached prefix rounds them."""
    from searchr2.build import load_model
    from searchr2.codec import Codec
    from searchr2.engines.local import LocalEngine

    return LocalEngine(load_model(folder), Codec.load(folder), cache_bytes=0)


@pytest.fixture(scope="module", params=["vllm", "sglang"])
def server(request):
    started = SERVERS[request.param](held)
    with serving(started) as url:
        started.engine_settings = {"kind": request.param, "urls": [url], "retries": 0}
        yield started


@pytest.fixture(scope="module")
def config(stages, base, server):
    """The settings of a run over that server."""
    path = stages.results / f"{server.engine_settings['kind']}.json"
    stages.write_run(path, {"grpo": GRPO | {"steps": STEPS}, "engine": server.engine_settings})
    return path


@pytest.fixture(scope="module")
def served(stages, config):
    """The record of that run, undisturbed."""
    record = stages.results / "train-served" / config.stem / "seed1"
    finish(stages.train(record, config))
    return record


def test_a_run_trains_on_rollouts_of_a_server_that_follows_its_weights(served, server):
    steps = [step for number, step in metrics(served).items() if number]
    assert len(steps) == STEPS
    assert max(step["policy/sampler_gap"] for step in steps) < 1e-4
    assert min(step["policy/grad_norm"] for step in steps) > 0
    versions = [
        {row["weights"] for _, row in read_jsonl(served / "rollouts" / name)}
        for name in sorted(path.name for path in (served / "rollouts").iterdir())
    ]
    assert [len(found) for found in versions] == [1] * len(versions)
    assert [min(found)[-6:] for found in versions] == ["000001", "000003"]
    assert server.version.endswith("000004")
    kept = sorted(path.name[-6:] for path in (served / "state" / "weights").iterdir())
    assert kept == ["000003", "000004"]


def test_a_run_over_a_server_killed_again_and_again_ends_with_the_same_bytes(
    stages, config, served, server
):
    record = stages.results / "train-served-killed" / config.stem / "seed1"
    train, loads = stages.train(record, config), LOADS[config.stem]
    server.told[loads] = [lambda reply: None, "hang"]
    kill(train, lambda: not server.told[loads])  # while the second version is loaded
    asked = len(server.requests)
    kill(  # among the rollouts that follow a checkpoint
        train, lambda: server.version.endswith("000002") and len(server.requests) > asked + 10
    )
    kill(train, lambda: [*record.glob("state/weights/*-000003")])  # while it is written
    finish(train)

    assert statuses(record) == ["killed", "killed", "killed", "finished"]
    assert_same_run(record, served)
    assert sorted(metrics(served)) == list(range(STEPS + 1))


def test_an_evaluation_by_a_server_gives_the_answers_of_one_in_process(
    stages, trained, evaluated, server
):
    kind = server.engine_settings["kind"]
    config = stages.results / f"evaluate-{kind}.json"
    config.write_text(json.dumps({"engine": server.engine_settings}))
    out = stages.results / "evaluate-served" / kind / "seed1"
    finish([*stages.evaluate(trained, out), "--config", str(config)])
    served = [row for _, row in read_jsonl(out / "predictions.jsonl")]
    assert len({row.pop("weights") for row in served}) == 1
    assert served == [row for _, row in read_jsonl(evaluated / "predictions.jsonl")]


def test_the_terms_of_the_gain_are_sampled_by_a_server_checkpoint_by_checkpoint(
    stages, base, trained, server
):
    kind = server.engine_settings["kind"]
    config, out = stages.results / f"gains-{kind}.json", stages.results / f"gains-{kind}.csv"
    few = {"questions": 2, "drafts": 2, "rollouts": 2}
    sections = {"rollout": LIMITS | {"max_turns": 3}, "gains": few, "retrieval_k": 1}
    config.write_text(json.dumps(sections | {"engine": server.engine_settings}))
    inputs = ["--index", stages.index, "--questions", stages.questions, "--out", out]
    checkpoints = [f"0={base}", f"{GRPO['steps']}={trained}"]
    loads, asked = server.calls.count(LOADS[kind]), len(server.requests)
    finish(command("gains", "--config", config, "--checkpoints", *checkpoints, *inputs))
    assert server.calls.count(LOADS[kind]) == loads + len(checkpoints)
    assert server.version == Fixed(str(trained / "model")).version
    assert len(server.requests) - asked >= len(checkpoints) * 2 * 2 * 2
    assert out.read_text().count("\n") == 1 + len(checkpoints)


def test_a_server_that_is_not_there_is_said_in_a_line(stages, trained):
    config = stages.results / "evaluate-nobody.json"
    nobody = {"kind": "vllm", "urls": ["http://127.0.0.1:9"], "retries": 0}
    config.write_text(json.dumps({"engine": nobody}))
    out = stages.results / "evaluate-nobody" / "seed1"
    said = finish([*stages.evaluate(trained, out), "--config", str(config)], status=2)
    assert "http://127.0.0.1:9" in said
    assert "docs/engines.md" in said
    assert "Traceback" not in said
