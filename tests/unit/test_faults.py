"""The first flawed step by gold evidence, which labels verdicts and is the oracle's word."""

import pytest
from rollouts import KEY, answer, document, meta_refiner, question, run, search, trajectory

from searchr2.config import ConfigError, Refiner, load
from searchr2.faults import first_flaw
from searchr2.files import UserError

ASKED = question(titles=("Arvane", "Ostra"))


def attempt(*found, reply="wrong"):
    """A trajectory of one search for each title of ``found`` (None: nothing), and an answer."""
    y = trajectory()
    for title in found:
        collection = (document(title),) if title else ()
        y = y.extend(trajectory(search("a"), found=collection).steps[0])
    return y.extend(trajectory(answer(reply)).steps[0])


def test_a_right_answer_has_no_flaw_whatever_was_found():
    assert first_flaw(ASKED, attempt(None, reply="Ostra")) == 0


@pytest.mark.parametrize(
    ("found", "flawed"),
    [
        (("Arvane", None, "Ostra"), 2),
        ((None,), 1),
        (("Arvane", "Arvane"), 2),
        (("Other", "Arvane"), 1),
        (("Arvane", "Ostra"), 3),
        ((), 1),
    ],
)
def test_the_first_search_without_new_evidence_is_flawed_else_the_last_step(found, flawed):
    assert first_flaw(ASKED, attempt(*found)) == flawed


def test_without_supporting_titles_there_is_no_label():
    with pytest.raises(UserError, match="names no supporting titles"):
        first_flaw(question(), attempt("Arvane"))


def test_an_oracle_overrules_what_the_model_says():
    refiner = meta_refiner(oracle=True, joint=False)
    trace = run(refiner.roll_out(ASKED, KEY), [search("a"), answer("wrong"), answer("Ostra")], [0])
    [verdict] = trace.verdicts
    assert verdict.choice == 1
    assert trace.final.answer == "Ostra"
    assert verdict.probabilities[0] == max(verdict.probabilities)  # what the model would have said


def test_an_oracle_is_not_trained():
    with pytest.raises(ConfigError, match="joint: false"):
        load(Refiner, {"oracle": True}, "a test")
