"""The report: self-contained, escaped, complete, and honest about what is not there."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from searchr2.cli.main import main
from searchr2.report.grid import OUTCOMES, Cell, differences, grid, title
from searchr2.report.runs import health
from searchr2.tracking.folders import find_records
from searchr2.tracking.record import Record

ROOT = Path(__file__).resolve().parents[2]
CAPTIONS = ROOT / "workflow" / "report"
NASTY = "<script src='http://evil.example/x.js'></script>"
HEADER = (
    "method,backbone,nq,triviaqa,popqa,hotpotqa,2wikimultihopqa,musique,bamboogle,"
    "average,average_ci_low,average_ci_high"
)
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


class Page(HTMLParser):
    """The tags of a page, and its text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.text, self.style = [], "", False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.style = tag == "style"

    def handle_endtag(self, tag):
        self.style = False

    def handle_data(self, data):
        if not self.style:
            self.text += data

    def all(self, name):
        return [attributes for tag, attributes in self.tags if tag == name]


def provenance(path, stage, **config):
    about = {
        "stage": stage,
        "artefact": path.name,
        "digest": "d",
        "config": config,
        "inputs": {"results/evaluate/rag": {"path": "evaluate/rag", "digest": "f" * 64}},
        "code": {"digest": "c0de", "commit": "abc123", "dirty": False, "diff": None},
        "packages": {"python": "3.11.7", "torch": "2.13.0"},
        "hardware": {"host": "h", "system": "Linux", "cores": 2, "memory_gib": 8.0, "gpus": []},
        "command": f"searchr2 {stage} --config c.json",
        "start": 0,
        "end": 1,
    }
    path.with_name(f"{path.stem}.provenance.json").write_text(json.dumps(about))


@pytest.fixture
def results(tmp_path):
    """A results folder: a table with differences, a figure, a training run, a comparison."""
    lines = {name: {"label": name.upper()} for name in ("rag", "r1")}
    rows = "RAG,mini,20.0,20.0,20.0,20.0,20.0,20.0,,,,\n"
    rows += f"{NASTY},mini,50.0,50.0,50.0,50.0,50.0,50.0,50.0,50.0,46.1,53.9\n"
    (tmp_path / "table1.csv").write_text(f"{HEADER}\n{rows}")
    provenance(tmp_path / "table1.csv", "table", name="mini", backbone="qwen2-mini", lines=lines)
    (tmp_path / "table1_differences.csv").write_text(
        "a,b,set,difference,ci_low,ci_high,mcnemar_p,holm_p,n\n"
        "r1,rag,average,30.0,26.0,34.0,1e-09,,700\n"
        "r1,rag,nq,9.0,1.0,17.0,0.02,0.14,100\n"
    )
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "training_dynamics.png").write_bytes(PIXEL)
    (tmp_path / "comparison.csv").write_text(
        "table,kind,row,backbone,step,set,paper,ours,ci_low,ci_high,n,verdict,note\n"
        "table1,cell,RAG,Qwen2.5-7B,,nq,34.9,,,,,not run,\n"
        "table1,cell,CoT,Qwen2.5-7B,,nq,4.8,,,,,not run,\n"
        "table1,order,RAG < R1,Qwen2.5-7B,,average,,1.0,0.8,1.0,,agrees,4 methods\n"
        "table1,sign,RAG to R1,Qwen2.5-7B,,average,4.6,30.0,26.0,34.0,700,same,\n"
    )
    settings: dict[str, Any] = {"name": "train/r2", "stage": "train", "tags": {}, "config": {}}
    with Record.open(tmp_path / "train/r2/seed1", **settings) as record:
        for step in range(1, 9):
            wrong = 0.9 if step > 6 else 0.1
            metrics = {"refiner/revised": step / 10, "refiner/accept_right": 0.8}
            record.log({**metrics, "refiner/accept_wrong": wrong, "validation/em": 0.5}, step)
    return tmp_path


def report(results):
    out = results / "report.html"
    arguments = ["--results", results, "--out", out, "--captions", CAPTIONS]
    assert main(["report", *map(str, arguments)]) == 0
    return out.read_text()


