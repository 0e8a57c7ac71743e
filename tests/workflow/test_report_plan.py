"""When the comparison with the paper and the report are made, and from what."""

import re

import pytest

from tests.workflow.conftest import ROOT


def inputs(output: str, rule: str) -> list[str]:
    """What a job of a dry run reads."""
    [about] = re.findall(rf"^(?:local)?rule {rule}:\n    input: (.*)\n", output, flags=re.M)
    return str(about).split(", ")


def test_the_report_comes_after_every_table_and_figure(project):
    status, output = project.snakemake("-n", "-p")
    assert status == 0, output
    read = inputs(output, "page")
    everything = inputs(output, "default")
    assert [path for path in everything if path not in read] == ["results/report.html"]
    for name in ("table1.csv", "comparison.csv", "retrieval.csv", "figures/training_dynamics.png"):
        assert f"results/{name}" in read
    assert [path for path in read if path.endswith(".rst")] == sorted(
        path.relative_to(ROOT).as_posix() for path in (ROOT / "workflow" / "report").glob("*.rst")
    )


def test_the_comparison_reads_the_tables_that_the_paper_has(project):
    (project.folder / "mine.yaml").write_text(
        "tables: {mine: {title: Mine, rows: [rag]}}\nquality: {rows: [search-r1, rag]}\n"
    )
    status, output = project.snakemake("-n", "-p", "--configfile", "mine.yaml")
    assert status == 0, output
    read = inputs(output, "reference")
    assert "results/config/tables/table1.json" in read
    assert "workflow/reference/table1.csv" in read
    assert "workflow/reference/sets.csv" in read
    assert "results/table_step_time.csv" in read
    assert not [path for path in read if "mine" in path]
    assert "results/table_quality.csv" not in read  # of other rows than the paper's
    assert "results/mine.csv" in inputs(output, "page")


@pytest.mark.parametrize(
    ("line", "table"),
    [
        ("quality: {rows: [search-r1, search-r2]}", "table_quality"),
        ("step_time: {runs: [search-r2, search-r1]}", "table_step_time"),
    ],
)
def test_a_table_the_other_way_round_than_the_papers_is_not_compared(project, line, table):
    (project.folder / "mine.yaml").write_text(line)
    status, output = project.snakemake("-n", "-p", "--configfile", "mine.yaml")
    assert status == 0, output
    assert f"results/{table}.csv" not in inputs(output, "reference")
    assert f"results/{table}.csv" in inputs(output, "page")


def test_the_revisions_are_drawn_where_all_of_their_runs_are_trained_here(project):
    (project.folder / "mine.yaml").write_text("runs: {revisions-2: {model: some/published}}")
    for more, drawn in ([], True), (["--configfile", "mine.yaml"], False):
        status, output = project.snakemake("-n", "-p", *more)
        assert status == 0, output
        assert ("results/figures/revisions.png" in inputs(output, "page")) == drawn


def test_every_caption_belongs_to_something(project):
    """A caption is named after a table, a figure or the stage that makes one."""
    rules = "".join(path.read_text() for path in (ROOT / "workflow" / "rules").glob("*.smk"))
    for path in (ROOT / "workflow" / "report").glob("*.rst"):
        assert f"report/{path.name}" in rules
