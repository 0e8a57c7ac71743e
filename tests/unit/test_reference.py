"""Our tables beside the paper's: verdicts at its scale, orders and signs at every other."""

import json
from pathlib import Path

import pandas as pd
import pytest

from searchr2.cli.main import main
from searchr2.config import SETS
from searchr2.files import DataError
from searchr2.ranks import Agreement
from searchr2.reference.verdicts import average, order, plain, read_reference, sign, verdict
from searchr2.statistics import Interval

ROOT = Path(__file__).resolve().parents[2]
PAPER = ROOT / "workflow" / "reference"
ROWS = ("direct", "rag", "search-r1", "search-r2")


def predict(folder, row, right, sets=SETS, questions=100):
    """Predictions that are right on the first ``right`` questions of each set."""
    path = folder / "evaluate" / row / "seed1" / "predictions.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [
        {
            "id": f"test_{i}",
            "dataset": name,
            "question": "?",
            "golden_answers": ["yes"],
            "prediction": "yes" if i < right else "no",
        }
        for name in sets
        for i in range(questions)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def compare(
    folder, rows=ROWS, backbone="qwen2-mini", corpus=None, name="table1", compare=(), others=()
):
    """Write the settings of a table, compare it, and return what was found (and the page)."""
    data = {"corpus": corpus, "questions": {"nq": "q"}, "train": ["t"]} if corpus else {}
    (folder / "data.json").write_text(json.dumps({"data": data}))
    lines = {row: {"label": row, "folders": [f"{row}/seed1"]} for row in rows}
    config = {"name": "mini", "title": "T", "backbone": backbone, "lines": lines}
    config |= {"compare": compare, "evaluation": {"bootstrap": 500}}
    (folder / f"{name}.json").write_text(json.dumps(config))
    out = folder / "comparison.md"
    arguments = ["--config", folder / f"{name}.json", "--reference", PAPER, "--out", out]
    arguments += ["--data", folder / "data.json", "--evaluations", folder / "evaluate"]
    arguments += ["--others", *(folder / other for other in others)]
    assert main(["reference", *map(str, arguments)]) == 0
    return pd.read_csv(folder / "comparison.csv"), out.read_text()


@pytest.fixture
def evaluated(tmp_path):
    for row, right in zip(ROWS, (5, 30, 36, 40), strict=True):
        predict(tmp_path, row, right)
    return tmp_path


def cell(found, row, backbone, name):
    [line] = found.query(
        "kind == 'cell' and row == @row and backbone == @backbone and set == @name"
    ).to_dict("records")
    return line


@pytest.mark.parametrize(
    ("paper", "expected"),
    [(40.0, "inside"), (35.0, "inside"), (34.95, "inside"), (34.9, "outside"), (45.1, "outside")],
)
def test_a_cell_is_inside_where_the_printed_number_may_lie_in_our_interval(paper, expected):
    assert verdict(paper, Interval(40.0, 35.0, 45.0)) == expected


@pytest.mark.parametrize(
    ("paper", "gap", "expected"),
    [
        (5.4, Interval(3.6, 0.4, 6.6), "same"),
        (5.4, Interval(3.6, 0.0, 6.6), "open"),
        (5.4, Interval(-3.6, -6.6, 0.4), "open"),
        (5.4, Interval(-3.6, -6.6, -0.4), "opposite"),
        (-1.0, Interval(-3.6, -6.6, -0.4), "same"),
        (0.0, Interval(3.6, 0.4, 6.6), "open"),
    ],
)
def test_a_sign_is_told_only_where_our_interval_leaves_zero_out(paper, gap, expected):
    assert sign(paper, gap) == expected


@pytest.mark.parametrize(
    ("rho", "chance", "expected"),
    [
        (Interval(1.0, 0.8, 1.0), 1 / 24, "agrees"),
        (Interval(0.8, 0.4, 1.0), 4 / 24, "open"),
        (Interval(1.0, 0.0, 1.0), 1 / 24, "open"),
        (Interval(-0.8, -1.0, -0.4), 0.9, "reversed"),
    ],
)
def test_an_order_agrees_only_where_chance_would_seldom_bring_it(rho, chance, expected):
    assert order(Agreement(rho, chance, 4)) == expected


