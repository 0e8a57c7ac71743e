"""``searchr2 gains``: its lines, its figure, and going on after a kill; nothing is sampled here."""

import csv
import json
import re
from pathlib import Path

import pytest
from rollouts import Library, actor, meta_refiner
from toy import TURNS, ChanceEngine, asked

from searchr2.cli import gains as command
from searchr2.cli.main import main
from searchr2.config import Gains
from searchr2.files import UserError
from searchr2.gains.figure import gains
from searchr2.gains.sampling import Sampler


@pytest.fixture
def sampled(monkeypatch):
    """The steps that were sampled, each from the toy world with a seed of its own."""
    steps: list[int] = []

    def draw(step, folder, config, options):
        steps.append(step)
        refiner = meta_refiner(actor(max_turns=TURNS))
        few = Gains(questions=12, drafts=2, regenerations=1, rollouts=2, seed=step)
        sampler = Sampler(refiner, None, ChanceEngine(), Library(), 3, few, "")
        return sampler.sample([asked(i % 2) for i in range(12)])

    monkeypatch.setattr(command, "draw", draw)
    return steps


@pytest.fixture
def project(tmp_path):
    """Checkpoints of three steps, an index, questions and settings."""
    for step in (0, 4, 8):
        folder = tmp_path / f"step{step:04d}"
        folder.mkdir(parents=True)
        (folder / "weights").write_text(str(step))
    (tmp_path / "index").mkdir()
    (tmp_path / "validation.jsonl").write_text("{}\n")
    settings(tmp_path)
    return tmp_path


def settings(folder, **sections):
    values = {"rollout": {"max_turns": TURNS}, "gains": {"rollouts": 2, "regenerations": 1}}
    (folder / "gains.json").write_text(json.dumps(values | sections))


def measure(folder, *more):
    checkpoints = [f"{folder}/step{step:04d}" for step in (8, 0, 4)]
    return main(
        ["gains", "--config", f"{folder}/gains.json", "--checkpoints", *checkpoints,
         "--index", f"{folder}/index", "--questions", f"{folder}/validation.jsonl",
         "--out", f"{folder}/table_gains.csv", *more]
    )  # fmt: skip


def table(folder):
    with (folder / "table_gains.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_line_a_step_with_every_quantity_beside_its_error(project, sampled):
    assert measure(project) == 0
    lines = table(project)
    assert [line["step"] for line in lines] == ["0", "4", "8"]
    assert {line["questions"] for line in lines} == {"12"}
    assert {line["drafts"] for line in lines} == {"24"}
    names = list(lines[0])[6:]
    assert names[1::2] == [f"{name}_se" for name in names[::2]]
    assert {"alpha", "R", "J_trim", "V_0", "A_prec", "V_inter", "S_trim", "Gbar"} < set(names)
    for line in lines:
        terms = {name: float(line[name]) for name in names[::2] if line[name]}
        total = terms["A_prec"] + terms["V_inter"] * (terms["S_trim"] + terms["Gbar"])
        assert terms["delta_J_sum"] == pytest.approx(total, abs=2e-4)
        assert terms["delta_J_rejected_sum"] == pytest.approx(total, abs=2e-4)
        measured = terms["delta_J"] - terms["delta_J_sum"]
        assert terms["residual"] == pytest.approx(measured, abs=3e-5)


def test_what_was_sampled_is_sampled_once(project, sampled):
    measure(project)
    first = (project / "table_gains.csv").read_bytes()
    (project / "table_gains.csv").unlink()
    (project / "table_gains" / "step0004.json").unlink()
    assert measure(project) == 0
    assert sampled == [0, 4, 8, 4]
    assert (project / "table_gains.csv").read_bytes() == first


@pytest.mark.parametrize("what", ["settings", "weights", "questions"])
def test_what_was_sampled_otherwise_is_sampled_again(project, sampled, what):
    measure(project)
    if what == "settings":
        settings(project, refiner={"margin": 0.5})
    elif what == "weights":
        (project / "step0004" / "weights").write_text("others")
    else:
        (project / "validation.jsonl").write_text("{}\n{}\n")
    measure(project)
    assert sampled == [0, 4, 8, *([4] if what == "weights" else [0, 4, 8])]


def test_without_a_meta_refiner_there_is_nothing_to_measure(project, sampled, capsys):
    settings(project, refiner={"max_revisions": 0})
    assert measure(project) == 2
    assert "refiner.max_revisions: 0 turns the Meta-Refiner off" in capsys.readouterr().err


def test_a_checkpoint_says_its_step_by_its_name_or_before_it():
    assert command.steps(["12=run", "0=base/", "run/snapshots/step0004"]) == {
        0: Path("base"),
        4: Path("run/snapshots/step0004"),
        12: Path("run"),
    }
    with pytest.raises(UserError, match=r"of which training step\? Say N=results/base"):
        command.steps(["results/base"])
    with pytest.raises(UserError, match=r"step 4 is both a/step4 and run"):
        command.steps(["a/step4", "4=run"])


def test_the_figure_has_a_panel_a_quantity_with_bars_of_two_errors(project, sampled):
    import pandas as pd

    measure(project, "--figure", f"{project}/figures/gains")
    figure = gains(pd.read_csv(project / "table_gains.csv"))
    axes = {ax.get_title(loc="left"): ax for ax in figure.axes}
    assert len(axes) == 8
    for name in ("A_prec", "V_inter", "S_trim", "Gbar", "Delta J", "Residual", "reward", "V_k"):
        assert any(re.search(rf"\b{name}\b", title) for title in axes), name
    [(line, _, [bars])] = axes["Selection precision, A_prec"].containers
    lines = table(project)
    assert list(line.get_ydata()) == [float(row["A_prec"]) for row in lines]
    [first, *_] = bars.get_segments()
    length = first[1][1] - first[0][1]
    assert length == pytest.approx(2 * 1.96 * float(lines[0]["A_prec_se"]))
    key = axes["Baseline gain, Gbar"].get_legend()
    assert key is not None
    assert [text.get_text() for text in key.get_texts()] == ["all drafts", "rejected"]


def test_the_same_table_draws_the_same_bytes(project, sampled):
    files = []
    for _ in range(2):
        measure(project, "--figure", f"{project}/figures/gains")
        files.append([(project / "figures" / f"gains.{k}").read_bytes() for k in ("png", "pdf")])
    assert files[0] == files[1]
    assert sampled == [0, 4, 8]
