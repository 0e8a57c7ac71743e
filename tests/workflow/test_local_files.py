"""A user's own passages and questions go through the same workflow."""

import json
import re

import pandas as pd
import pytest

from tests.workflow.conftest import ROOT

TINY = "world: {works: 40, test_questions: 1, train_questions: 2, demonstrations: 1}\n"


@pytest.fixture
def configured(project, real):
    """The shipped config with its placeholders pointing at real files, for the real stages."""
    text = (ROOT / "configs" / "local_files.yaml").read_text()
    (project.folder / "mine.yaml").write_text(re.sub(r"\bmy_data/", f"{real}/", text) + TINY)
    (project.folder / "bin" / "searchr2").unlink()
    return project


@pytest.mark.e2e
def test_retrieval_on_real_text_reaches_the_reference(configured, real):
    command = ["--cores", "1", "results/retrieval.csv", "--configfile", "mine.yaml"]
    status, output = configured.snakemake(*command)
    assert status == 0, output
    table = pd.read_csv(configured.folder / "results" / "retrieval.csv", index_col="dataset")
    reference = json.loads((real / "bm25_reference.json").read_text())["sets"]
    assert list(table.index) == list(reference)
    for name, figures in reference.items():
        for column in ("title_recall_at_3", "title_recall_at_10", "answer_recall_at_3"):
            if figures[column] is not None:
                assert table.loc[name, column] >= figures[column] - 1, (name, column)
