"""Tables of exact match and the paired differences under them, from predictions.

A line's *scores* are a frame: one row a question, by (dataset, id), one column a seed, values EM
in {0, 1}. A set that was not evaluated stays absent: its cell is empty, and so is the average,
which is the mean of all seven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from searchr2.config import SETS, TableConfig
from searchr2.files import ArtifactError, DataError
from searchr2.predictions import read_predictions
from searchr2.statistics import (
    Samples,
    bootstrap,
    macro_average,
    mcnemar,
    mcnemar_by_set,
    paired_bootstrap,
    seed_interval,
    wilson,
)

AVERAGE = "average"
COLUMNS = ["method", "backbone", *SETS, AVERAGE, "average_ci_low", "average_ci_high"]
STEP = "step"
"""A further column, after the backbone, of tables over the steps of training; empty where a line
has none."""
CELLS = ["method", STEP, "set", "em", "ci_low", "ci_high", "n"]
DIFFERENCES = [
    "a",
    "b",
    "set",
    "difference",
    "ci_low",
    "ci_high",
    "mcnemar_p",
    "holm_p",
    "n",
    "seeds_low",
    "seeds_high",
]


def read_scores(evaluations: Path, config: TableConfig) -> dict[str, pd.DataFrame]:
    """The scores of each line of ``config``, from ``<evaluations>/<folder>/predictions.jsonl``.

    Raises ``ArtifactError`` where one is missing, ``DataError`` where the seeds of a line answered
    different questions.
    """
    return {
        name: row_scores([evaluations / folder for folder in line.folders])
        for name, line in config.lines.items()
    }


def row_scores(folders: Sequence[Path]) -> pd.DataFrame:
    """The scores of one line from its evaluations, one folder a seed; raises as ``read_scores``."""
    frame = pd.concat([_seed_scores(folder, i) for i, folder in enumerate(folders)])
    scores = frame.pivot(index=["dataset", "id"], columns="seed", values="em")
    if scores.isna().to_numpy().any():
        dataset, question = scores.index[scores.isna().any(axis=1)][0]
        row = folders[0].parent
        raise DataError(f"{row}: not every seed answered question {question!r} of {dataset}")
    return scores


def samples(scores: pd.DataFrame) -> dict[str, NDArray[Any]]:
    """The scores as ``statistics`` takes them: set -> (seeds, questions), in the paper's order."""
    present = scores.index.unique("dataset")
    return {name: scores.loc[name].to_numpy().T for name in SETS if name in present}


def main_table(scores: Mapping[str, pd.DataFrame], config: TableConfig) -> pd.DataFrame:
    """The table (``COLUMNS``): EM in percent of each line that is shown, in order."""
    lines = []
    for name, of in config.lines.items():
        if not of.shown:
            continue
        sets = samples(scores[name])
        line: dict[str, Any] = {"method": of.label, "backbone": config.backbone, STEP: of.step}
        line |= {s: _percent(macro_average({s: sets[s]})) for s in SETS if s in sets}
        if len(sets) == len(SETS):
            average = bootstrap(sets, config.evaluation.bootstrap)
            line |= {
                "average": _percent(average.value),
                "average_ci_low": _percent(average.low),
                "average_ci_high": _percent(average.high),
            }
        lines.append(line)
    stepped = any(of.step is not None for of in config.lines.values())
    columns = [*COLUMNS[:2], STEP, *COLUMNS[2:]] if stepped else COLUMNS
    table = pd.DataFrame(lines, columns=columns)
    return table.astype({STEP: "Int64"}) if stepped else table


def cells(scores: Mapping[str, pd.DataFrame], config: TableConfig) -> pd.DataFrame:
    """Each cell of the table (``CELLS``) with its interval, Wilson's, over the ``n`` questions."""
    lines = []
    for name, of in config.lines.items():
        for dataset, scores_SQ in samples(scores[name]).items() if of.shown else ():
            em = wilson(scores_SQ)
            figures = map(_percent, (em.value, em.low, em.high))
            lines.append([of.label, of.step, dataset, *figures, scores_SQ.shape[1]])
    return pd.DataFrame(lines, columns=CELLS).astype({STEP: "Int64"})


