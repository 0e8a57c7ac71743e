"""The figure of revisions: what is drawn of the table and of the ledgers."""

import json
from pathlib import Path

import pandas as pd
import pytest

from searchr2.cli.main import main
from searchr2.files import DataError
from searchr2.revisions import draw, generated


def ledger(path, values, key="rollout/generated"):
    rows = [{"time": i, "step": i + 1, "metrics": {key: v}} for i, v in enumerate(values)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def ledgers(tmp_path) -> dict[int, list[Path]]:
    return {
        1: [ledger(tmp_path / "a", [6.0, 7.0]), ledger(tmp_path / "b", [8.0, 7.0])],
        2: [ledger(tmp_path / "c", [9.0, 10.0])],
    }


def test_seeds_are_averaged_step_by_step(ledgers):
    counts = generated(ledgers)
    assert list(counts[1]) == [7.0, 7.0]
    assert list(counts[2]) == [9.0, 10.0]


def test_em_is_drawn_at_the_revisions_allowed_and_counts_over_steps(ledgers):
    line = {"average": 50.0, "average_ci_low": 45.0, "average_ci_high": 54.0}
    figure = draw(pd.DataFrame([line, {**line, "average": 52.0}]), generated(ledgers))
    left, right = figure.axes
    drawn = left.lines[0]
    assert drawn.get_xydata().tolist() == [[1, 50], [2, 52]]  # type: ignore[union-attr]
    assert [str(line.get_label()) for line in right.lines] == [
        "1 allowed, mean 7.00",
        "2 allowed, mean 9.50",
    ]


def test_a_table_that_is_not_there_or_is_another_is_named(tmp_path, capsys):
    run = f"1={ledger(tmp_path / 'a', [6.0])}"
    (tmp_path / "other.csv").write_text("method,em\nRAG,1\n")
    for name, said in (("none.csv", "none.csv: not a table"), ("other.csv", "no column average")):
        options = ["--table", str(tmp_path / name), "--runs", run, "--out", str(tmp_path / "f")]
        assert main(["revisions", *options]) == 2
        assert said in capsys.readouterr().err


def test_a_table_of_other_runs_and_a_ledger_without_counts_are_errors(ledgers, tmp_path):
    with pytest.raises(DataError, match="1 lines in the table, 2 runs"):
        draw(pd.DataFrame([{"average": 1.0}]), generated(ledgers))
    with pytest.raises(DataError, match="no rollout/generated"):
        generated({1: [ledger(tmp_path / "d", [1.0], key="rollout/em")]})
