"""What training to each step of a table cost, and where another run had cost the same.

Equal steps are not equal compute: a run that repairs its rollouts, or draws more of them, pays more
for a step. A seed's seconds are the median ``time/step`` of its ledger times the steps. They belong
to the machine and to what else it did: runs are comparable as far as they met the same load
(``step_time`` makes them take turns).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from searchr2.files import DataError
from searchr2.markdown import grid
from searchr2.statistics import t_interval

SECONDS = "time/step"
COLUMNS = ["method", "step", "step_seconds", "seconds", "ci_low", "ci_high", "seeds", "nearest_to"]

Ledgers = Mapping[str, Sequence[pd.DataFrame]]
"""Method -> the ledger of each training seed (``curves.read_ledger``)."""


def table(ledgers: Ledgers, steps: Mapping[str, Sequence[int]]) -> pd.DataFrame:
    """A line a method and step (``COLUMNS``): mean seconds over seeds, with their t interval.

    ``nearest_to`` names the methods whose whole training this line of another comes nearest to, and
    how much of its seconds it took: "B (96 %)". The interval is absent with one seed. Raises
    ``DataError`` where a ledger has no step times, or a method no ledger.
    """
    lines = []
    for method, reached in steps.items():
        medians_S = _medians(method, ledgers.get(method, ()))
        for step in reached:
            spent = t_interval([step * median for median in medians_S])
            known = not math.isnan(spent.low)
            lines.append(
                {
                    "method": method,
                    "step": step,
                    "step_seconds": round(spent.value / step, 3),
                    "seconds": round(spent.value, 1),
                    "ci_low": round(spent.low, 1) if known else None,
                    "ci_high": round(spent.high, 1) if known else None,
                    "seeds": len(medians_S),
                }
            )
    found = pd.DataFrame(lines, columns=COLUMNS[:-1])
    return found.assign(nearest_to=_nearest_to(found))


def _medians(method: str, ledgers: Sequence[pd.DataFrame]) -> list[float]:
    """The median seconds of a step, by seed."""
    times = [of[SECONDS].dropna() if SECONDS in of else pd.Series(dtype=float) for of in ledgers]
    if not times or any(of.empty for of in times):
        raise DataError(f"{method}: no ledger of it, or one without {SECONDS}")
    return [float(of.median()) for of in times]


def _nearest_to(found: pd.DataFrame) -> list[str]:
    ends = found.loc[found.groupby("method", sort=False)["step"].idxmax()]
    names: list[list[str]] = [[] for _ in range(len(found))]
    for end in ends.to_dict("records"):
        for other, of in found.groupby("method", sort=False):
            if other != end["method"]:
                nearest = int((of["seconds"] - end["seconds"]).abs().idxmin())
                share = of["seconds"][nearest] / end["seconds"]
                names[nearest].append(f"{end['method']} ({100 * share:.0f} %)")
    return ["; ".join(of) for of in names]


def page(found: pd.DataFrame) -> str:
    """The table in columns, for a terminal."""
    header = ["Method", "Step", "Seconds", "95 % interval", "Nearest to the end of"]
    lines = [
        [
            str(line["method"]),
            str(line["step"]),
            f"{line['seconds']:.1f}",
            "" if pd.isna(line["ci_low"]) else f"{line['ci_low']:.1f} to {line['ci_high']:.1f}",
            line["nearest_to"],
        ]
        for line in found.to_dict("records")
    ]
    return grid(header, lines) + "\n"
