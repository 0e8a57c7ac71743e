"""What somebody published, a folder or an id on the hub, is evaluated and trained on."""

from __future__ import annotations

import shutil

import pytest

from searchr2.files import read_json
from tests.e2e.stages import files, finish

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def published(base, tmp_path_factory):
    """What ``save_pretrained`` writes, and nothing of ours beside it."""
    folder = tmp_path_factory.mktemp("published") / "tiny"
    shutil.copytree(base / "model", folder)
    return folder


@pytest.fixture
def online(hub, published, tmp_path, monkeypatch):
    """The same on a hub that nobody has fetched from yet."""
    hub.commit("org/tiny", files(published), "model")
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    return hub


def reachable(command):
    """The command with the hub allowed, which other stages' tests forbid."""
    return ["env", "HF_HUB_OFFLINE=0", *command]


def test_a_folder_and_an_id_on_the_hub_answer_as_the_model_they_are(
    stages, base, published, online, tmp_path
):
    def answers(checkpoint, name):
        out = tmp_path / "evaluate" / name / "seed1"
        finish(reachable(stages.evaluate(checkpoint, out)))
        return files(out)["predictions.jsonl"]

    own = answers(base, "own")
    assert answers(published, "folder") == own
    assert answers("org/tiny", "hub") == own
    assert "model.safetensors" in [name for _, name, _ in online.requests]
    told = len(online.requests)
    finish(stages.evaluate("org/tiny", tmp_path / "evaluate" / "again" / "seed1"))
    assert len(online.requests) == told  # from the cache


def test_a_run_starts_from_an_id_on_the_hub(stages, base, online, tmp_path):
    config, out = tmp_path / "run.json", tmp_path / "train" / "brought" / "seed1"
    stages.write_run(config, {"grpo": {"steps": 1, "prompts_per_step": 2}}, model="org/tiny")
    finish(reachable(stages.train(out, config)))
    assert read_json(out / "manifest.json")["run"] == "search-r2"
    assert {"config.json", "tokenizer.json", "model.safetensors"} <= files(out / "model").keys()


def test_an_id_that_the_hub_does_not_have_is_named(stages, online, tmp_path):
    said = finish(reachable(stages.evaluate("org/absent", tmp_path / "e" / "x" / "s")), status=2)
    assert "org/absent: no" in said
