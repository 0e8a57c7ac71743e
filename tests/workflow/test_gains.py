"""Which checkpoints the terms of the gain are measured on, and what that stage reads."""

import re

from searchr2 import config
from searchr2.files import read_json

COMMAND = re.compile(r"searchr2 gains .* --checkpoints (.*) --index \S+ --questions (\S+)")


def measured(project, change):
    """Checkpoints and questions of the planned stage, and what snakemake said."""
    (project.folder / "change.yaml").write_text(change)
    _, output = project.snakemake("-n", "-p", "--configfile", "change.yaml")
    found = COMMAND.search(output)
    return (found[1].split(), found[2]) if found else None, output


def test_start_snapshots_and_end_of_the_run_are_measured_on_validation_questions(project):
    found, output = measured(project, "grpo: {steps: 10, snapshot_every: 4}")
    run = "results/train/search-r2/seed1"
    checkpoints = ["0=results/base", f"4={run}/snapshots/step0004",
                   f"8={run}/snapshots/step0008", f"10={run}"]  # fmt: skip
    assert found == (checkpoints, "results/data/validation.jsonl"), output


def test_it_reads_the_settings_of_the_run_and_its_own(project):
    change = "{seeds: [7], gains: {drafts: 3}, runs: {search-r2: {refiner: {margin: 0.5}}}}"
    found, output = measured(project, change)
    assert found is not None, output
    assert "results/train/search-r2/seed7" in found[0][-1]
    path = project.folder / "results" / "config" / "gains.json"
    settings = config.load(config.GainsConfig, read_json(path), path)
    assert (settings.run, settings.seed) == ("search-r2", 7)
    assert (settings.gains.drafts, settings.refiner.margin) == (3, 0.5)


def test_a_run_without_a_meta_refiner_has_no_gain_to_measure(project):
    found, output = measured(project, "gains: {run: search-r1}")
    assert found is None
    assert "table1.csv" in output
