"""A run and an evaluation whose rollouts come from a server of vLLM's or SGLang's dialect."""

from __future__ import annotations

import json

import pytest
from fakes.rollouts import SERVERS, serving

from searchr2.files import read_jsonl
from tests.e2e.stages import GRPO, finish, metrics

pytestmark = pytest.mark.e2e


def held(folder):
    from searchr2.build import load_model
    from searchr2.codec import Codec
    from searchr2.engines.local import LocalEngine

    return LocalEngine(load_model(folder), Codec.load(folder))


@pytest.fixture(params=["vllm", "sglang"])
def server(request):
    started = SERVERS[request.param](held)
    with serving(started) as url:
        started.engine_settings = {"kind": request.param, "urls": [url], "retries": 0}
        yield started


def test_a_run_trains_on_rollouts_of_a_server_that_follows_its_weights(stages, base, server):
    kind = server.engine_settings["kind"]
    config = stages.results / f"{kind}.json"
    record = stages.results / "train-served" / kind / "seed1"
    short = {"grpo": GRPO | {"steps": 3}, "engine": server.engine_settings}
    stages.write_run(config, short)
    finish(stages.train(record, config))
    steps = [step for number, step in metrics(record).items() if number]
    assert len(steps) == 3
    assert max(step["policy/sampler_gap"] for step in steps) < 1e-4
    assert min(step["policy/grad_norm"] for step in steps) > 0
    versions = [
        {row["weights"] for _, row in read_jsonl(record / "rollouts" / name)}
        for name in sorted(path.name for path in (record / "rollouts").iterdir())
    ]
    assert [len(found) for found in versions] == [1] * len(versions)
    assert [min(found)[-6:] for found in versions] == ["000001", "000002"]
    assert server.version.endswith("000003")
    kept = sorted(path.name[-6:] for path in (record / "state" / "weights").iterdir())
    assert kept == ["000002", "000003"]


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


def test_a_server_that_is_not_there_is_said_in_a_line(stages, trained):
    config = stages.results / "evaluate-nobody.json"
    nobody = {"kind": "vllm", "urls": ["http://127.0.0.1:9"], "retries": 0}
    config.write_text(json.dumps({"engine": nobody}))
    out = stages.results / "evaluate-nobody" / "seed1"
    said = finish([*stages.evaluate(trained, out), "--config", str(config)], status=2)
    assert "http://127.0.0.1:9" in said
    assert "docs/engines.md" in said
    assert "Traceback" not in said
