"""Table 1, its differences and its page, on predictions whose figures are known beforehand."""

import csv
import json
import subprocess
import sys

import pytest

from searchr2.cli.main import main
from searchr2.config import SETS
from searchr2.tables import DIFFERENCES

HEADER = (
    "method,backbone,nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,"
    "average,average_ci_low,average_ci_high"
)


def predict(folder, row, right, seed=1, sets=SETS, questions=10, below=""):
    """Predictions that are right on the first ``right`` questions of each set."""
    path = folder / "evaluate" / row / f"seed{seed}" / below / "predictions.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"test_{i}",
            "dataset": name,
            "question": "?",
            "golden_answers": ["yes"],
            "prediction": "Yes." if i < right else None,
            "em": 0.0,  # what a file claims is not read
        }
        for name in sets
        for i in range(questions)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def line(label, *folders, **more):
    return {"label": label, "folders": list(folders), **more}


def lines(seeds=(1,)):
    """RAG, Search-R1 and, only compared, the untrained model."""
    return {
        "rag": line("RAG", "rag/seed1"),
        "search-r1": line("Search-R1", *(f"search-r1/seed{seed}" for seed in seeds)),
        "base-search": line("Untrained", "base-search/seed1", shown=False),
    }


def table(folder, of=None, **settings):
    config = {"name": "mini", "title": "Main results", "backbone": "qwen2-mini"}
    config |= {"lines": of or lines(), **settings}
    (folder / "settings.json").write_text(json.dumps(config))
    arguments = ["--config", folder / "settings.json", "--evaluations", folder / "evaluate"]
    outputs = ["--out", folder / "table1.csv", "--differences", folder / "differences.csv"]
    return main(["table", *map(str, [*arguments, *outputs])])


def read(path):
    return list(csv.DictReader(path.open()))


@pytest.fixture
def evaluated(tmp_path):
    predict(tmp_path, "rag", 2)
    predict(tmp_path, "base-search", 3)
    predict(tmp_path, "search-r1", 5)
    return tmp_path


def test_the_table_holds_em_in_percent_and_leaves_out_what_is_only_compared(evaluated):
    assert table(evaluated) == 0
    text = (evaluated / "table1.csv").read_text()
    assert text.splitlines()[0] == HEADER
    rag, trained = read(evaluated / "table1.csv")
    assert (rag["method"], rag["backbone"]) == ("RAG", "qwen2-mini")
    assert [rag[name] for name in SETS] == ["20.0"] * 7
    assert [trained[name] for name in (*SETS, "average")] == ["50.0"] * 8
    low, high = float(trained["average_ci_low"]), float(trained["average_ci_high"])
    assert 36 < low < 42 < 58 < high < 64  # 50 +- 1.96 sqrt(0.25 / 70), and some


def test_differences_are_paired_and_take_lines_outside_the_table(evaluated):
    assert table(evaluated, compare=[["search-r1", "base-search"], ["rag", "rag"]]) == 0
    gap, none = (row for row in read(evaluated / "differences.csv") if row["set"] == "average")
    assert list(gap) == DIFFERENCES
    assert (gap["a"], gap["b"], gap["difference"], gap["n"]) == (
        "search-r1",
        "base-search",
        "20.0",
        "70",
    )
    assert 0 < float(gap["ci_low"]) < 20 < float(gap["ci_high"])
    assert float(gap["mcnemar_p"]) == pytest.approx(2 / 2**14, rel=0.01)
    assert [none[key] for key in ("difference", "ci_low", "ci_high")] == ["0.0"] * 3
    assert none["mcnemar_p"] == "1"


