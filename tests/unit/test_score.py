"""``searchr2 score``: EM, F1 and sub-EM of a predictions file."""

import json
from typing import Any

import pytest

from searchr2.cli.main import main

ROWS: list[dict[str, Any]] = [
    {"id": "1", "dataset": "nq", "prediction": "The Thames", "golden_answers": ["Thames"]},
    {"id": "2", "dataset": "nq", "prediction": None, "golden_answers": ["Seine"]},
    {"id": "1", "dataset": "popqa", "prediction": "in Rome", "golden_answers": ["Paris", "Rome"]},
]


def write(path, rows):
    path.write_text("".join(json.dumps({"question": "q?", **row}) + "\n" for row in rows))
    return ["score", "--predictions", str(path)]


def test_json_holds_percent_and_counts_over_all_rows_and_by_set(tmp_path, capsys):
    assert main([*write(tmp_path / "p.jsonl", ROWS), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    sets = scores.pop("sets")
    assert scores == pytest.approx(
        {"em": 100 / 3, "f1": (100 + 200 / 3) / 3, "sub_em": 200 / 3, "n": 3, "unanswered": 1}
    )
    assert sets["nq"] == {"em": 50.0, "f1": 50.0, "sub_em": 50.0, "n": 2, "unanswered": 1}
    assert sets["popqa"] == pytest.approx(
        {"em": 0.0, "f1": 200 / 3, "sub_em": 100.0, "n": 1, "unanswered": 0}
    )


def test_rows_that_name_no_set_are_scored_together(tmp_path, capsys):
    rows = [{key: row[key] for key in row if key != "dataset"} for row in ROWS]
    assert main([*write(tmp_path / "p.jsonl", rows), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    assert scores["n"] == 3
    assert "sets" not in scores


def test_without_json_a_line_a_set_and_one_for_all(tmp_path, capsys):
    assert main(write(tmp_path / "p.jsonl", ROWS)) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["EM", "F1", "sub-EM", "n", "unanswered"],
        ["nq", "50.0", "50.0", "50.0", "2", "1"],
        ["popqa", "0.0", "66.7", "100.0", "1", "0"],
        ["all", "33.3", "55.6", "66.7", "3", "1"],
    ]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"golden_answers": "Rome"}, "golden_answers must be a list of strings"),
        ({"golden_answers": []}, "a question without gold answers"),
        ({"golden_answers": [3]}, "golden_answers must be a list of strings"),
        ({"prediction": 3}, "prediction must be a string or null"),
        ({"dataset": 3}, "dataset must be a string"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_reason(tmp_path, capsys, change, reason):
    arguments = write(tmp_path / "p.jsonl", [ROWS[0], {**ROWS[1], **change}])
    assert main(arguments) == 2
    assert f"p.jsonl:2: {reason}" in capsys.readouterr().err


@pytest.mark.parametrize("key", ["id", "golden_answers", "prediction"])
def test_a_missing_key_is_named(tmp_path, capsys, key):
    row = {name: value for name, value in ROWS[0].items() if name != key}
    assert main(write(tmp_path / "p.jsonl", [row])) == 2
    assert f"p.jsonl:1: no '{key}' in this row" in capsys.readouterr().err


def test_an_empty_or_missing_file_is_an_error(tmp_path, capsys):
    assert main(write(tmp_path / "p.jsonl", [])) == 2
    assert "no predictions in it" in capsys.readouterr().err
    assert main(["score", "--predictions", str(tmp_path / "nowhere.jsonl")]) == 2
    assert "nowhere.jsonl: No such file" in capsys.readouterr().err
