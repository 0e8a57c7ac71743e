"""Trajectory quality: pairs, labels, records, table; the model judge's JSON; the command."""

import json
from collections import Counter

import pytest
from fakes.chat import Reading, serving
from matplotlib.patches import Rectangle

from searchr2.cli.main import main
from searchr2.config import SETS, Line, QualityConfig
from searchr2.files import ArtifactError, DataError, read_jsonl, write_json, write_jsonl
from searchr2.prompts import read_templates
from searchr2.quality import pairs as quality
from searchr2.quality import table as quality_table
from searchr2.quality.figure import draw as drawn
from searchr2.quality.model import TEMPLATES, ModelPairJudge, judgement
from searchr2.quality.pairs import RUBRICS, Judgement

NAMES = ("new", "old")


def prediction(dataset, number, mark, folder):
    text = f"<think> {mark} thinks</think><answer> x</answer>"
    turns = [{"text": text, "answer": "x"}]
    named = {"id": f"{dataset}-{number}", "dataset": dataset, "question": f"q {dataset} {number}?"}
    return named | {"supporting_titles": ["x"], "turns": turns, "mark": mark, "folder": folder}


def evaluations(tmp_path, count=8, sets=SETS, seeds=1, skip=None):
    """Predictions of two rows; every row says whose it is and from which folder."""
    lines = {}
    for name in NAMES:
        folders = [f"{name}/seed{seed}" for seed in range(1, seeds + 1)]
        lines[name] = Line(label=name.title(), folders=folders)
        for folder in folders:
            rows = [prediction(s, i, name, folder) for s in sets for i in range(count)]
            kept = [row for row in rows if (name, row["id"]) != skip]
            write_jsonl(tmp_path / folder / "predictions.jsonl", kept)
    return lines


def config(lines, **settings):
    return QualityConfig(rows=NAMES, lines=lines, **settings)


def all_of(score, **others):
    return dict.fromkeys(RUBRICS, score) | others


class Marked:
    """Prefers what ``new`` did on every rubric but one, knowing it by its mark."""

    def compare(self, pairs):
        return [Judgement(self._scores(a), self._scores(b), reasons="marks") for a, b in pairs]

    def _scores(self, row):
        return all_of(2 if row["mark"] == "new" else 1, query_timing_quality=1)


class Lazy:
    """Prefers A, always."""

    def compare(self, pairs):
        return [Judgement(all_of(2), all_of(0), winner="A") for _ in pairs]


def test_so_many_questions_of_each_set_are_drawn_by_seed(tmp_path):
    lines = evaluations(tmp_path, count=20)

    def ids(**settings):
        pairs = quality.draw(tmp_path, config(lines, **settings))
        assert all(len(found) == settings["pairs"] for found in pairs.values())
        return {name: [pair.first["id"] for pair in found] for name, found in pairs.items()}

    assert ids(pairs=5, seed=1) == ids(pairs=5, seed=1)
    assert ids(pairs=5, seed=1) != ids(pairs=5, seed=2)
    assert list(ids(pairs=5, seed=1)) == list(SETS)
    assert len(set(ids(pairs=20, seed=1)["nq"])) == 20


def test_a_pair_is_one_question_under_both_rows(tmp_path):
    pairs = quality.draw(tmp_path, config(evaluations(tmp_path), pairs=100))
    for found in pairs.values():
        assert len(found) == 8
        for pair in found:
            assert pair.first["id"] == pair.second["id"]
            assert (pair.first["mark"], pair.second["mark"]) == NAMES


def test_with_several_training_seeds_both_rows_of_a_pair_are_of_the_same_one(tmp_path):
    lines = evaluations(tmp_path, count=30, sets=("nq",), seeds=3)
    pairs = quality.draw(tmp_path, config(lines))["nq"]
    seeds = [(p.first["folder"][-5:], p.second["folder"][-5:]) for p in pairs]
    assert {one for one, _ in seeds} == {"seed1", "seed2", "seed3"}
    assert all(one == other for one, other in seeds)


def test_who_is_a_is_drawn_for_every_question_and_favours_nobody(tmp_path):
    lines = evaluations(tmp_path, count=150)
    pairs = quality.draw(tmp_path, config(lines, pairs=150))
    labels = [pair.swapped for found in pairs.values() for pair in found]
    assert abs(sum(labels) / len(labels) - 0.5) < 0.05  # 1,050 draws: over 3 standard errors
    other = quality.draw(tmp_path, config(lines, pairs=150, seed=2))
    assert labels != [pair.swapped for found in other.values() for pair in found]
    records = quality.judge(pairs, NAMES, Lazy())
    table = quality_table.table(records, NAMES)
    assert (table["average_losses"] > 60).all()
    assert (table["average_wins"] > 60).all()
    assert (table["sign_test_p"].astype(float) > 0.01).all()
    assert Counter(record["winner"] for record in records).keys() == set(NAMES)


