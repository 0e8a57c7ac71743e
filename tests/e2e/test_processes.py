"""Two processes train as one does, at every ZeRO stage, and go on from where they were killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("deepspeed")

from safetensors.torch import load_file  # noqa: E402
from several import CASES, network, play  # noqa: E402

from searchr2.files import read_json  # noqa: E402
from searchr2.training.peers import ALONE  # noqa: E402
from tests.e2e.stages import (  # noqa: E402
    PATIENCE,
    assert_same_run,
    environment,
    finish,
    kill,
    made,
    metrics,
    statuses,
)

pytestmark = pytest.mark.e2e
TESTS = Path(__file__).resolve().parents[1]
LIKE = {"zero1": "zero0", "zero2": "zero0", "zero3": "zero0", "offload": "zero0"} | {
    "zero2-offload": "zero0",
    "zero2-lora": "zero0-lora",
    "zero3-lora": "zero0-lora",
    "zero3-updates": "updates",
}
"""Case -> the one that one process plays for it; by default the same."""
EXACT = [name for name in CASES if "bf16" not in name]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """What two processes make of every case. A deadlock of theirs ends here."""
    out = tmp_path_factory.mktemp("two")
    several = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    several += ["--nproc-per-node", "2", str(TESTS / "several.py"), str(out)]
    place = {"PYTHONPATH": f"{TESTS}{os.pathsep}{TESTS.parent}", "GLOO_SOCKET_IFNAME": "lo"}
    done = subprocess.run(
        several,
        env=environment() | place,
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return out


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """What one process makes of a case, by its name."""
    out, played = tmp_path_factory.mktemp("one"), set()

    def of(name):
        name = LIKE.get(name, name)
        if name not in played:
            with mock.patch.dict(os.environ):  # DeepSpeed is told there what it is one of
                play(CASES[name], out / name, ALONE)
            played.add(name)
        return out / name

    return of


def weights(folder):
    return load_file(folder / "model.safetensors")


def timeless(folder):
    """Metrics of every step, without those that measure time."""
    return [
        {key: x for key, x in step.items() if x is not None and not key.startswith("time/")}
        for step in read_json(folder / "metrics.json")
    ]


@pytest.mark.parametrize("name", EXACT)
def test_two_processes_make_the_updates_of_one(one, two, name):
    ours, theirs = timeless(two / name), timeless(one(name))
    for got, expected in zip(ours, theirs, strict=True):
        assert got == pytest.approx(expected, rel=1e-3, abs=1e-5)
    assert ours[1]["policy/kl"] > 0
    start, got, expected = (
        network().state_dict(),
        *(weights(folder / "model") for folder in (two / name, one(name))),
    )
    assert got.keys() == expected.keys()
    for key in got:
        if not key.endswith("k_proj.bias"):  # its gradient is rounding alone
            update, difference = expected[key] - start[key], got[key] - expected[key]
            assert difference.norm() <= 1e-3 * update.norm(), key


@pytest.mark.parametrize("name", CASES)
def test_two_processes_go_on_from_a_checkpoint_to_the_same_bits(two, name):
    *_, last, again = timeless(two / name)
    assert again == last
    first, second = weights(two / name / "model"), weights(two / name / "again")
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", [name for name in CASES if "bf16" in name])
def test_in_bf16_they_roll_out_and_begin_as_one_process_does(one, two, name):
    """From then on a rounding decides which token is drawn."""
    got, expected = timeless(two / name)[0], timeless(one(name))[0]
    assert got == pytest.approx(expected, rel=1e-2, abs=1e-5)
    assert got["policy/kl"] == 0
    assert 0 < got["policy/sampler_gap"] < 1e-2
    assert {w.dtype for w in weights(two / name / "model").values()} == {torch.bfloat16}


def test_adapters_are_merged_into_a_model_like_any_other(two):
    from transformers import AutoModelForCausalLM

    folder = two / "zero3-lora" / "model"
    assert weights(folder).keys() == weights(two / "zero0" / "model").keys()
    model = AutoModelForCausalLM.from_pretrained(folder)
    start, changed = network().state_dict(), set()
    for key, value in model.state_dict().items():
        if not torch.equal(value, start[key]):
            changed.add(key.split(".")[-2])
    assert changed == {f"{part}_proj" for part in ("q", "k", "v", "o", "gate", "up", "down")}


def test_a_checkpoint_of_adapters_holds_them_alone(two):
    def size(name):
        files = (two / name / "step-000002").rglob("*_states.pt")
        return sum(file.stat().st_size for file in files)

    assert size("zero2-lora") < size("zero2") / 3


def test_a_run_of_two_processes_killed_and_started_again_ends_with_the_same_bytes(stages, base):
    config = stages.results / "two.json"
    stages.write_run(config, {"deepspeed": {"processes": 2, "zero_stage": 3}})
    whole, cut = (stages.results / "train" / name / "seed1" for name in ("two", "two-killed"))
    finish(stages.train(whole, config))

    def saving():  # the first of three checkpoints: the processes outlive their launcher a little
        return made(cut / "state/step-000002") is not None

    kill(stages.train(cut, config), saving)
    finish(stages.train(cut, config))
    assert statuses(cut) == ["killed", "finished"]
    assert_same_run(cut, whole)
    assert read_json(whole / "run.json")["tags"]["processes"] == "2"


def test_another_number_of_processes_cannot_go_on_and_says_so(stages, base):
    config, record = stages.results / "fewer.json", stages.results / "train" / "fewer" / "seed1"
    stages.write_run(config, {"deepspeed": {"processes": 2, "zero_stage": 1}})
    finish(stages.train(record, config))
    (record / "manifest.json").unlink()
    shutil.rmtree(record / "model")
    before = metrics(record)
    stages.write_run(config, {"deepspeed": {"processes": 1, "zero_stage": 1}})
    said = finish(stages.train(record, config), status=2)
    assert "step-000006: written by 2 processes" in said
    stages.write_run(config, {"deepspeed": {"processes": 2, "zero_stage": 1}})
    finish(stages.train(record, config))
    assert metrics(record) == before
