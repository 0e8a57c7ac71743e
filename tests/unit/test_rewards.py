"""The hybrid reward on worked examples: R(y) = r_outcome * (1 + r_process)."""

import pytest
from rollouts import answer, question, search, trajectory

from searchr2.rewards import Reward, score


class CountingJudge:
    """Finds the counts it was told to, and remembers what it was shown."""

    def __init__(self, *counts):
        self.counts, self.shown = list(counts), []

    def count(self, items):
        self.shown.append(list(items))
        return [self.counts.pop(0) for _ in items]


def rollout(text, searches):
    return question(golds=("Ostra", "the Ostra")), trajectory(
        *[search("a")] * searches, answer(text)
    )


@pytest.mark.parametrize(
    ("text", "searches", "useful", "total"),
    [
        ("Ostra", 2, 1, 1.5),
        ("Ostra", 2, 2, 2.0),
        ("Ostra", 3, 1, 4 / 3),
        ("Ostra", 2, 0, 1.0),
        ("ostra!", 1, 1, 2.0),  # exact match is SQuAD's
        ("Ostra", 0, 0, 1.0),  # M = 0
        ("Ostra", 1, None, 1.0),  # no verdict
    ],
)
def test_a_right_answer_earns_one_and_the_share_of_useful_collections(
    text, searches, useful, total
):
    [reward] = score([rollout(text, searches)], CountingJudge(useful))
    assert reward.outcome == 1.0
    assert reward.total == pytest.approx(total)


def test_a_wrong_answer_earns_nothing_and_is_not_judged():
    judge = CountingJudge(1)
    rollouts = [rollout("elsewhere", 3), rollout("Ostra", 2)]
    wrong, right = score(rollouts, judge)
    assert (wrong.outcome, wrong.process, wrong.total) == (0.0, None, 0.0)
    assert right.total == 1.5
    assert judge.shown == [[(rollouts[1][0], rollouts[1][1].collections)]]


def test_a_trajectory_without_an_answer_earns_nothing():
    asked, y = rollout("Ostra", 2)
    [reward] = score([(asked, y.keep(2))], CountingJudge())
    assert reward.total == 0.0


def test_without_a_judge_the_reward_is_exact_match():
    rewards = score([rollout("Ostra", 2), rollout("x", 2)], None)
    assert rewards == [Reward(1.0, None), Reward(0.0, None)]
    assert [reward.total for reward in rewards] == [1.0, 0.0]


def test_no_searches_have_a_density_of_zero_and_an_absent_verdict_none():
    [without], [unknown] = (
        score([rollout("Ostra", 0)], CountingJudge(0)),
        score([rollout("Ostra", 1)], CountingJudge(None)),
    )
    assert without.process == 0.0
    assert unknown.process is None


def test_rewards_come_in_the_order_of_the_rollouts():
    rollouts = [rollout("Ostra", 1), rollout("x", 1), rollout("Ostra", 2), rollout("Ostra", 4)]
    totals = [reward.total for reward in score(rollouts, CountingJudge(1, 1, 1))]
    assert totals == [2.0, 0.0, 1.5, 1.25]