def test_scores_go_to_the_row_they_belong_to_whatever_its_label(tmp_path):
    pairs = quality.draw(tmp_path, config(evaluations(tmp_path)))
    assert {pair.swapped for found in pairs.values() for pair in found} == {True, False}
    records = quality.judge(pairs, NAMES, Marked())
    for record in records:
        assert record["scores"]["new"] == all_of(2, query_timing_quality=1)
        assert record["scores"]["old"] == all_of(1)
    table = quality_table.table(records, NAMES).set_index("rubric")
    assert table.loc["information_density", "nq_wins"] == 8
    assert table.loc["query_timing_quality", "nq_ties"] == 8
    assert table.loc["information_density", "average_wins"] == 8.0


def test_what_is_missing_is_named(tmp_path):
    lines = evaluations(tmp_path, skip=("old", "popqa-3"))
    with pytest.raises(DataError, match=r"no answer of old to 'popqa-3' of popqa"):
        quality.draw(tmp_path, config(lines))
    (tmp_path / "old/seed1/predictions.jsonl").unlink()
    with pytest.raises(ArtifactError, match=r"old/seed1/predictions.jsonl: missing"):
        quality.draw(tmp_path, config(lines))


def record(dataset, new, old):
    return {"dataset": dataset, "scores": {"new": all_of(new), "old": all_of(old)}}


def test_the_table_counts_wins_ties_and_losses_with_an_exact_sign_test():
    records = [record("nq", 2, 1)] * 5 + [record("nq", 0, 1)] + [record("popqa", 1, 1)] * 3
    line = quality_table.table(records, NAMES).iloc[0]
    assert [line[f"nq_{o}"] for o in quality_table.OUTCOMES] == [5, 0, 1]
    assert [line[f"popqa_{o}"] for o in quality_table.OUTCOMES] == [0, 3, 0]
    assert line["pairs"] == 9
    assert line["sign_test_p"] == "0.219"  # 2 (C(6,0) + C(6,1)) / 2^6


def test_a_set_without_pairs_and_the_average_without_it_are_empty():
    table = quality_table.table([record("nq", 2, 1)], NAMES)
    assert table["popqa_wins"].isna().all()
    assert table["average_wins"].isna().all()
    assert quality_table.page(table, "New", "Old").count("\n") == 4 + len(RUBRICS)


def test_the_mean_of_wins_less_losses_has_an_interval_over_pairs():
    won, lost = record("", 2, 1), record("", 0, 1)
    records = [{**of, "dataset": name} for name in SETS for of in (won, won, won, lost)]
    line = quality_table.table(records, NAMES).iloc[0]
    assert line["average_difference"] == 50.0
    # of 28 signs with a deviation of 0.866, stratified: 1.96 * 86.6 / sqrt(28) = 32
    assert line["average_difference_ci_low"] == pytest.approx(18, abs=5)
    assert line["average_difference_ci_high"] == pytest.approx(82, abs=5)
    page = quality_table.page(quality_table.table(records, NAMES), "New", "Old")
    assert "+50.0 (+1" in page


def test_a_pair_without_a_verdict_is_counted_and_neither_won_nor_tied():
    unknown = record("nq", 2, 1)
    unknown["scores"]["old"]["uncertainty_handling"] = None
    records = [record("nq", 2, 1), unknown, {"dataset": "nq", "scores": None}]
    table = quality_table.table(records, NAMES).set_index("rubric")
    assert list(table["unjudged"]) == [1] * 5 + [2]
    assert table.loc["uncertainty_handling", "nq_wins"] == 1
    assert table.loc["information_density", "nq_wins"] == 2


REPLY = {
    "winner": "B",
    "confidence": 0.8,
    "scores": {"A": all_of(1), "B": all_of(2)},
    "reasons": "B repeats nothing.",
}


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "```\n{}\n```", "<think>A</think>{}"])
def test_the_models_json_is_read(around):
    read = judgement(around.replace("{}", json.dumps(REPLY)))
    assert read == Judgement(all_of(1), all_of(2), "B", 0.8, "B repeats nothing.")


WRONG = {
    "nothing": None,
    "no JSON": "B is better",
    "text around it": f"Here you are: {json.dumps(REPLY)}",
    "two of them": json.dumps(REPLY) * 2,
    "half of it": json.dumps(REPLY)[:-20],
    "a list": json.dumps([REPLY]),
    "a score of three": json.dumps(REPLY | {"scores": {"A": all_of(3), "B": all_of(2)}}),
    "a score as text": json.dumps(REPLY | {"scores": {"A": all_of("2"), "B": all_of(2)}}),
    "a score of true": json.dumps(REPLY | {"scores": {"A": all_of(True), "B": all_of(2)}}),
    "a score and a half": json.dumps(REPLY | {"scores": {"A": all_of(1.5), "B": all_of(2)}}),
    "a rubric less": json.dumps(REPLY | {"scores": {"A": {RUBRICS[0]: 1}, "B": all_of(2)}}),
    "a rubric more": json.dumps(REPLY | {"scores": {"A": all_of(1, style=2), "B": all_of(2)}}),
    "A alone": json.dumps(REPLY | {"scores": {"A": all_of(1)}}),
    "another winner": json.dumps(REPLY | {"winner": "both"}),
    "sure beyond doubt": json.dumps(REPLY | {"confidence": 1.5}),
    "no reasons": json.dumps({key: REPLY[key] for key in ("winner", "confidence", "scores")}),
}


