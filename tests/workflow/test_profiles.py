"""The profiles of clusters are read by Snakemake, and start what they say."""

import os
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.utils import canonicalize_name

from tests.workflow.conftest import ROOT
from tests.workflow.test_repository import RUNNING, pins

CLUSTERS = ["slurm", "kubernetes"]
RULES = set(
    re.findall(
        r"^(?:use rule \w+ as|rule) (\w+)",
        "\n".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk")),
        re.M,
    )
)


def profile(name: str) -> dict[str, Any]:
    said: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())
    return said


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_key_is_an_option_of_snakemake(name):
    from snakemake.cli import get_argument_parser

    options = {
        option.lstrip("-")
        for action in get_argument_parser()._actions
        for option in action.option_strings
    }
    assert set(profile(name)) - options == set()


@pytest.mark.parametrize("name", CLUSTERS)
def test_it_is_about_rules_there_are_and_repeats_the_default(name):
    said = profile(name)
    assert {*said.get("set-resources", {}), *said["set-threads"]} <= RULES
    default = profile("default")
    assert {key: said[key] for key in default if key != "resources"} == {
        key: default[key] for key in default if key != "resources"
    }
    assert said.get("resources") != default["resources"]  # gpu=0 would take them off every job


@pytest.mark.parametrize("name", CLUSTERS)
def test_snakemake_plans_with_its_values(project, name):
    """Without the plugin with the executor of this machine."""
    said = profile(name)
    path = project.folder / "profiles" / name / "config.yaml"
    if "executor" in said and not find_spec(f"snakemake_executor_plugin_{name}"):
        said = {k: v for k, v in said.items() if k not in ("executor", "jobs")} | {"cores": 64}
    path.write_text(yaml.safe_dump(said))
    command = ["-n", "-p", "results/table1.csv", "--workflow-profile", f"profiles/{name}"]
    status, output = project.snakemake(*command)
    assert status == 0, output
    [job, *_] = re.findall(r"^rule train:\n((?:    .*\n)+)", output, flags=re.M)
    assert "searchr2 train --config" in output
    assert "launch" not in output  # one node needs none
    assert "gpu=1" in job
    assert ("nodes=1" in job) == (name == "slurm")


def test_a_training_on_several_nodes_is_the_lines_that_the_profile_has_commented(project):
    path = project.folder / "profiles" / "slurm" / "config.yaml"
    text = path.read_text().replace("    nodes: 1\n", "")
    said = yaml.safe_load(re.sub("^    #   ", "    ", text, flags=re.M))
    said = {k: v for k, v in said.items() if k not in ("executor", "jobs")} | {"cores": 64}
    path.write_text(yaml.safe_dump(said))
    command = ["-n", "-p", "results/table1.csv", "--workflow-profile", "profiles/slurm"]
    status, output = project.snakemake(*command)
    assert status == 0, output
    assert "profiles/slurm/launch searchr2 train --config" in output
    [job, *_] = re.findall(r"^rule train:\n((?:    .*\n)+)", output, flags=re.M)
    for asked in ("nodes=4", "tasks=4", "gpu=32", "slurm_extra=--gpus-per-node=8"):
        assert asked in job


def test_the_default_starts_training_without_a_launcher(project):
    status, output = project.snakemake("-n", "-p", "results/table1.csv")
    assert status == 0
    assert "launch" not in output


