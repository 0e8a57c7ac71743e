"""Step times: who takes a turn when, and what the table makes of the seconds."""

import pandas as pd
import pytest

from searchr2.step_time import COLUMNS, table, take_turns


def clock(name, seconds, turns):
    def step(number):
        turns.append((number, name))
        return {
            f"time/{phase}": seconds * (number + 1) for phase in ("step", "rollout", "update")
        } | {"time/reward": None}

    return step


def test_methods_take_turns_in_changing_order_and_the_first_step_warms_up():
    turns: list[tuple[int, str]] = []
    methods = {"a": clock("a", 1.0, turns), "b": clock("b", 2.0, turns)}
    seconds = take_turns(methods, 2, lambda: None)
    assert turns == [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a"), (2, "b")]
    assert list(seconds["a"]["step"]) == [2.0, 3.0]
    assert list(seconds["b"]["reward"]) == [0.0, 0.0]


def test_the_change_is_that_of_the_mean_with_an_interval_over_steps():
    seconds = {
        "a": pd.DataFrame([{"step": s, "rollout": s, "reward": 0, "update": 0} for s in (1, 2, 3)]),
        "b": pd.DataFrame([{"step": s, "rollout": s, "reward": 0, "update": 0} for s in (2, 4, 3)]),
    }
    first, second = table(seconds, {"a": "A", "b": "B"}, "tiny", 500).to_dict("records")
    assert list(first) == COLUMNS
    assert (first["method"], first["step_seconds"], first["steps"]) == ("A", 2.0, 3)
    assert (first["step_seconds_ci_low"], first["step_seconds_ci_high"]) == (1.0, 3.0)
    assert pd.isna(first["relative_change_percent"])
    assert second["relative_change_percent"] == 50.0
    assert second["ci_low"] == pytest.approx(0.0)  # the third step alone, drawn three times
    assert second["ci_high"] == pytest.approx(100.0)