@pytest.mark.parametrize("name", WRONG)
def test_anything_else_is_no_verdict_and_nothing_is_guessed_from_it(name):
    assert judgement(WRONG[name]) is None


def pair_judge(reader):
    chat = Reading(reader)
    return ModelPairJudge(
        chat, read_templates("default", TEMPLATES, "quality.judge.templates")
    ), chat


def test_the_model_sees_both_trajectories_and_not_whose_they_are(tmp_path):
    judge, chat = pair_judge(lambda prompt: json.dumps(REPLY))
    found = {"id": "d", "title": "Kelra", "text": "Kelra is a film.", "score": 1.0}
    a = prediction("nq", 1, "one", "a")
    a["turns"].insert(0, {"text": "<search> kelra</search>", "query": "k", "documents": [found]})
    judge.compare([(a, prediction("nq", 1, "two", "b"))])
    text = "".join(piece for piece, _ in chat.asked[0])
    places = ["q nq 1?", "===== A", "<search> kelra", "Kelra is a film", "one thinks", "===== B"]
    places += ["two thinks", *RUBRICS]
    assert [text.index(place) for place in places] == sorted(text.index(p) for p in places)
    ours = "".join(piece for piece, trusted in chat.asked[0] if trusted)
    assert "thinks" not in ours
    assert "Kelra" not in ours


def test_replies_that_cannot_be_read_are_counted_in_the_log(caplog):
    replies = iter([json.dumps(REPLY), "B"])
    judge, _ = pair_judge(lambda prompt: next(replies))
    one = prediction("nq", 1, "x", "x")
    assert [bool(found) for found in judge.compare([(one, one)] * 2)] == [True, False]
    assert "1 of 2 replies are not the JSON asked for; one begins with 'B'" in caplog.text


def test_the_figure_shows_wins_right_of_zero_and_losses_left_of_it():
    records = [record("nq", 2, 1)] * 3 + [record("nq", 0, 1)]
    figure = drawn(quality_table.table(records, NAMES), "New", "Old")
    [panel] = [ax for ax in figure.axes if ax.get_visible()]
    assert panel.get_title(loc="left") == "NQ"
    widths = [bar.get_width() for bar in panel.patches[:2] if isinstance(bar, Rectangle)]
    assert widths == pytest.approx([75, -25])
    assert panel.get_xlim()[0] == -panel.get_xlim()[1] < -75
    assert [text.get_text() for text in panel.texts[:2]] == ["75", "25"]
    assert len(panel.get_yticklabels()) == len(RUBRICS)


def command(tmp_path, name="a", **settings):
    lines = evaluations(tmp_path / "evaluate", count=4)
    given = tmp_path / "quality.json"
    write_json(given, config(lines, **settings).model_dump())
    out = tmp_path / name / "table_quality.csv"
    where = ["--evaluations", str(tmp_path / "evaluate"), "--out", str(out)]
    status = main(["quality", "--config", str(given), *where, "--print"])
    return status, out


def test_the_command_writes_table_pairs_and_figure_the_same_each_time(tmp_path, capsys):
    written = []
    for name in ("a", "b"):
        status, out = command(tmp_path, name)
        assert status == 0
        files = [out, out.with_suffix(".jsonl"), *sorted((out.parent / "figures").iterdir())]
        assert [file.suffix for file in files] == [".csv", ".jsonl", ".pdf", ".png"]
        written.append([file.read_bytes() for file in files])
    assert written[0] == written[1]
    assert "New against Old" in capsys.readouterr().out
    header, *lines = written[0][0].decode().splitlines()
    assert header.startswith("rubric,nq_wins,nq_ties,nq_losses,triviaqa_wins")
    assert [line.split(",")[0] for line in lines] == list(RUBRICS)
    assert len(list(read_jsonl(out.with_suffix(".jsonl")))) == 28


def test_the_command_asks_a_server_where_the_config_says_so(tmp_path):
    with serving(lambda prompt: json.dumps(REPLY)) as (server, url):
        status, out = command(tmp_path, pairs=2, judge={"kind": "http", "url": url, "model": "m"})
    assert status == 0
    assert len(server.requests) == 14
    for _, line in read_jsonl(out.with_suffix(".jsonl")):
        assert line["winner"] == line["labels"]["B"]
        assert line["scores"][line["winner"]] == all_of(2)
        assert line["reasons"] == "B repeats nothing."
