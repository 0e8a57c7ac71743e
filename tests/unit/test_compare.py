import pytest
from records import evaluation_record, prediction, revised, train_record, write_questions

from searchr2.cli import main, show
from searchr2.files import read_jsonl, write_jsonl


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work") / "results"
    write_questions(folder)
    evaluation_record(folder, "rag", "rag", "base", 20.0)
    for seed in (1, 2):
        evaluation_record(folder, "search-r2", "search", f"train/search-r2/seed{seed}", 50.0 + seed)
    return folder


def test_compare_prints_differences_and_draws_them(results, capsys):
    assert main.main(["compare", "search-r2", "rag", "--results", str(results)]) == 0
    said = capsys.readouterr().out
    lines = {line.split("  ")[0]: line.split() for line in said.splitlines() if line}
    assert lines["search-r2"][1:9] == ["51.5"] * 8
    assert lines["minus rag"][2:] == ["+31.5*"] * 8
    p, holm = (
        next(line.split()[2:] for line in said.splitlines() if line.startswith(f"  {name} p "))
        for name in ("McNemar", "Holm")
    )
    assert list(map(float, holm)) == pytest.approx([7 * float(one) for one in p[:7]], rel=0.1)
    # of 51 and 52, less 20 each: 31.5 and 12.7062 * 0.7071 / sqrt(2)
    assert "minus rag, average: +25.1 to +37.9 over training seeds (95 % t interval)" in said
    assert (results / "figures/compare-search-r2-rag.png").stat().st_size > 1000


def test_compare_wants_two_that_exist_and_answered_the_same(results, tmp_path, capsys):
    assert main.main(["compare", "rag", "--results", str(results)]) == 2
    assert main.main(["compare", "rag", "nosuch", "--results", str(results)]) == 2
    assert "there: rag, search-r2" in capsys.readouterr().err
    rows = [row for _, row in read_jsonl(results / "evaluate/rag/seed1/predictions.jsonl")]
    write_jsonl(tmp_path / "other/predictions.jsonl", rows[1:])
    assert main.main(["compare", "rag", str(tmp_path / "other"), "--results", str(results)]) == 2
    assert "different questions of nq" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [("--resamples", "0", "100 or more"), ("--figure", "a.xyz", "let it end in .png")],
)
def test_compare_says_what_an_option_takes(results, capsys, option, value, said):
    with pytest.raises(SystemExit):
        main.main(["compare", "search-r2", "rag", "--results", str(results), option, value])
    assert said in capsys.readouterr().err


def test_show_prints_a_trajectory(results, capsys):
    command = ["show", "rag", "--question", "hotpotqa-30", "--results", str(results)]
    assert main.main(command) == 0
    said = capsys.readouterr().out
    assert "number hotpotqa-30?" in said
    assert "1. The Quiet Harbour: The Quiet Harbour is known here." in said
    assert "Ada Lind   [wrong, with the evidence]" in said
    assert main.main([*command, "--dataset", "nq"]) == 2


def test_show_sets_draft_and_repair_side_by_side(results, capsys):
    command = ["show", "search-r2", "--outcome", "repaired", "--seed", "2"]
    assert main.main([*command, "--results", str(results)]) == 0
    said = capsys.readouterr().out
    assert "cut before step 2   (accept 20%; flawed: step 1 10%, step 2 70%)" in said
    (line,) = [line for line in said.splitlines() if " | <answer>" in line]
    assert line.split("|")[0].strip() == "<answer> x </answer>"


def test_show_finds_the_last_rollouts_of_a_training_run(results, capsys):
    train_record(results, "search-r2", 1)
    command = ["show", str(results / "train/search-r2/seed1"), "--question", "t-0"]
    rollouts = results / "train/search-r2/seed1/rollouts"
    (rollouts / "step-000006.jsonl").write_text("")
    assert main.main(command) == 0
    assert "[repaired]" in capsys.readouterr().out


def test_show_says_what_there_is_instead(results, capsys):
    command = ["show", "search-r2", "--results", str(results)]
    assert main.main([*command, "--question", "17"]) == 2
    assert "look like nq-0" in capsys.readouterr().err
    assert main.main([*command, "--dataset", "nqq"]) == 2
    assert "sets: 2wikimultihopqa, bamboogle, " in capsys.readouterr().err
    assert main.main([*command, "--outcome", "split"]) == 2
    assert "outcomes: repaired; right; wrong, with the evidence" in capsys.readouterr().err
    assert main.main([*command, "--seed", "3"]) == 2
    assert "no seed3 (there: seed1, seed2)" in capsys.readouterr().err


def test_show_lets_no_text_steer_the_terminal():
    row = revised(prediction("q", "nq", True, "search"), "Ada Lind")
    row["drafts"][0][1]["text"] = row["question"] = "\x1b[2J\x07"
    assert not set("\x1b\x07") & set("".join(show.page(row, 80)))


def test_show_tells_two_revisions_and_an_acceptance_in_order():
    row = revised(prediction("q", "nq", True, "search"), "Ada Lind")
    row["drafts"].append(row["drafts"][0])
    row["verdicts"] += [
        {"choice": 1, "accepts": False, "probabilities": [0.1, 0.8, 0.1]},
        {"choice": 0, "accepts": True, "probabilities": [0.9, 0.1, 0.0]},
    ]
    said = list(show.page(row, 80))
    verdicts = [
        line.split("(")[0].split("refiner  ")[1].strip() for line in said if "refiner" in line
    ]
    assert verdicts == ["cut before step 2", "cut before step 1", "accepted"]