def test_at_the_papers_scale_every_cell_has_a_verdict(evaluated):
    found, page = compare(evaluated, backbone="Qwen2.5-7B", corpus="wiki-18.jsonl")
    ours = cell(found, "Search-R2", "Qwen2.5-7B", "nq")  # 40 of 100: 30.9 to 49.8 (Wilson)
    assert (ours["paper"], ours["ours"], ours["n"]) == (39.9, 40.0, 100)
    assert (ours["ci_low"], ours["ci_high"]) == (30.9, 49.8)
    assert ours["verdict"] == "inside"
    assert cell(found, "Search-R2", "Qwen2.5-7B", "musique")["verdict"] == "outside"  # 15.1
    mean = cell(found, "Search-R2", "Qwen2.5-7B", "average")
    assert (mean["paper"], mean["ours"], mean["n"], mean["verdict"]) == (40.4, 40.0, 700, "inside")
    assert "This is not a reproduction" not in page
    assert "32 of the paper's 120 cells were run" in page
    assert "40.0 (30.9 to 49.8) !" in page  # what is outside is marked


def test_what_was_not_run_says_so_and_is_never_a_zero(evaluated):
    found, page = compare(evaluated, backbone="Qwen2.5-7B", corpus="wiki-18.jsonl")
    for row, backbone in (("IRCoT", "Qwen2.5-7B"), ("Search-R2", "Qwen3-8B")):
        none = cell(found, row, backbone, "nq")
        assert none["verdict"] == "not run"
        assert pd.isna(none["ours"])
        assert pd.isna(none["ci_low"])
    assert page.count(" not run |\n") > 11  # cells of eleven lines, and more


def test_a_set_without_questions_is_not_run_and_neither_is_the_average(evaluated):
    predict(evaluated, "search-r2", 40, sets=SETS[1:])
    found, _ = compare(evaluated, backbone="Qwen2.5-7B", corpus="wiki-18.jsonl")
    verdicts = [cell(found, "Search-R2", "Qwen2.5-7B", n)["verdict"] for n in ("nq", "average")]
    assert verdicts == ["not run", "not run"]
    assert cell(found, "Search-R2", "Qwen2.5-7B", "triviaqa")["verdict"] == "outside"


@pytest.mark.parametrize(
    ("backbone", "corpus"),
    [("qwen2-mini", None), ("Qwen2.5-7B", None), ("Llama-3-8B", "wiki-18.jsonl")],
)
def test_at_any_other_scale_no_value_is_set_beside_a_value(evaluated, backbone, corpus):
    found, page = compare(evaluated, backbone=backbone, corpus=corpus)
    cells = found[found["kind"] == "cell"]
    assert set(cells["verdict"]) == {"not run"}
    assert cells["ours"].isna().all()
    assert "**This is not a reproduction of the paper's numbers.**" in page
    assert "paper, Qwen2.5-7B" in page
    assert "| ours" not in page


def test_the_order_of_the_methods_is_compared_at_every_scale(evaluated):
    found, page = compare(evaluated)
    [seen] = found[found["kind"] == "order"].to_dict("records")
    assert seen["row"] == "Direct Inference < RAG < Search-R1 < Search-R2"
    assert (seen["backbone"], seen["ours"], seen["verdict"]) == ("Qwen2.5-7B", 1.0, "agrees")
    assert "4 methods; 4.2 % of all orders agree as well" in page
    predict(evaluated, "direct", 60)
    predict(evaluated, "search-r2", 1)
    [seen] = compare(evaluated)[0].query("kind == 'order'").to_dict("records")
    assert (seen["ours"], seen["verdict"]) == (-0.8, "reversed")


def test_two_methods_are_a_sign_and_no_order(evaluated):
    pairs = [["search-r2", "search-r1"], ["search-r1", "rag"]]
    found, page = compare(evaluated, rows=("search-r1", "search-r2"), compare=pairs[:1])
    assert found[found["kind"] == "order"].empty
    assert "Fewer than three methods" in page
    signs = found[found["kind"] == "sign"]
    assert list(signs["row"]) == ["Search-R1 to Search-R2"] * 3
    assert list(signs["backbone"]) == ["Qwen2.5-7B", "Qwen3-8B", "Qwen2.5-32B"]
    assert list(signs["ours"]) == [4.0] * 3
    assert set(signs["verdict"]) == {"same"}