def test_the_page_loads_nothing_from_anywhere(results):
    text = report(results)
    page = Page(text)
    loads = [(tag, a) for tag, a in page.tags if {"src", "srcset", "data", "action"} & a.keys()]
    assert {tag for tag, _ in loads} == {"img"}
    assert all(a["src"].startswith("data:image/png;base64,") for _, a in loads)
    assert page.all("link") == page.all("script") == page.all("iframe") == []
    assert all(a["href"].startswith("#") for a in page.all("a"))
    assert "url(" not in text
    assert "@import" not in text
    [policy] = [a for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy["content"].startswith("default-src 'none';")


def test_text_from_files_stays_text(results):
    page = Page(report(results))
    assert NASTY in page.text
    assert page.all("script") == []


def test_the_figure_is_part_of_the_page_byte_by_byte(results):
    [image] = Page(report(results)).all("img")
    assert base64.b64decode(image["src"].partition(",")[2]) == PIXEL
    assert image["alt"].startswith("Training dynamics. Against the training step")


def test_every_entry_of_the_contents_leads_somewhere_and_ids_are_unique(results):
    page = Page(report(results))
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"].removeprefix("#") for a in page.all("a")} == set(ids)


def test_each_table_has_its_caption_command_settings_and_origin(results):
    text = Page(report(results)).text
    assert "stratified 95 % bootstrap interval" in text  # workflow/report/table.rst
    assert "searchr2 table --config c.json" in text
    assert '"backbone": "qwen2-mini"' in text
    assert "abc123 (code c0de)" in text
    assert "python 3.11.7, torch 2.13.0" in text
    assert "results/evaluate/rag ffffffffffff" in text


def test_intervals_stand_under_their_figures_and_rows_have_their_labels(results):
    text = Page(report(results)).text
    assert "50.046.1 to 53.9" in text
    line = "R1 against RAG|+30.026.0 to 34.0p 1e-09|+9.01.0 to 17.0p 0.14"
    assert line in "|".join(text.split("\n"))


def test_an_absent_figure_is_no_zero(results):
    assert "20.0–" in Page(report(results)).text.replace("\n", "")


def test_what_is_missing_is_named(results):
    text = Page(report(results)).text
    missing = text[text.index("Not run, or not made yet") :]
    for name in ("table_ablation.csv", "table_gains.csv", "table_quality.csv", "retrieval.csv"):
        assert name in missing
    assert "table1.csv" not in missing
    assert "All 2 cells of the paper's tables: none was run with Qwen2.5-7B" in missing
    assert "figures/training_dynamics.png: no record of what made it" in text


def test_a_scale_that_is_not_the_papers_says_so_first(results):
    text = Page(report(results)).text
    assert text.index("Not a reproduction of the paper's numbers.") < text.index("Main results")
    path = results / "comparison.csv"
    ran = path.read_text().replace("nq,34.9,,,,,not run", "nq,34.9,35.0,33.5,36.5,3610,inside")
    path.write_text(ran)
    text = Page(report(results)).text
    assert "Not a reproduction" not in text
    assert "Of the paper's Main results: CoT (Qwen2.5-7B)" in text


def test_runs_that_did_not_end_well_are_named(results):
    path = results / "train/r2/seed1/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed"}))
    assert "train/r2/seed1: failed" in Page(report(results)).text


def test_training_health_is_the_mean_of_the_last_quarter(results):
    of = health(list(find_records(results)))
    assert of is not None
    run = dict(zip(of.header, of.lines[1], strict=True))
    assert run["Run"] == Cell("r2/seed1")
    assert run["Revised, %"] == Cell("75.0")  # steps 7 and 8
    assert run["Validation EM, %"] == Cell("50.0")
    assert run["Wrong ones less, by"] == Cell("-10.0", tone="bad")
    assert run["Sampler gap, nats"] == Cell("")


