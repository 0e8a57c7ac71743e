"""Seconds of a training step, method against method (Table 5), interleaved in one process.

Absolute times belong to a machine and what else it did; the ratio of two methods that took turns
step by step carries over. Each step is of the same prompts for all methods.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd

from searchr2.randomness import generator, stage_key

PHASES = ("step", "rollout", "reward", "update")
COLUMNS = [
    "method",
    "backbone",
    "step_seconds",
    "step_seconds_ci_low",
    "step_seconds_ci_high",
    *(f"{phase}_seconds" for phase in PHASES[1:]),
    "relative_change_percent",
    "ci_low",
    "ci_high",
    "steps",
]

Step = Callable[[int], Mapping[str, float | None]]
"""Runs a training step by its number and returns its metrics, ``time/<phase>`` among them."""


def take_turns(
    methods: Mapping[str, Step], steps: int, done: Callable[[], object]
) -> dict[str, pd.DataFrame]:
    """Method -> seconds by step and phase; every second round goes through the methods backwards.

    Step 0 warms up and is left out. ``done`` is called after each step.
    """
    seconds: dict[str, list[dict[str, float]]] = {name: [] for name in methods}
    for step in range(steps + 1):
        for name in list(methods)[:: -1 if step % 2 else 1]:
            metrics = methods[name](step)
            if step:
                seconds[name].append({p: float(metrics[f"time/{p}"] or 0.0) for p in PHASES})
            done()
    return {name: pd.DataFrame(rows) for name, rows in seconds.items()}


def table(
    seconds: Mapping[str, pd.DataFrame], labels: Mapping[str, str], backbone: str, resamples: int
) -> pd.DataFrame:
    """A line a method (``COLUMNS``): median seconds, and the change against the first method.

    The change is that of the mean seconds of a step, in percent. The 95 % intervals of it and of
    the median resample steps, the same for all methods.
    """
    first = next(iter(seconds.values()))["step"].to_numpy()
    lines = []
    for name, frame in seconds.items():
        line = {"method": labels[name], "backbone": backbone, "steps": len(frame)}
        line |= {f"{phase}_seconds": round(float(frame[phase].median()), 3) for phase in PHASES}
        drawn = _drawn(frame["step"].to_numpy(), resamples)
        low, high = np.quantile(np.median(drawn, axis=1), [0.025, 0.975])
        line |= {"step_seconds_ci_low": round(low, 3), "step_seconds_ci_high": round(high, 3)}
        if name != next(iter(seconds)):
            change, low, high = _change(frame["step"].to_numpy(), first, resamples)
            line |= {"relative_change_percent": change, "ci_low": low, "ci_high": high}
        lines.append(line)
    return pd.DataFrame(lines, columns=COLUMNS)


def _change(seconds: np.ndarray, first: np.ndarray, resamples: int) -> Sequence[float]:
    """Relative change of mean seconds, in percent, and the ends of its interval."""
    ratios = _drawn(seconds, resamples).mean(axis=1) / _drawn(first, resamples).mean(axis=1)
    found = [seconds.mean() / first.mean(), *np.quantile(ratios, [0.025, 0.975])]
    return [round(100 * (float(ratio) - 1), 1) for ratio in found]


def _drawn(seconds: np.ndarray, resamples: int) -> np.ndarray:
    """The seconds of steps drawn with replacement, (resamples, steps); of every method the same."""
    draws = generator(*stage_key(0, "step time"))
    return seconds[draws.integers(len(seconds), size=(resamples, len(seconds)))]
