"""What a training of several processes asks of the machine, and what makes it run again."""

import json
import re

import pytest

TARGET = "results/train/search-r2/seed1/manifest.json"


@pytest.fixture
def asked(project):
    """GPUs and threads of a rule's job in a dry run with these settings."""

    def of(rule, settings):
        (project.folder / "mine.json").write_text(json.dumps(settings))
        options = ("--cores", "8", "--resources", "gpu=8", "--configfile", "mine.json", "-n")
        status, output = project.snakemake(TARGET, *options)
        assert status == 0, output
        job = output.partition(f"rule {rule}:")[2].partition("\n\n")[0]
        threads = re.search(r"threads: (\d+)", job)
        gpus, *_ = re.findall(r"\bgpu=(\d+)", job)
        return int(gpus), int(threads[1]) if threads else 1

    return of


@pytest.mark.parametrize(
    ("settings", "processes"),
    [
        ({}, 1),
        ({"deepspeed": {"processes": 4}}, 4),
        ({"runs": {"search-r2": {"deepspeed": {"processes": 2}}}}, 2),
    ],
)
def test_a_training_asks_for_a_gpu_a_process(asked, settings, processes):
    assert asked("train", settings) == (processes, processes)


def test_the_base_stage_does_too(asked):
    assert asked("base", {"deepspeed": {"processes": 3}}) == (3, 3)


def test_a_deepspeed_file_of_ones_own_is_an_input_and_must_be_there(project):
    (project.folder / "mine.json").write_text(json.dumps({"deepspeed": {"config": "ds.json"}}))
    status, output = project.snakemake(TARGET, "--cores", "1", "--configfile", "mine.json", "-n")
    assert status == 1
    assert "ds.json" in output
    (project.folder / "ds.json").write_text("{}")
    status, output = project.snakemake(TARGET, "--cores", "1", "--configfile", "mine.json", "-n")
    assert status == 0, output
