"""What real runs log is what docs/metrics.md defines, and has every chart one looks for first."""

import re
from pathlib import Path

import pytest

from searchr2.files import read_json, read_jsonl

pytestmark = pytest.mark.e2e
PAGE = (Path(__file__).parents[2] / "docs/metrics.md").read_text()
CHARTS = {
    "reward/mean",
    "reward/std",
    "reward/process",
    "rollout/em",
    "rollout/response_tokens",
    "rollout/searches",
    "refiner/revised",
    "refiner/accept_right",
    "refiner/accept_wrong",
    "refiner/regain",
    "refiner/cut_at_step_<i>",
    "policy/kl",
    "policy/entropy",
    "policy/clip_share",
    "policy/grad_norm",
    "policy/sampler_gap",
    "time/tokens_per_second",
    "time/rollout",
    "time/reward",
    "time/update",
    "time/validation",
    "validation/em",
}


def defined(page=PAGE):
    return set(re.findall(r"^\| `([a-z0-9_/<>]+)` \|", page, re.M))


def logged(record):
    keys = {key for _, line in read_jsonl(record / "metrics.jsonl") for key in line["metrics"]}
    return {re.sub(r"(?<=cut_at_step_)\d+", "<i>", key) for key in keys}


def test_a_training_run_logs_every_chart_and_nothing_undefined(trained):
    assert CHARTS <= logged(trained) <= defined()


def test_a_supervised_stage_logs_nothing_undefined(base):
    assert logged(base) <= defined()


def test_an_evaluation_has_the_figures_that_are_defined(evaluated):
    sets = read_json(evaluated / "metrics.json")["sets"]
    section = PAGE.partition("## Evaluation")[2].partition("\n## ")[0]
    assert {key for figures in sets.values() for key in figures} == defined(section)