def test_each_step_of_the_ablation_has_its_sign(evaluated):
    predict(evaluated, "plus-refiner", 36)
    predict(evaluated, "plus-process", 20)
    rows = ("search-r1", "plus-refiner", "plus-process", "search-r2")
    found, page = compare(evaluated, rows=rows, name="table_ablation")
    steps = found.query("kind == 'sign' and backbone == 'Qwen2.5-7B'")
    assert list(steps["paper"]) == [3.9, 0.7, 0.8]
    assert list(steps["ours"]) == [0.0, -16.0, 20.0]
    assert list(steps["verdict"]) == ["open", "opposite", "same"]
    assert "| Search-R1 to Search-R1 + Meta-Refiner " in page
    assert "+3.9, +3.3, +3.7" in page
    [short] = [line for line in page.splitlines() if line.startswith("| table_ablation |")][:1]
    counts = [part.strip() for part in short.strip("|").split("|")[1:]]
    assert counts == ["0", "0", "96", "open", "1", "1", "1", "0"]


def test_a_table_by_steps_is_compared_step_by_step_and_its_signs_at_the_end(evaluated):
    predict(evaluated, "search-r1-n10", 48)
    predict(evaluated, "early", 10)
    lines = {
        "search-r1-n10": (300, "search-r1-n10"),
        "search-r2@50": (50, "early"),
        "search-r2": (300, "search-r2"),
    }
    config = {
        name: {"label": name, "step": step, "folders": [f"{folder}/seed1"]}
        for name, (step, folder) in lines.items()
    }
    rows = ("search-r1-n10", "search-r2")
    compare(evaluated, rows=rows, name="table_double_rollouts")
    path = evaluated / "table_double_rollouts.json"
    settings = json.loads(path.read_text()) | {"lines": config, "backbone": "qwen2.5-32b-instruct"}
    path.write_text(json.dumps(settings))
    data = {"corpus": "c", "questions": {"nq": "q"}, "train": ["t"]}
    (evaluated / "data.json").write_text(json.dumps({"data": data}))
    options = ["--config", path, "--reference", PAPER, "--out", evaluated / "comparison.md"]
    options += ["--data", evaluated / "data.json", "--evaluations", evaluated / "evaluate"]
    assert main(["reference", *map(str, options)]) == 0
    found = pd.read_csv(evaluated / "comparison.csv")
    ran = found.query("kind == 'cell' and verdict != 'not run'")
    assert sorted(set(zip(ran["row"], ran["step"], strict=True))) == [
        ("Search-R1 (n=10)", 300),
        ("Search-R2 (n=5, max revision=1)", 50),
        ("Search-R2 (n=5, max revision=1)", 300),
    ]
    [end] = found.query("kind == 'sign'").to_dict("records")
    assert (end["paper"], end["ours"], end["verdict"]) == (2.9, -8.0, "opposite")


def test_the_slip_in_the_papers_table_is_told_and_not_copied(evaluated):
    found, page = compare(evaluated)
    ircot = cell(found, "IRCoT", "Qwen2.5-7B", "average")
    assert ircot["paper"] == 22.6
    assert "IRCoT, average: printed 23.9, its seven numbers average 22.6." in page
    assert average({**dict.fromkeys(SETS, 40.04), "average": 40.1}) == (40.1, "")


def test_the_page_says_how_fine_bamboogle_is_at_the_papers_scale(evaluated):
    _, page = compare(evaluated)
    [line] = [line for line in page.splitlines() if line.startswith("| Bamboogle ")]
    assert [part.strip() for part in line.strip("|").split("|")[1:]] == ["125", "8.6", "100", "9.6"]


def test_the_same_predictions_give_the_same_bytes(evaluated):
    first, again = compare(evaluated)[1], compare(evaluated)[1]
    assert first == again


def test_an_ending_of_a_backbones_name_makes_no_other_backbone():
    assert plain("Qwen2.5-32B-Instruct") == plain("qwen2.5-32B")
    assert plain("Qwen2.5-7B") != plain("Qwen2.5-32B")


@pytest.mark.parametrize("name", ["table1", "table_ablation", "table_revisions"])
def test_every_printed_average_but_one_is_the_mean_of_its_seven_numbers(name):
    lines = read_reference(PAPER / f"{name}.csv").to_dict("records")
    assert [line["method"] for line in lines if average(line)[1]] == ["IRCoT"] * (name == "table1")


def test_the_papers_tables_have_the_rows_of_the_default_config():
    import yaml

    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    for name in ("table1", "table_ablation", "table_revisions", "table_double_rollouts"):
        rows = list(dict.fromkeys(read_reference(PAPER / f"{name}.csv")["row"]))
        assert rows == config["tables"][name]["rows"], name