@pytest.fixture
def launched(tmp_path):
    """What the launcher prints for these arguments, SLURM's commands being scripts of ours."""

    def of(arguments, srun, nodes="node7; echo node8"):
        for name, text in {"scontrol": f"echo {nodes}", "srun": srun}.items():
            (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
            (tmp_path / name).chmod(0o755)
        environment = {
            **os.environ,
            "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "SLURM_JOB_NODELIST": "node[7-8]",
            "SLURM_JOB_NUM_NODES": "2",
            "SLURM_GPUS_ON_NODE": "8",
            "SLURM_CPUS_PER_TASK": "64",
            "SLURM_JOB_ID": "4711",
            "SEARCHR2_PARENT": "1",
        }
        launch = [str(ROOT / "profiles" / "slurm" / "launch"), "searchr2", *arguments]
        return subprocess.run(
            launch, env=environment, capture_output=True, text=True, check=True, timeout=300
        ).stdout

    return of


def test_the_launcher_starts_one_task_a_node_that_no_other_nodes_process_ends(launched):
    shown = launched(["train"], 'echo "${SEARCHR2_PARENT-none} $RENDEZVOUS"; printf "%s " "$@"')
    environment, called = shown.split("\n", 1)
    assert environment == "none node7:24711"  # the workflow lives on another node
    assert "--nodes 2 --ntasks 2 --ntasks-per-node 1 --cpus-per-task 64" in called


def test_its_nodes_meet_and_start_a_process_for_each_gpu_of_their_own(launched, tmp_path):
    """Two nodes on this machine, of two GPUs and one, by a stand-in of srun."""
    srun = """
    while [[ $1 != sh ]]; do shift; done
    SLURM_GPUS_ON_NODE=2 "$@" & SLURM_GPUS_ON_NODE=1 "$@"; wait $!
    """
    (tmp_path / "sitecustomize.py").write_text(
        "import os, pathlib, sys\n"
        "if 'RANK' in os.environ:\n"
        "    seen = [os.environ['WORLD_SIZE'], *sys.orig_argv[-3:]]\n"
        "    pathlib.Path(__file__).with_name(os.environ['RANK']).write_text('|'.join(seen))\n"
    )
    arguments = ["train", "--help", "a b.json"]
    shown = launched(arguments, f"export PYTHONPATH={tmp_path}\n{srun}", "127.0.0.1")
    assert shown.count("usage: searchr2 train") == 3
    for rank in range(3):
        assert (tmp_path / str(rank)).read_text() == "3|train|--help|a b.json"


def test_the_job_runs_the_workflow_with_its_profile():
    job = yaml.safe_load((ROOT / "profiles" / "kubernetes" / "job.yaml").read_text())
    [container] = job["spec"]["template"]["spec"]["containers"]
    assert container["command"][:3] == ["snakemake", "--workflow-profile", "profiles/kubernetes"]
    assert {"name": "shared", "mountPath": "/dev/shm"} in container["volumeMounts"]


def test_the_image_installs_the_pins():
    text = (ROOT / "Dockerfile").read_text()
    assert "pip install --requirement /opt/searchr2/requirements.txt" in text
    [python] = re.findall(r"^FROM python:([\d.]+)", text, re.M)
    environment = yaml.safe_load((ROOT / "envs" / "searchr2.yaml").read_text())
    assert f"python={python}" in environment["dependencies"]
    assert not pins(text.split())  # none of its own
    for name in re.findall(r"^COPY (.*) /opt", text, re.M):
        assert all((ROOT / part).exists() for part in name.split())
    assert canonicalize_name("deepspeed") in RUNNING


PAPER = ["paper_qwen2.5_7b", "paper_qwen3_8b", "paper_qwen2.5_32b"]


def test_the_papers_configs_differ_in_model_and_machine_alone():
    read = [yaml.safe_load((ROOT / "configs" / f"{name}.yaml").read_text()) for name in PAPER]
    own = {"name", "results", "model", "prompts", "deepspeed", "step_time"}  # Qwen3 has one model
    method = [{key: value for key, value in one.items() if key not in own} for one in read]
    assert method[0] == method[1] == method[2]
    assert (
        method[0]["grpo"]
        | {
            "steps": 300,
            "prompts_per_step": 512,
            "group_size": 5,
            "learning_rate": 1e-6,
            "warmup_ratio": 0.285,
            "kl_coefficient": 0.001,
            "updates_per_step": 1,
        }
        == method[0]["grpo"]
    )
    assert {one["model"]["backbone"] for one in read} == {"Qwen2.5-7B", "Qwen3-8B", "Qwen2.5-32B"}