def test_differences_of_sets_have_their_p_corrected_over_the_sets(evaluated):
    predict(evaluated, "search-r1", 10)
    predict(evaluated, "search-r1", 3, sets=SETS[:1], below="nq")
    (path,) = (evaluated / "evaluate" / "search-r1").glob("seed1/predictions.jsonl")
    others = [row for row in path.read_text().splitlines() if '"nq"' not in row]
    nq = (path.parent / "nq" / "predictions.jsonl").read_text().splitlines()
    path.write_text("\n".join([*nq, *others]) + "\n")
    assert table(evaluated, compare=[["search-r1", "rag"]]) == 0
    whole, *sets = read(evaluated / "differences.csv")
    assert (whole["set"], whole["holm_p"]) == ("average", "")
    assert [row["set"] for row in sets] == list(SETS)
    assert {row["n"] for row in sets} == {"10"}
    assert (sets[0]["difference"], sets[0]["mcnemar_p"], sets[0]["holm_p"]) == ("10.0", "1", "1")
    # ahead on 8 of 10 questions of six sets: 2 / 2^8 each, times seven
    assert {row["mcnemar_p"] for row in sets[1:]} == {"0.00781"}
    assert {row["holm_p"] for row in sets[1:]} == {"0.0547"}
    page = (evaluated / "table1.md").read_text()
    assert "| Search-R1 - RAG | +10.0 |" in page
    predict(evaluated, "search-r1", 10, questions=11)
    predict(evaluated, "rag", 1, questions=11)
    assert table(evaluated, compare=[["search-r1", "rag"]]) == 0
    assert "| Search-R1 - RAG | +81.8 * |" in (evaluated / "table1.md").read_text()


def test_each_cell_has_an_interval_of_its_own_even_where_nothing_is_right(evaluated):
    predict(evaluated, "rag", 0)
    assert table(evaluated) == 0
    none, *_, last = read(evaluated / "table1_cells.csv")
    assert [none[key] for key in ("method", "step", "set", "em", "ci_low", "ci_high", "n")] == [
        *("RAG", "", "nq", "0.0", "0.0", "27.8", "10")  # Wilson's, of 0 of 10
    ]
    assert (last["method"], last["set"], last["em"]) == ("Search-R1", "bamboogle", "50.0")
    assert len(read(evaluated / "table1_cells.csv")) == 14


def test_the_page_says_how_wide_the_interval_of_a_cell_can_be(evaluated):
    assert table(evaluated) == 0
    assert (
        "is widest near 50 %: +-26.3 points of every set." in (evaluated / "table1.md").read_text()
    )


def test_a_set_that_was_not_evaluated_is_an_empty_cell_and_so_is_the_average(evaluated):
    predict(evaluated, "rag", 2, sets=SETS[1:])
    assert table(evaluated, compare=[["search-r1", "rag"]]) == 0
    rag, trained = read(evaluated / "table1.csv")
    empty = ("nq", "average", "average_ci_low", "average_ci_high")
    assert [rag[key] for key in empty] == [""] * 4
    assert rag["triviaqa"] == "20.0"
    assert trained["average"] == "50.0"
    assert read(evaluated / "differences.csv")[0]["n"] == "60"


def test_seeds_are_averaged_and_their_spread_is_told_apart(evaluated):
    predict(evaluated, "search-r1", 7, seed=2)
    assert table(evaluated, lines(seeds=(1, 2))) == 0
    assert read(evaluated / "table1.csv")[1]["average"] == "60.0"
    page = (evaluated / "table1.md").read_text()
    assert "means over 2 seeds" in page
    assert "Search-R1 14.1" in page  # of 50 and 70


@pytest.mark.parametrize(
    ("second", "reading"),
    [(5, "both are above zero, Search-R1 is ahead."), (2, "do not tell them apart.")],
)
def test_with_seeds_a_method_is_ahead_only_where_both_intervals_say_so(evaluated, second, reading):
    predict(evaluated, "search-r1", second, seed=2)
    assert table(evaluated, lines(seeds=(1, 2)), compare=[["search-r1", "rag"]]) == 0
    [told] = [
        of for of in (evaluated / "table1.md").read_text().splitlines() if "against RAG" in of
    ]
    assert "; over training seeds a 95 % t interval of " in told
    assert told.endswith(reading)
    assert float(read(evaluated / "differences.csv")[0]["ci_low"]) > 0  # the questions alone do


def test_the_page_says_what_a_reader_must_know(evaluated, capsys):
    assert table(evaluated, compare=[["search-r1", "base-search"], ["rag", "rag"]]) == 0
    page = (evaluated / "table1.md").read_text()
    assert page.startswith("# Main results (mini)\n\n| Method ")
    assert "70 test questions (NQ 10, TriviaQA 10," in page
    assert "do not reproduce" in page
    assert "- Search-R1 against Untrained: +20.0, 95 % interval +" in page
    assert "the interval is above zero, Search-R1 is ahead." in page
    assert "- RAG against RAG: +0.0, 95 % interval +0.0 to +0.0 (70 questions;" in page
    assert "the interval holds zero, so these questions do not tell them apart." in page
    assert capsys.readouterr().out == ""


