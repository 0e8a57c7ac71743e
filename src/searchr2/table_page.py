"""A table of exact match as a Markdown page, which also reads well in a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from searchr2.config import SETS, TableConfig
from searchr2.markdown import grid
from searchr2.statistics import seed_deviation, wilson_of
from searchr2.tables import AVERAGE, STEP, samples

TITLES = {
    "nq": "NQ",
    "triviaqa": "TriviaQA",
    "popqa": "PopQA",
    "hotpotqa": "HotpotQA",
    "2wikimultihopqa": "2Wiki",
    "musique": "MuSiQue",
    "bamboogle": "Bamboogle",
}
ALPHA = 0.05


def markdown(
    table: pd.DataFrame,
    differences: pd.DataFrame,
    scores: Mapping[str, pd.DataFrame],
    config: TableConfig,
) -> str:
    """The page: the table, the scale, the paired differences in words (all made by ``tables``)."""
    parts = [
        f"# {config.title} ({config.name})",
        _grid(table),
        _about(scores, config),
        _seeds(scores, config),
        _comparisons(differences, config),
        "Unless backbone, passages and questions are the paper's, these figures do not reproduce "
        "its numbers; those of the mini scale, a small model in a generated world, never do.",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def line_name(label: str, step: int | None) -> str:
    """A line in a sentence: ``line_name("Search-R1", 40) == "Search-R1 after 40 steps"``."""
    return label if step is None else f"{label} after {step} steps"


def _grid(table: pd.DataFrame) -> str:
    steps = ["Step"] if STEP in table else []
    header = ["Method", *steps, *(TITLES[name] for name in SETS), "Average", "95 % interval"]
    lines = [
        [
            str(row["method"]),
            *("" if pd.isna(row[STEP]) else str(row[STEP]) for _ in steps),
            *(_cell(row[name]) for name in (*SETS, "average")),
            ""
            if pd.isna(row["average"])
            else f"{row['average_ci_low']:.1f} to {row['average_ci_high']:.1f}",
        ]
        for row in table.to_dict("records")
    ]
    return grid(header, lines)


def _cell(value: Any) -> str:
    return "" if pd.isna(value) else f"{value:.1f}"


def _about(scores: Mapping[str, pd.DataFrame], config: TableConfig) -> str:
    counts = pd.concat(
        {
            name: frame.index.get_level_values("dataset").value_counts()
            for name, frame in scores.items()
        },
        axis=1,
    ).max(axis=1)
    sets = ", ".join(f"{TITLES[name]} {int(counts[name])}" for name in SETS if name in counts)
    return (
        f"Scale {config.name}, backbone {config.backbone}: {int(counts.sum())} test questions "
        f"({sets}). Exact match after SQuAD's normalisation, percent; an empty cell was not "
        "evaluated. The average is the mean of the seven sets, its interval a stratified "
        f"bootstrap over questions ({config.evaluation.bootstrap} resamples): what other training "
        "seeds would change is not in it. The interval of a cell, Wilson's, is widest near 50 %: "
        f"{_half_widths({name: int(counts[name]) for name in SETS if name in counts})}."
    )


def _half_widths(questions: Mapping[str, int]) -> str:
    """Half of the interval near 50 %, in points, of sets by their number of questions."""
    widths: dict[str, list[str]] = {}
    for name, count in questions.items():
        interval = wilson_of(0.5, count)
        half = f"{50 * (interval.high - interval.low):.1f}"
        widths.setdefault(half, []).append(TITLES[name])
    if len(widths) == 1:
        return f"+-{next(iter(widths))} points of every set"
    return ", ".join(f"{' and '.join(names)} +-{half}" for half, names in widths.items())


def _seeds(scores: Mapping[str, pd.DataFrame], config: TableConfig) -> str:
    deviations = {
        line_name(line.label, line.step): seed_deviation(samples(scores[name]))
        for name, line in config.lines.items()
    }
    told = [f"{label} {100 * d:.1f}" for label, d in deviations.items() if d is not None]
    if not told:
        return ""
    seeds = max(len(line.folders) for line in config.lines.values())
    return (
        f"Cells of trained methods are means over {seeds} seeds. Standard deviation of "
        f"the average between seeds, in points: {', '.join(told)}."
    )


def _comparisons(differences: pd.DataFrame, config: TableConfig) -> str:
    if differences.empty:
        return ""
    names = {name: line_name(line.label, line.step) for name, line in config.lines.items()}
    lines = [
        "Paired differences of the average, in points, over the same questions (which are "
        "resampled; the trained models are taken as they are, unless there are several seeds):",
        "",
    ]
    for row in differences[differences["set"] == AVERAGE].to_dict("records"):
        a, b = names[row["a"]], names[row["b"]]
        lines.append(
            f"- {a} against {b}: {row['difference']:+.1f}, 95 % interval {row['ci_low']:+.1f} to "
            f"{row['ci_high']:+.1f} ({row['n']} questions; exact McNemar p = {row['mcnemar_p']})"
            f"{_reading(row, a)}."
        )
    return "\n".join([*lines, "", _by_set(differences[differences["set"] != AVERAGE], names)])


def _reading(row: Mapping[Any, Any], a: str) -> str:
    """What a difference says of ``a``; with several training seeds, what both intervals say."""
    told, holds, data = ": the interval", "holds zero", "these questions"
    lows, highs = [row["ci_low"]], [row["ci_high"]]
    if not pd.isna(row["seeds_low"]):
        low, high = row["seeds_low"], row["seeds_high"]
        lows.append(low)
        highs.append(high)
        told = f"; over training seeds a 95 % t interval of {low:+.1f} to {high:+.1f}: both"
        holds, data = "are not on one side of zero", "these data"
    verb = "is" if len(lows) == 1 else "are"
    if min(lows) > 0:
        return f"{told} {verb} above zero, {a} is ahead"
    if max(highs) < 0:
        return f"{told} {verb} below zero, {a} is behind"
    return f"{told} {holds}, so {data} do not tell them apart"


def _by_set(differences: pd.DataFrame, names: Mapping[str, str]) -> str:
    """The differences set by set, those marked that stand after Holm's correction."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in differences.to_dict("records"):
        mark = " *" if float(row["holm_p"]) < ALPHA else ""
        found.setdefault((row["a"], row["b"]), {})[row["set"]] = f"{row['difference']:+.1f}{mark}"
    lines = [
        [f"{names[a]} - {names[b]}", *(of.get(s, "") for s in SETS)] for (a, b), of in found.items()
    ]
    told = f"Set by set, in points (* exact McNemar p below {ALPHA}, Holm-corrected over the sets):"
    return f"{told}\n\n{grid(['', *(TITLES[name] for name in SETS)], lines)}"