def test_an_empty_folder_has_a_page_that_says_so(tmp_path):
    text = Page(report(tmp_path)).text
    assert "table1.csv" in text
    assert "The comparison with the paper" in text
    assert "No training run has written a step." in text


def test_a_folder_that_is_not_there_is_named(tmp_path, capsys):
    arguments = ["--results", str(tmp_path / "none"), "--out", str(tmp_path / "r.html")]
    assert main(["report", *arguments]) == 2
    assert "none: no such folder" in capsys.readouterr().err


def test_the_same_files_make_the_same_bytes(results):
    assert report(results) == report(results)


def test_a_table_wider_than_tall_is_turned():
    frame = pd.DataFrame([[str(i) for i in range(14)]], columns=["step", *"abcdefghijklm"])
    turned = grid(frame.rename(columns={"b": "a_se"}))
    assert turned.header == ["Step", "0"]
    assert turned.lines[0] == [Cell("A"), Cell("1", "± 2")]
    assert len(turned.lines) == 12


def test_a_difference_is_coloured_only_where_it_stands():
    columns = ["a", "b", "set", "difference", "ci_low", "ci_high", "mcnemar_p", "holm_p", "n"]
    rows = [
        ["x", "y", "average", "3.0", "1.0", "5.0", "0.2", "", "700"],
        ["x", "y", "nq", "9.0", "1.0", "17.0", "0.02", "0.14", "100"],
        ["x", "y", "popqa", "-9.0", "-17.0", "-1.0", "0.001", "0.007", "100"],
        ["y", "z", "average", "1.0", "-1.0", "3.0", "0.01", "", "700"],
    ]
    found = differences(pd.DataFrame(rows, columns=columns), {"x": "X", "y": "Y"})
    assert found.header == ["", "Average", "NQ", "PopQA"]
    assert [[cell.tone for cell in line[1:]] for line in found.lines] == [
        ["good", "", "bad"],
        ["", "", ""],
    ]
    assert found.lines[0][2] == Cell("+9.0", "1.0 to 17.0", "p 0.14")
    assert found.lines[1][0] == Cell("Y against z")
    assert found.lines[1][2] == Cell("")


def test_each_cell_has_its_interval_where_the_table_wrote_one(results):
    columns = "method,step,set,em,ci_low,ci_high,n\n"
    (results / "table1_cells.csv").write_text(f"{columns}RAG,,nq,20.0,13.3,28.9,100\n")
    text = Page(report(results)).text
    assert "|20.013.3 to 28.9|20.0|" in "|".join(text.split("\n"))
    assert "table1_cells.csv" not in text[text.index("What is not here") :]


def test_one_backbone_is_told_once_and_what_training_cost_stands_under_its_table(results):
    lines = "method,backbone,step,average\nSearch-R1,m,8,1.0\nSearch-R2,n,8,2.0\n"
    (results / "table_curves.csv").write_text(lines)
    (results / "table_curves_cost.csv").write_text("method,step,seconds\nSearch-R1,8,9.5\n")
    text = report(results)
    page = Page(text)
    names = [block["id"] for block in page.all("section") if "id" in block]
    assert names.index("table_curves_cost") == names.index("table_curves") + 1
    assert "Over training: cost" in page.text
    tables = text.partition("table_curves")[0], text[text.index('id="table_curves"') :]
    assert [">Backbone</th>" in of for of in tables] == [False, True]  # of the one that has two


def test_wins_ties_and_losses_are_one_column():
    frame = pd.DataFrame(
        [["query_timing_quality", "9", "90", "1", "", "", ""]],
        columns=["rubric", *(f"{s}_{o}" for s in ("nq", "popqa") for o in OUTCOMES)],
    )
    found = grid(frame)
    assert found.header == ["Rubric", "NQ"]
    assert found.lines == [[Cell("Query timing quality"), Cell("9 / 90 / 1")]]


def test_columns_have_readable_names():
    names = ("title_recall_at_3", "2wikimultihopqa", "V_inter", "n")
    assert [*map(title, names)] == ["Title recall at 3", "2Wiki", "V_inter", "Questions"]
