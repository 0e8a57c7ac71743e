"""Saved views of the MLflow UI: what a person should see first, under "Views" and as links."""

from __future__ import annotations

import json
from typing import Any

from searchr2.config import SETS

DESCRIPTION = "mlflow.note.content"  # the tag that the UI shows as a description
PREFIX = "mlflow.sharedViewState."  # where the UI looks for them among an experiment's tags
NAME_WIDTH, CHECKPOINT_WIDTH = 310, 200

_SCORES = [f"em/{name}" for name in ("average", *SETS)]
_CURVES = ["validation/em", "reward/mean", "rollout/em", "refiner/revised", "refiner/regain"]


def tags(moment: int) -> dict[str, str]:
    """The experiment's description and views, as tags; ``moment`` (epoch ms) dates the views."""
    views = {
        "em": ("EM per data set", _view("evaluate", "model", _SCORES)),
        "methods": ("EM per method, means over seeds", _view("summary", "seeds", _SCORES)),
        "training": ("Training", _view("train", "seed", _CURVES)),
    }
    about = "A mirror of the record under `results/`; begin at *Views*, *EM per data set*."
    return {DESCRIPTION: about} | {
        f"{PREFIX}{key}": json.dumps(
            {"name": name, "createdAt": moment, "updatedAt": moment, "state": json.dumps(state)}
        )
        for key, (name, state) in views.items()
    }


def links(root: str, experiment: str) -> dict[str, str]:
    """What to open in the UI served at ``root``."""
    pages = {
        "checkpoints, ranked": "runs?viewStateShareKey=em",
        "methods, ranked": "runs?viewStateShareKey=methods",
        "checkpoints, as bars": "models?viewMode=CHART",
        "training curves": "runs?viewStateShareKey=training&compareRunsMode=CHART",
        "trajectories": "traces?startTimeLabel=ALL",  # else those of the last week
    }
    return {
        what: f"{root}/#/experiments/{experiment}/{page}"
        f"{'&' if '?' in page else '?'}workflowType=machine_learning"
        for what, page in pages.items()
    }


def _view(stage: str, tag: str, metrics: list[str]) -> dict[str, Any]:
    """The runs of a stage with a tag and some metrics, ranked by the first of them."""
    name, label = "attributes.`Run Name`", f"tags.`{tag}`"
    columns = [label, *(f"metrics.`{metric}`" for metric in metrics)]
    widths = {f"metrics.`{metric}`": max(80, 40 + 7 * len(metric)) for metric in metrics}
    widths |= {name: NAME_WIDTH, label: CHECKPOINT_WIDTH if tag == "model" else 80}
    return {
        "selectedColumns": columns,
        "columnOrder": [name, *columns],
        "columnWidths": widths,
        "orderByKey": f"metrics.`{metrics[0]}`",
        "orderByAsc": False,
        "searchFilter": f"tags.stage = '{stage}'",
    }
