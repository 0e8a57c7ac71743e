"""The training curves: what is drawn, from which figures, and the same bytes each time."""

import json
import subprocess
import sys
from itertools import combinations

import pytest
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from searchr2.cli.main import main
from searchr2.curves import read_curves, read_ledger, read_levels
from searchr2.figures import training_dynamics
from searchr2.files import DataError


def ledger(path, refiner=False, steps=4, shift=0.0):
    """EM rises by 0.1 a step from 0.2 + ``shift``; validation at even steps."""
    rows = []
    for step in range(steps + 1):
        em = 0.2 + 0.1 * step + shift
        metrics = {"validation/em": em} if step % 2 == 0 else {}
        if step:
            metrics |= {"reward/mean": em, "rollout/em": em, "rollout/em_draft": em - 0.05}
        if step and refiner:
            shares = ("refiner/revised", "refiner/accept_right", "refiner/accept_wrong")
            metrics |= dict.fromkeys(shares, 0.5) | {"refiner/regain": -0.1}
        rows.append({"time": 1000 + step, "step": step, "metrics": metrics})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def panels(figure):
    return {ax.get_title(loc="left"): ax for ax in figure.axes}


def names(ax):
    """What the key of a panel says."""
    return [text.get_text() for text in ax.get_legend().get_texts()]


def drawn(ax):
    """(x, y, strong) of each curve, zero lines left out."""
    return [
        ([float(x) for x in line.get_xdata()], list(line.get_ydata()), line.get_linewidth() > 1)
        for line in ax.lines
        if len(line.get_xdata()) > 2
    ]


def test_curves_are_the_ledgers_figures_in_percent(tmp_path):
    runs = {"Search-R1": [read_ledger(ledger(tmp_path / "a"))]}
    axes = panels(training_dynamics(runs))
    assert len(axes) == 3
    [(steps, em, _)] = drawn(axes["Validation EM, %"])
    assert steps == [0, 2, 4]
    assert em == pytest.approx([20, 40, 60])
    [(_, rollouts, _)] = drawn(axes["EM of training rollouts, %"])
    assert rollouts == pytest.approx([30, 40, 50, 60])


def test_a_meta_refiner_adds_its_panels_and_its_drafts(tmp_path):
    runs = {
        "Search-R1": [read_ledger(ledger(tmp_path / "a"))],
        "Search-R2": [read_ledger(ledger(tmp_path / "b", refiner=True))],
    }
    axes = panels(training_dynamics(runs))
    assert len(axes) == 6
    assert len(drawn(axes["EM of training rollouts, %"])) == 3
    assert names(axes["EM of training rollouts, %"]) == ["final", "drafts"]
    assert axes["Validation EM, %"].get_legend() is None
    regain = axes["Meta-Refiner: EM a cut regains, points"]
    assert drawn(regain)[0][1] == pytest.approx([-10] * 4)
    assert regain.get_ylim()[0] < -10


def test_seeds_are_faint_lines_under_their_mean(tmp_path):
    seeds = [read_ledger(ledger(tmp_path / str(s), shift=0.1 * s)) for s in range(3)]
    ax = panels(training_dynamics({"Search-R1": seeds}))["Validation EM, %"]
    assert [strong for _, _, strong in drawn(ax)] == [False, False, False, True]
    assert drawn(ax)[-1][1] == pytest.approx([30, 50, 70])


def test_the_mean_covers_the_steps_that_all_seeds_have(tmp_path):
    seeds = [
        read_ledger(ledger(tmp_path / "a", steps=4)),
        read_ledger(ledger(tmp_path / "b", steps=6)),
    ]
    ax = panels(training_dynamics({"Search-R1": seeds}))["Validation EM, %"]
    assert drawn(ax)[-1][0] == [0, 2, 4]


def test_runs_are_named_once_and_differ_in_colour_and_marker_beyond_the_palette(tmp_path):
    runs = {f"run {i}": [read_ledger(ledger(tmp_path / str(i)))] for i in range(9)}
    figure = training_dynamics(runs)
    [legend] = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(runs)
    lines = panels(figure)["Validation EM, %"].lines
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 9


@pytest.mark.parametrize("count", [4, 7])
def test_parts_of_the_figure_do_not_overlap(tmp_path, count):
    runs = {
        f"A run with a long name {i}": [read_ledger(ledger(tmp_path / str(i), refiner=True))]
        for i in range(count)
    }
    figure = training_dynamics(runs)
    figure.draw_without_rendering()
    boxes = [ax.get_tightbbox() for ax in figure.axes]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    for one, other in combinations([box for box in boxes if box], 2):
        shared = Bbox.intersection(one, other)
        assert shared is None or min(shared.width, shared.height) < 2  # pixels, of 100 an inch
    assert all(figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1 for box in boxes if box)


def test_where_nothing_was_right_the_axis_does_not_magnify_zero(tmp_path):
    frame = read_ledger(ledger(tmp_path / "a")) * 0
    ax = panels(training_dynamics({"Search-R1": [frame]}))["Validation EM, %"]
    assert ax.get_ylim() == (0, 1)