def test_a_reference_that_is_no_table_is_named(tmp_path):
    path = tmp_path / "table1.csv"
    with pytest.raises(DataError, match=r"table1\.csv: not a table"):
        read_reference(path)
    path.write_text("row,method\nrag,RAG\n")
    with pytest.raises(DataError, match="no column backbone, nq"):
        read_reference(path)


def test_a_table_the_paper_does_not_have_is_an_error_when_it_is_the_only_one(evaluated, capsys):
    (evaluated / "data.json").write_text("{}")
    (evaluated / "mine.json").write_text("{}")
    options = [
        "--config",
        evaluated / "mine.json",
        "--reference",
        PAPER,
        "--out",
        evaluated / "c.md",
    ]
    assert main(["reference", *map(str, options)]) == 2
    assert "holds none of the tables named with --config" in capsys.readouterr().err


def test_of_step_times_the_sign_alone_is_compared_at_every_scale(evaluated):
    header = "method,backbone,step_seconds,relative_change_percent,ci_low,ci_high,steps"
    lines = ["Search-R1,m,4.1,,,,8", "Search-R2,m,4.9,19.5,12.0,27.1,8"]
    (evaluated / "table_step_time.csv").write_text("\n".join([header, *lines]) + "\n")
    found, page = compare(evaluated, others=["table_step_time.csv"])
    times = found[found["table"] == "table_step_time"]
    assert list(times["paper"]) == [8.66, 4.1, 2.43]
    assert list(times["ours"]) == [19.5] * 3
    assert set(times["verdict"]) == {"same"}
    assert "| +19.5 | +12.0 to +27.1 | % of time |    same |" in page
    assert "table_step_time" in page.partition("## Order")[0]


ENDS = (("low", 31.0), ("high", 49.0))


def test_of_rubrics_the_sign_counts_where_holms_sign_test_does(evaluated):
    rubrics = pd.read_csv(PAPER / "table_quality.csv")["rubric"]
    wins = [60, 40, 30, 0, 25, 2]  # against 20, 20, 20, 40, 25 and 1 in all
    losses = [20, 20, 20, 40, 25, 1]
    p = [1e-5, 0.012, 0.2, 1e-9, 1.0, 1.0]
    table = {"rubric": rubrics, "nq_wins": wins, "nq_losses": losses, "popqa_wins": [None] * 6}
    table |= {"average_wins": None, "average_losses": None, "pairs": 100, "sign_test_p": p}
    table |= {"average_difference": [40.0] + [None] * 5}
    table |= {f"average_difference_ci_{end}": [at] + [None] * 5 for end, at in ENDS}
    pd.DataFrame(table).to_csv(evaluated / "table_quality.csv", index=False)
    found, page = compare(evaluated, others=["table_quality.csv"])
    seen = found[found["table"] == "table_quality"]
    assert list(seen["paper"]) == [16.9, 30.1, 27.3, 13.2, 26.9, 7.2]
    assert list(seen["ours"]) == [40.0, 20.0, 10.0, -40.0, 0.0, 1.0]
    # Holm: 6e-9, 5e-5, 4 x 0.012 = 0.048, then 0.6, 1, 1
    assert list(seen["verdict"]) == ["same", "same", "open", "opposite", "open", "open"]
    assert "of 100 pairs; Holm p = 0.048" in page
    assert "| +40.0 | +31.0 to +49.0 | of 100 pairs;" in page
    assert page.count("| Evidence groundedness ") == 1


def test_tables_that_were_not_made_are_not_run(evaluated):
    found, _ = compare(evaluated, others=["table_step_time.csv", "table_quality.csv"])
    others = found[found["table"].isin(["table_step_time", "table_quality"])]
    assert len(others) == 9
    assert set(others["verdict"]) == {"not run"}
    assert others["ours"].isna().all()


def test_another_table_without_its_columns_is_named(evaluated, capsys):
    (evaluated / "table_quality.csv").write_text("rubric,score\nx,1\n")
    with pytest.raises(AssertionError):
        compare(evaluated, others=["table_quality.csv"])
    assert "table_quality.csv: no column 'pairs'" in capsys.readouterr().err
    with pytest.raises(AssertionError):
        compare(evaluated, others=["table1.csv"])
    said = capsys.readouterr().err
    assert "table1.csv: --others takes table_step_time.csv and table_quality.csv" in said
