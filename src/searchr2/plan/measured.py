"""What finished runs took, to stand beside what a plan estimates."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import median

from searchr2.config import Experiment
from searchr2.files import read_json
from searchr2.plan.settings import OVERRIDABLE, of_run


def measured(settings: Experiment) -> dict[str, float]:
    """Run -> median seconds of a step, of those recorded with the settings that are planned."""
    found, results = {}, Path(settings.results)
    for name in settings.runs:
        folder = results / "train" / name / f"seed{settings.seeds[0]}"
        if not (folder / "manifest.json").is_file():  # written when a run is finished
            continue
        ran = read_json(folder / "run.json")["config"]
        for stage in ("world", "data"):
            ran |= read_json(results / "config" / f"{stage}.json")
        planned = of_run(settings, name).model_dump(mode="json")
        same = all(
            planned[section].get(key) == value
            for section in {*OVERRIDABLE, "world", "data"} & {*ran}
            for key, value in ran[section].items()
        )
        rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        steps = [row["metrics"]["time/step"] for row in rows if "time/step" in row["metrics"]]
        if same and steps:
            found[name] = median(steps)
    return found
