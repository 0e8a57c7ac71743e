"""What training cost: medians of ledgers, seed by seed, and where two runs have cost the same."""

import csv
import json

import pandas as pd
import pytest

from searchr2.cli.main import main
from searchr2.cost import table
from searchr2.files import DataError


def ledger(*seconds):
    return pd.DataFrame({"time/step": [None, *seconds]}, index=range(len(seconds) + 1))


def rows(found):
    return [(of["method"], of["step"], of["seconds"], of["nearest_to"]) for of in found]


def test_a_step_costs_the_median_of_its_ledger_and_training_as_many_of_them():
    ledgers = {"A": [ledger(1.0, 2.0, 90.0)], "B": [ledger(3.0, 3.0)]}
    found = table(ledgers, {"A": [2, 3, 4], "B": [2]}).to_dict("records")
    assert rows(found) == [
        ("A", 2, 4.0, ""),
        ("A", 3, 6.0, "B (100 %)"),
        ("A", 4, 8.0, ""),
        ("B", 2, 6.0, "A (75 %)"),
    ]
    assert found[0]["step_seconds"] == 2.0
    assert pd.isna(found[0]["ci_low"])  # of one seed nothing is known


def test_seeds_are_averaged_with_students_interval_over_them():
    ledgers = {"A": [ledger(1.0), ledger(2.0), ledger(3.0)]}
    [found] = table(ledgers, {"A": [10]}).to_dict("records")
    half = 4.302653 * 10 / 3**0.5
    assert (found["seconds"], found["seeds"], found["nearest_to"]) == (20.0, 3, "")
    ends = (found["ci_low"], found["ci_high"])
    assert ends == pytest.approx((20 - half, 20 + half), abs=0.05)


@pytest.mark.parametrize("ledgers", [{}, {"A": [pd.DataFrame({"reward/mean": [1.0]})]}])
def test_a_method_without_step_times_is_named(ledgers):
    with pytest.raises(DataError, match="A: no ledger of it, or one without time/step"):
        table(ledgers, {"A": [1]})


def test_the_command_reads_methods_and_steps_from_a_table_and_leaves_out_lines_without_a_step(
    tmp_path, capsys
):
    (tmp_path / "steps.csv").write_text(
        "method,step,average\nSearch-R1,4,1\nSearch-R1,8,2\nX,4,1\nSFT,,3\n"
    )
    runs = []
    for name, seconds in (("Search-R1", 2.0), ("X", 4.0)):
        path = tmp_path / f"{name}.jsonl"
        path.write_text(
            json.dumps({"time": 1, "step": 1, "metrics": {"time/step": seconds}}) + "\n"
        )
        runs.append(f"{name}={path}")
    out = tmp_path / "cost.csv"
    arguments = ["--table", str(tmp_path / "steps.csv"), "--out", str(out), "--print"]
    assert main(["cost", *arguments, "--runs", *runs]) == 0
    with out.open() as file:
        found = [
            (of["method"], of["step"], of["seconds"], of["nearest_to"])
            for of in csv.DictReader(file)
        ]
    assert found == [
        ("Search-R1", "4", "8.0", ""),
        ("Search-R1", "8", "16.0", "X (100 %)"),
        ("X", "4", "16.0", "Search-R1 (100 %)"),
    ]
    assert "| Search-R1 |    8 |" in capsys.readouterr().out
    assert (tmp_path / "cost.provenance.json").is_file()
