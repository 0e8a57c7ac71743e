import pytest
from records import prediction, predictions, revised

from searchr2.tracking.trajectories import events, outcome, sample


def row(right=True, **changes):
    return {**prediction("q", "nq", right, "search"), **changes}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row(), "right"),
        (row(False), "wrong, with the evidence"),
        (row(False, titles_found=[]), "wrong, evidence missing"),
        (row(False, supporting_titles=None, titles_found=None), "wrong"),
        (row(False, prediction=None), "no answer"),
        (revised(row(), "Ada Lind"), "repaired"),
        (revised(row(False), "Mira Voss"), "spoiled"),
        (revised(row(False), "Ada Lind"), "revised, wrong before and after"),
        (revised(row(), "Mira Voss"), "revised, right before and after"),
        (row(verdicts=[{"choice": 0, "probabilities": [0.9, 0.1]}], drafts=[]), "accepted, right"),
    ],
)
def test_outcomes_name_what_happened(given, expected):
    assert outcome(given) == expected


def test_a_sample_has_every_set_and_every_outcome():
    rows = predictions("search", em=50)
    kept = sample(rows, 2)
    assert len({kept_row["dataset"] for kept_row in kept}) == 7
    assert sum(not kept_row["em"] for kept_row in kept) == 2
    assert len(kept) == 7 * 2 + 2
    assert sample(rows, 0) == []


def test_a_kept_turn_is_told_once():
    names = [event.name for event in events(revised(row(), "Ada Lind"))]
    assert names == [
        "actor turn 1",
        "search: The Quiet Harbour",
        "actor turn 2",
        "discriminator: reject",
        "trimmer: cut before step 2",
        "regenerated turn 2",
    ]


def test_the_passages_of_rag_come_first():
    first, second = events(prediction("q", "nq", True, "rag"))
    assert (first.kind, second.kind) == ("search", "turn")
    assert first.inputs == "Who directed The Quiet Harbour, number q?"