def differences(scores: Mapping[str, pd.DataFrame], config: TableConfig) -> pd.DataFrame:
    """The paired differences (``DIFFERENCES``), in points, of each pair in ``config.compare``.

    First of the average over the sets that both lines were evaluated on, with McNemar's p over
    all questions; then of each set, where ``holm_p`` is corrected over the sets. ``n`` counts the
    questions; of several training seeds the average has the t interval over them as well. Raises
    ``DataError`` where there is no set, or where the two answered different
    questions of one.
    """
    lines = []
    for a, b in config.compare:
        for name in (a, b):
            if name not in scores:
                raise DataError(f"compare: {name!r} is not one of the lines ({', '.join(scores)})")
        sets_a, sets_b = paired(a, b, scores[a], scores[b])
        resamples = config.evaluation.bootstrap
        whole = _difference(sets_a, sets_b, resamples)
        if seeds := seed_interval(sets_a, sets_b):
            whole |= {"seeds_low": _percent(seeds.low), "seeds_high": _percent(seeds.high)}
        lines.append({"a": a, "b": b, "set": AVERAGE, **whole})
        for name, p in mcnemar_by_set(sets_a, sets_b).items():
            one = _difference({name: sets_a[name]}, {name: sets_b[name]}, resamples)
            lines.append({"a": a, "b": b, "set": name, **one, "holm_p": f"{p:.3g}"})
    return pd.DataFrame(lines, columns=DIFFERENCES)


def paired(
    a: str, b: str, scores_a: pd.DataFrame, scores_b: pd.DataFrame
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]]]:
    """The samples of a and b on the sets both have; ``DataError`` where questions differ."""
    sets_a, sets_b = samples(scores_a), samples(scores_b)
    shared = [name for name in sets_a if name in sets_b]
    if not shared:
        raise DataError(f"{a} and {b} were evaluated on no set together")
    for name in shared:
        if not scores_a.loc[name].index.equals(scores_b.loc[name].index):
            raise DataError(
                f"{a} and {b} answered different questions of {name}; evaluate both again"
            )
    return {name: sets_a[name] for name in shared}, {name: sets_b[name] for name in shared}


def _difference(a: Samples, b: Samples, resamples: int) -> dict[str, Any]:
    gap = paired_bootstrap(a, b, resamples)
    return {
        "difference": _percent(gap.value),
        "ci_low": _percent(gap.low),
        "ci_high": _percent(gap.high),
        "mcnemar_p": f"{mcnemar(a, b):.3g}",
        "n": sum(np.shape(scores)[-1] for scores in a.values()),
    }


def read_table(path: Path, *columns: str) -> pd.DataFrame:
    """A table that was written; ``DataError`` names one that is none, or the columns it lacks."""
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: not a table: {error}") from None
    if absent := [name for name in columns if name not in table]:
        raise DataError(f"{path}: no column {', '.join(absent)}")
    return table


def to_csv(table: pd.DataFrame) -> str:
    """A table as CSV, figures with one decimal, absent ones empty."""
    return table.to_csv(index=False, float_format="%.1f", lineterminator="\n")


def _seed_scores(folder: Path, seed: int) -> pd.DataFrame:
    path = folder / "predictions.jsonl"
    if not path.is_file():
        raise ArtifactError(f"{path}: missing; `snakemake --forcerun evaluate` rebuilds it")
    rows = [(row.dataset, row.id, seed, row.em) for row in read_predictions(path)]
    frame = pd.DataFrame(rows, columns=["dataset", "id", "seed", "em"])
    for _, strange in frame[~frame["dataset"].isin(SETS)].iterrows():
        raise DataError(
            f"{path}: dataset {strange['dataset']!r} of {strange['id']!r} is not one of {SETS}"
        )
    for _, twice in frame[frame.duplicated(["dataset", "id"])].iterrows():
        raise DataError(f"{path}: question {twice['id']!r} of {twice['dataset']} is there twice")
    return frame


def _percent(share: float) -> float:
    """In percent with one decimal; adding 0.0 turns -0.0 into 0.0."""
    return round(100 * share, 1) + 0.0