def test_the_same_predictions_give_the_same_bytes(evaluated):
    written = []
    for _ in range(2):
        assert table(evaluated, compare=[["search-r1", "rag"]]) == 0
        names = ("table1.csv", "table1.md", "differences.csv")
        written.append([(evaluated / name).read_bytes() for name in names])
    assert written[0] == written[1]


def test_a_missing_evaluation_is_named_with_the_rule_that_rebuilds_it(evaluated, capsys):
    assert table(evaluated, lines(seeds=(1, 2))) == 2
    said = capsys.readouterr().err
    assert "search-r1/seed2/predictions.jsonl: missing" in said
    assert "snakemake --forcerun evaluate" in said
    assert not (evaluated / "table1.csv").exists()


def test_lines_over_different_questions_cannot_be_compared(evaluated, capsys):
    predict(evaluated, "rag", 2, questions=9)
    assert table(evaluated, compare=[["search-r1", "rag"]]) == 2
    assert "search-r1 and rag answered different questions of nq" in capsys.readouterr().err


def test_seeds_over_different_questions_cannot_be_averaged(evaluated, capsys):
    predict(evaluated, "search-r1", 5, seed=2, questions=9)
    assert table(evaluated, lines(seeds=(1, 2))) == 2
    assert "not every seed answered question 'test_9'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sets", "reason"),
    [
        (("squad",), "dataset 'squad' of 'test_0' is not one of"),
        (("nq", "nq"), "question 'test_0' of nq is there twice"),
    ],
)
def test_predictions_that_fit_no_cell_are_an_error(evaluated, capsys, sets, reason):
    predict(evaluated, "rag", 2, sets=sets)
    assert table(evaluated) == 2
    assert reason in capsys.readouterr().err


def test_a_pair_must_name_lines(evaluated, capsys):
    assert table(evaluated, compare=[["search-r1", "search-r9"]]) == 2
    assert "'search-r9' is not one of the lines" in capsys.readouterr().err


def test_a_table_over_steps_has_a_line_a_snapshot_with_its_step(evaluated):
    predict(evaluated, "search-r1", 4, below="steps/step0008")
    of = {
        "search-r1@8": line("Search-R1", "search-r1/seed1/steps/step0008", step=8),
        "search-r1": line("Search-R1", "search-r1/seed1", step=24),
    }
    assert table(evaluated, of, compare=[["search-r1", "search-r1@8"]]) == 0
    assert (evaluated / "table1.csv").read_text().startswith("method,backbone,step,nq,")
    assert [
        (row["method"], row["step"], row["average"]) for row in read(evaluated / "table1.csv")
    ] == [
        ("Search-R1", "8", "40.0"),
        ("Search-R1", "24", "50.0"),
    ]
    page = (evaluated / "table1.md").read_text()
    assert "| Method    | Step |   NQ |" in page
    assert read(evaluated / "differences.csv")[0]["difference"] == "10.0"
    assert "- Search-R1 after 24 steps against Search-R1 after 8 steps: +10.0, 95 %" in page


def test_what_was_supervised_has_an_empty_step_and_the_others_stay_whole_numbers(evaluated):
    of = {
        "search-r1": line("Search-R1", "search-r1/seed1", step=24),
        "rag": line("SFT", "rag/seed1"),
    }
    assert table(evaluated, of, compare=[["search-r1", "rag"]]) == 0
    for name in ("table1.csv", "table1_cells.csv"):
        steps = {row["method"]: row["step"] for row in read(evaluated / name)}
        assert steps == {"Search-R1": "24", "SFT": ""}
    page = (evaluated / "table1.md").read_text()
    assert "| Search-R1 |   24 | 50.0 |" in page
    assert "| SFT       |      | 20.0 |" in page
    assert "- Search-R1 after 24 steps against SFT: +30.0, 95 %" in page


def test_the_pages_title_is_the_tables(evaluated):
    assert table(evaluated, title="What each part adds") == 0
    assert (evaluated / "table1.md").read_text().startswith("# What each part adds (mini)\n")


def test_a_table_without_comparisons_has_an_empty_file_of_differences_and_no_word_of_them(
    evaluated,
):
    assert table(evaluated) == 0
    text = (evaluated / "differences.csv").read_text()
    assert text == ",".join(DIFFERENCES) + "\n"
    assert "Paired differences" not in (evaluated / "table1.md").read_text()


def test_making_a_table_imports_no_torch(evaluated):
    code = "import searchr2.cli.table, searchr2.table_page, sys; print('torch' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"
