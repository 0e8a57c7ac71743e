"""What training logs of its judge: what the outcome gate saved, and what had no verdict."""

import pytest
from rollouts import answer, question, search, trajectory

from searchr2.answers import exact_match
from searchr2.rewards import score
from searchr2.training.metrics import Rollout, describe
from searchr2.trajectory import Trace


class Judge:
    """Says what it was told to, one count a trajectory."""

    def __init__(self, *counts):
        self.counts = list(counts)

    def count(self, items):
        return [self.counts.pop(0) for _ in items]


def rollouts(*made, judge):
    """(answer, searches) each; "Ostra" is right."""
    asked = question(golds=("Ostra",))
    finals = [trajectory(*[search("a")] * searches, answer(text)) for text, searches in made]
    rewards = score([(asked, final) for final in finals], judge)
    return [
        Rollout(asked, Trace(final), reward, exact_match(final.answer, asked.golden_answers))
        for final, reward in zip(finals, rewards, strict=True)
    ]


def test_the_share_that_the_gate_saved_and_the_share_without_a_verdict():
    made = [("Ostra", 2), ("x", 1), ("y", 3), ("Ostra", 1), ("Ostra", 1)]
    logged = describe(rollouts(*made, judge=Judge(1, None, 1)), 5, process=True)
    assert logged["judge/skipped"] == pytest.approx(2 / 5)
    assert logged["judge/unparsable"] == pytest.approx(1 / 3)
    assert logged["reward/process"] == pytest.approx((1 / 2 + 1) / 2)


def test_what_has_nothing_to_judge_counts_as_neither():
    logged = describe(rollouts(("Ostra", 0), ("x", 0), judge=Judge()), 2, process=True)
    assert (logged["judge/skipped"], logged["judge/unparsable"]) == (None, None)
    assert logged["reward/process"] == 0.0


def test_where_nothing_is_right_all_is_saved_and_nothing_unparsable():
    logged = describe(rollouts(("x", 1), ("y", 1), judge=Judge()), 2, process=True)
    assert (logged["judge/skipped"], logged["judge/unparsable"]) == (1.0, None)


def test_without_a_judge_there_is_nothing_to_log_of_it():
    logged = describe(rollouts(("Ostra", 1), judge=None), 1, process=False)
    assert not [key for key in logged if key.startswith("judge/")]