def test_of_a_point_written_twice_the_last_stands(tmp_path):
    path = ledger(tmp_path / "a")
    with path.open("a") as file:
        file.write('{"time": 1, "step": 4, "metrics": {"validation/em": 0.9}}\n')
    assert read_ledger(path)["validation/em"].dropna().tolist() == pytest.approx([0.2, 0.4, 0.9])


@pytest.mark.parametrize(
    ("content", "reason"),
    [("", "no metrics"), ('{"step": 1}\n', ":1: expected a step"), ("{\n", ":1: not a line")],
)
def test_a_file_that_is_no_ledger_is_named(tmp_path, content, reason):
    path = tmp_path / "metrics.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=reason):
        read_ledger(path)


def test_the_command_writes_the_same_bytes_each_time_and_imports_no_torch(tmp_path):
    runs = [
        f"Search-R1={ledger(tmp_path / 'a')}",
        f"Search-R2={ledger(tmp_path / 'b', refiner=True)}",
    ]
    code = (
        "import sys; from searchr2.cli.main import main\n"
        "assert main(sys.argv[1:]) == 0 and 'torch' not in sys.modules"
    )
    written = []
    for name in ("x", "y"):
        arguments = ["figure", "--runs", *runs, "--out", str(tmp_path / name / "dynamics.v1")]
        subprocess.run([sys.executable, "-c", code, *arguments], check=True)
        files = [tmp_path / name / f"dynamics.v1.{kind}" for kind in ("pdf", "png")]
        written.append([path.read_bytes() for path in files])
    assert written[0] == written[1]


def test_a_run_needs_a_name(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["figure", "--runs", "metrics.jsonl", "--out", str(tmp_path / "f")])
    assert "is not NAME=LEDGER" in capsys.readouterr().err


def test_the_sets_are_drawn_over_the_steps_of_their_table(tmp_path):
    table = tmp_path / "table_curves.csv"
    table.write_text(
        "method,backbone,step,nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,average,"
        "average_ci_low,average_ci_high\n"
        + "".join(
            f"{name},b,{step},{step},2,3,4,5,6,7,{step / 2},1,9\n"
            for name in ("Search-R2", "Search-R1")
            for step in (8, 16, 24)
        )
    )
    runs = {"Search-R1": [read_ledger(ledger(tmp_path / "a"))]} | {
        "Search-R2": [read_ledger(ledger(tmp_path / "b", refiner=True))]
    }
    axes = panels(training_dynamics(runs, read_curves(table)))
    assert len(axes) == 3 + 3 + 8
    for name, height in (("NQ", [8, 16, 24]), ("average", [4, 8, 12])):
        first, second = drawn(axes[f"Test EM, {name}, %"])
        assert first == second == ([8, 16, 24], height, True)
        assert len(axes[f"Test EM, {name}, %"].collections) == 2 * (name == "average")  # its bands


def test_a_table_may_have_methods_whose_ledger_is_not_given(tmp_path):
    columns = "nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,average"
    table = tmp_path / "table_curves.csv"
    table.write_text(f"method,backbone,step,{columns}\nOther,b,8,1,2,3,4,5,6,7,8\n")
    figure = training_dynamics(
        {"Search-R1": [read_ledger(ledger(tmp_path / "a"))]}, read_curves(table)
    )
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["Search-R1", "Other"]


def test_what_was_supervised_is_a_thin_level_in_the_panels_of_the_sets_and_in_no_other(tmp_path):
    columns = "nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,average"
    table = tmp_path / "table_curves.csv"
    table.write_text(
        f"method,backbone,step,{columns}\n"
        "Search-R1,b,2,1,2,3,4,5,6,7,8\nSearch-R1,b,4,2,3,4,5,6,7,8,9\nSFT,b,,30,31,32,33,34,35,,\n"
    )
    runs = {"Search-R1": [read_ledger(ledger(tmp_path / "a"))]}
    curves, levels = read_curves(table), read_levels(table)
    assert (list(curves), curves["Search-R1"].index.tolist()) == (["Search-R1"], [2, 4])
    figure = training_dynamics(runs, curves, levels)
    axes = panels(figure)
    level, curve = axes["Test EM, NQ, %"].lines
    assert (list(level.get_xdata()), list(level.get_ydata())) == ([0, 1], [30, 30])  # of the width
    assert level.get_linewidth() < curve.get_linewidth()
    assert level.get_color() != curve.get_color()
    assert axes["Test EM, NQ, %"].get_ylim()[1] > 30
    for title in ("Test EM, Bamboogle, %", "Test EM, average, %", "Validation EM, %"):
        assert len(axes[title].lines) == 1  # not evaluated, or over steps that are not its own
    run, end = figure.legends[0].legend_handles
    assert isinstance(run, Line2D)
    assert isinstance(end, Line2D)
    assert [of.get_label() for of in (run, end)] == ["Search-R1", "SFT"]
    assert (end.get_color(), end.get_marker()) == (level.get_color(), "")
    assert run.get_marker() == curve.get_marker() != ""
    assert {ax.get_xlim() for ax in axes.values()} == {(-0.08, 4.08)}


def test_a_table_that_is_not_over_steps_draws_no_curves(tmp_path):
    (tmp_path / "table1.csv").write_text("method,average\nRAG,1.0\n")
    with pytest.raises(DataError, match=r"table1\.csv: no column step"):
        read_curves(tmp_path / "table1.csv")
