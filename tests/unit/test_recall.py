"""Recall of titles and answers on a corpus where every figure can be counted by hand."""

import csv
import json
from typing import Any

from searchr2.cli.main import main

PASSAGES = {
    "Arvane": "Arvane is a city. Its mayor is Tola Brin.",
    "Tola Brin": "Tola Brin was born in Ustmere.",
    "A.F.C. Ustmere": "Ustmere is a football club in blue.",
    "Ustmere": "Ustmere is a harbour.",
}
QUESTIONS: dict[str, list[tuple[Any, ...]]] = {
    "hotpotqa": [
        ("Where was the mayor of Arvane born?", ["Ustmere"], ["Arvane", "Tola Brin"]),
        ("Which colour has the football club?", ["blue"], ["AFC Ustmere"]),
        ("Who lives in Nowhere?", ["nobody"], ["Nowhere", "Arvane"]),
    ],
    "triviaqa": [("harbour", ["The Ustmere!"], []), ("zebra", ["stripes"], None)],
}


def question(number, text, golds, titles):
    metadata = {} if titles is None else {"supporting_titles": titles}
    return {"id": number, "question": text, "golden_answers": golds, "metadata": metadata}


def lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def measure(folder, *ks):
    passages = [{"id": t, "contents": f'"{t}"\n{text}'} for t, text in PASSAGES.items()]
    corpus = lines(folder / "corpus.jsonl", passages)
    index, out = str(folder / "index"), folder / "results" / "retrieval.csv"
    assert main(["index", "--corpus", corpus, "--out", index]) == 0
    files = [
        lines(folder / f"{name}.jsonl", [question(i, *row) for i, row in enumerate(rows)])
        for name, rows in QUESTIONS.items()
    ]
    arguments = ["--index", index, "--questions", *files, "--out", str(out), "--k", *ks]
    assert main(["retrieval", *arguments]) == 0
    return list(csv.DictReader(out.open()))


def test_recall_by_set(tmp_path):
    hotpotqa, triviaqa = measure(tmp_path, "1", "3")
    assert {key: cell for key, cell in hotpotqa.items() if "_ci_" not in key} == {
        "dataset": "hotpotqa",
        "n": "3",
        "with_titles": "2",  # the corpus has no passage called Nowhere
        "title_recall_at_1": "75.0",  # one of two, one of one
        "title_recall_at_3": "100.0",
        "answer_recall_at_1": "33.3",
        "answer_recall_at_3": "66.7",
    }
    ends = ("answer_recall_at_1_ci_low", "answer_recall_at_1_ci_high")
    assert [hotpotqa[end] for end in ends] == ["6.1", "79.2"]  # Wilson's, of 1 of 3
    assert triviaqa["with_titles"] == "0"
    assert triviaqa["title_recall_at_3"] == triviaqa["title_recall_at_3_ci_low"] == ""
    assert triviaqa["answer_recall_at_1"] == "50.0"


def test_behind_a_server_every_title_counts(tmp_path):
    from searchr2.retrieval.recall import present_titles
    from searchr2.trajectory import Question

    question = Question("1", "hotpotqa", "?", ("x",), ("Nowhere", "The Arvane"))
    assert present_titles([question], None) == {"nowhere", "arvane"}
    assert present_titles([question], ["Arvane"]) == {"arvane"}
