"""A published checkpoint takes the place of a training run."""

import json

from tests.workflow.test_plan import planned

PUBLISHED = "runs: {search-r1: {model: some/published}}\n"


def test_a_published_checkpoint_is_evaluated_in_the_same_tables_and_not_trained(project):
    (project.folder / "mine.yaml").write_text(
        PUBLISHED + "tables: {table_curves: {rows: [search-r2]}}\nseeds: [3, 4]\n"
    )
    command = ["-n", "-p", "results/table1.csv", "--configfile", "mine.yaml"]
    status, output = project.snakemake(*command)
    assert status == 0, output
    jobs = planned(output)
    assert "evaluate/search-r1" in jobs
    assert "train/search-r1" not in jobs
    assert "train/search-r2" in jobs
    assert "--checkpoint some/published" in output
    folder = project.folder / "results" / "config"
    assert not (folder / "train" / "search-r1").exists()
    lines = json.loads((folder / "tables" / "table1.json").read_text())["lines"]
    assert lines["search-r1"]["folders"] == ["search-r1/seed3"]  # it is there once
    assert lines["search-r2"]["folders"] == ["search-r2/seed3", "search-r2/seed4"]


def test_another_run_may_start_from_it(project):
    (project.folder / "mine.yaml").write_text(
        PUBLISHED + "tables: {table_curves: {rows: [search-r2]}}\n"
    )
    with (project.folder / "mine.yaml").open("a") as file:
        file.write("gains: {run: ''}\n")
    text = (
        (project.folder / "mine.yaml")
        .read_text()
        .replace("runs: {", "runs: {search-r2: {start: search-r1}, ")
    )
    (project.folder / "mine.yaml").write_text(text)
    status, output = project.snakemake("-n", "results/table1.csv", "--configfile", "mine.yaml")
    assert status == 0, output
    made = project.folder / "results" / "config" / "train" / "search-r2" / "seed1.json"
    assert json.loads(made.read_text())["paths"]["model"] == "some/published"


def test_it_has_no_steps_that_a_table_could_go_over(project):
    (project.folder / "mine.yaml").write_text(PUBLISHED)
    status, output = project.snakemake("-n", "--configfile", "mine.yaml")
    assert status == 1
    assert (
        "tables.table_curves: over_steps, and 'search-r1' is of no run that is trained here"
        in output
    )
