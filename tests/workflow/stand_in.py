"""Stands in for ``searchr2``: writes what a stage declares, so that the plan alone is tested."""

import itertools
import sys
import time
from collections.abc import Sequence
from pathlib import Path

SETS = ["nq", "triviaqa", "popqa", "hotpotqa", "2wikimultihopqa", "musique", "bamboogle"]
WORLD = ["corpus", "train", "validation", "demonstrations", *(f"questions/{name}" for name in SETS)]
FILES = {
    "world": [f"{name}.jsonl" for name in WORLD],
    "data": [f"{name}.jsonl" for name in WORLD],
    "tokenizer": ["manifest.json"],
    "index": ["manifest.json"],
    "base": ["manifest.json", "metrics.jsonl"],
    "train": ["manifest.json", "metrics.jsonl"],
    "evaluate": ["predictions.jsonl", "metrics.json"],
}


def main() -> None:
    stage, *options = sys.argv[1:]
    given = dict(itertools.pairwise(options))
    with Path("calls").open("a") as calls:
        calls.write(f"{stage}\n")
    while Path(f"hang_in_{stage}").exists():
        time.sleep(0.1)
    if stage == "sync":
        return
    out = Path(given["--out"])
    figures = [out.with_suffix(".png"), out.with_suffix(".pdf")]
    drawn = [f"{given.get('--figure')}.{kind}" for kind in ("png", "pdf")]
    several: dict[str, Sequence[Path | str]] = {
        "table": [
            out,
            out.with_suffix(".md"),
            out.with_name(f"{out.stem}_cells.csv"),
            given.get("--differences", ""),
        ],
        "retrieval": [out],
        "figure": figures,
        "revisions": figures,
        "steptime": [out],
        "cost": [out],
        "quality": [out, out.with_suffix(".jsonl"), *drawn],
        "reference": [out, out.with_suffix(".csv")],
        "report": [out],
        "gains": [out, *drawn],
    }
    for path in map(Path, several.get(stage) or [out / name for name in FILES[stage]]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(" ".join(sys.argv[1:]))


main()
