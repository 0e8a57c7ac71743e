"""Judges in the workflow: what names none stops before any work; what a change of one rebuilds."""

import pytest

from tests.workflow.test_plan import planned

WRONG = {
    "judge: {kind: http}": ["judge: a judge of kind http needs url", "needs model"],
    "judge: {kind: local}": ["judge: a judge of kind local needs model"],
    "quality: {judge: {kind: http, model: m}}": ["quality.judge: a judge of kind http needs url"],
    "runs: {search-r2: {judge: {kind: http, model: m}}}":
        ["runs.search-r2.judge: a judge of kind http needs url"],
    "judge: {url: 'http://me:secret@host/v1'}": ["judge.url: "],
    "judge: {api_key_env: sk-123}": ["judge.api_key_env: "],
    "quality: {rows: [search-r2, search-r3]}": ["quality.rows: 'search-r3' is not in rows"],
    "quality: {rows: [search-r2]}": ["quality.rows: "],
    "quality: {judge: {kind: rule}}": ["quality.judge.kind: 'rule' is not one of"],
}  # fmt: skip


@pytest.mark.parametrize(("line", "messages"), WRONG.items())
def test_a_judge_that_cannot_judge_is_named_before_any_work(project, line, messages):
    (project.folder / "mine.yaml").write_text(line)
    status, output = project.snakemake("--cores", "1", "--configfile", "mine.yaml")
    assert status == 1
    assert [message for message in messages if message not in output] == []
    assert project.calls() == []


CHANGES = {
    "quality: {pairs: 7}": {"quality"},
    "quality: {judge: {kind: http, url: 'http://127.0.0.1:1/v1', model: m}}": {"quality"},
    "quality: {rows: [search-r1, search-r2]}": {"quality"},
    "quality: {rows: null}": set(),
}


@pytest.mark.parametrize(("change", "jobs"), CHANGES.items())
def test_a_change_of_the_comparison_makes_nothing_else_anew(finished, change, jobs):
    (finished.folder / "change.yaml").write_text(change)
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    assert planned(output) - {"reference", "page"} == jobs  # which follow every table


def test_another_judge_of_the_reward_trains_anew_what_it_rewards(finished):
    (finished.folder / "change.yaml").write_text("judge: {kind: local, model: some/judge}")
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    jobs = planned(output)
    assert {"train/search-r2", "evaluate/search-r2", "quality"} <= jobs
    assert not {"base", "instruct", "train/sft", "train/rejection", "evaluate/rag"} & jobs


def test_a_run_may_have_a_judge_of_its_own(finished):
    (finished.folder / "change.yaml").write_text(
        "runs: {search-r2: {judge: {kind: local, model: some/judge}}}"
    )
    status, output = finished.snakemake("-n", "--configfile", "change.yaml")
    assert status == 0, output
    trained = {job for job in planned(output) if job.startswith("train/")}
    assert trained == {"train/search-r2"}
