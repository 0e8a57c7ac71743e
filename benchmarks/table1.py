"""Time the main command on fresh results folders: wall, CPU, memory, bytes, second call, dry run.

Each round runs `snakemake --cores all RESULTS/table1.csv` from nothing in a temporary folder, calls
it again, asks for a dry run, and reads what the stages took from Snakemake's benchmark files. With
--variant every round runs the config as it is and once more with those settings, one after the
other, so that both meet the same machine; their ratio is what can be quoted.

Run it in the repository, on an otherwise idle machine, with the environment active:
  python benchmarks/table1.py --rounds 3
  python benchmarks/table1.py --rounds 3 --variant '{tracking: {enabled: false}}'
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil
import yaml

Figures = dict[str, float]
"""What was measured in one round: name with its unit -> value."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--cores", default="all", help="(%(default)s)")
    parser.add_argument("--configfile", type=Path, help="laid over config.yaml")
    parser.add_argument("--variant", type=yaml.safe_load, help="settings to compare with, YAML")
    parser.add_argument("--json", type=Path, help="write every round's figures here")
    options = parser.parse_args()
    about = machine()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), file=sys.stderr)
    base = yaml.safe_load(options.configfile.read_text()) if options.configfile else {}
    variants = {"as it is": base}
    if options.variant:
        variants["variant"] = merge(base, options.variant)
    rounds: dict[str, list[Figures]] = {name: [] for name in variants}
    for number in range(options.rounds):
        for name, settings in variants.items():
            print(f"round {number + 1} of {options.rounds}, {name}", file=sys.stderr)
            rounds[name].append(measure(settings, options.cores))
    if options.json:
        record = {"machine": about, "variant": options.variant, "rounds": rounds}
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    print(page(rounds))


def measure(settings: dict[str, Any], cores: str) -> Figures:
    """One round in a folder of its own."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results = Path(folder, "results")
        overlay = Path(folder, "config.yaml")
        overlay.write_text(yaml.safe_dump(settings | {"results": str(results)}))
        command = [sys.executable, "-m", "snakemake", "--cores", cores, f"{results}/table1.csv"]
        command += ["--configfile", str(overlay)]
        before = psutil.Process().cpu_times()
        wall, peak, _ = run(command)
        after = psutil.Process().cpu_times()
        cpu = after.children_user + after.children_system
        cpu -= before.children_user + before.children_system
        figures = {"whole, s": wall, "whole, CPU s": cpu, "peak memory, MiB": peak}
        figures |= stages(results / "benchmarks")
        figures["written, MiB"] = size(results)
        again, _, said = run(command)
        if "Nothing to be done" not in said:
            raise SystemExit(f"the second call had something to do:\n{said}")
        figures["second call, s"] = again
        figures["dry run, s"], *_ = run([*command, "-n"])
        return figures


def run(command: Sequence[str]) -> tuple[float, float, str]:
    """Seconds, peak memory (MiB, all processes together, shared pages counted once), output."""
    path = f"{os.environ['PATH']}:{Path(sys.executable).parent}"
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PATH": path}
        )
        peaks = [0.0]
        watch = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
        watch.start()
        status = process.wait()
        seconds = time.perf_counter() - began
        watch.join()
        output.seek(0)
        said = output.read()
    if status:
        raise SystemExit(f"{' '.join(command)}\nended with status {status}:\n{said}")
    return seconds, max(peaks), said


def _watch(parent: int, peaks: list[float]) -> None:
    """Add the memory of a process and its descendants, twice a second, until it has ended."""
    while True:
        try:
            first = psutil.Process(parent)
            family = [first, *first.children(recursive=True)]
        except psutil.NoSuchProcess:
            return
        total = 0
        for process in family:
            try:
                total += process.memory_full_info().pss
            except psutil.Error:
                continue
        if not total:  # a zombie, about to be waited for
            return
        peaks.append(total / 2**20)
        time.sleep(0.5)


def stages(folder: Path) -> Figures:
    """Seconds and resident memory of each stage that Snakemake timed."""
    figures: Figures = {}
    for path in sorted(folder.rglob("*.tsv"), key=lambda path: path.stat().st_mtime):
        name = path.relative_to(folder).with_suffix("").as_posix()
        with path.open() as file:
            row = next(csv.DictReader(file, delimiter="\t"))
        for unit, key in (("s", "s"), ("MiB", "max_rss")):
            if row[key] not in ("", "-", "NA"):  # too short to be measured
                figures[f"{name}, {unit}"] = float(row[key])
    return figures


def size(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``base`` with ``changes`` laid over it, key by key."""
    both = dict(base)
    for key, value in changes.items():
        inner = base.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            value = merge(inner, value)
        both[key] = value
    return both


def machine() -> dict[str, str]:
    """What a figure is worth nothing without."""
    git = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(": ")[2] for line in lines if "model name" in line), "unknown")
    names = ("torch", "transformers", "deepspeed", "snakemake")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit or "unknown",
        "CPU": f"{model}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "load before": f"{os.getloadavg()[0]:.1f} (idle: near 0)",
        "versions": ", ".join(
            [f"Python {platform.python_version()}", *(f"{n} {metadata.version(n)}" for n in names)]
        ),
    }


def page(rounds: dict[str, list[Figures]]) -> str:
    """Medians with their range and, where there are two variants, the ratio round by round."""
    first, *others = rounds
    head = ["", *rounds, *(["ratio, as it is / variant"] if others else [])]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for name in rounds[first][0]:
        columns = [[f[name] for f in found if name in f] for found in rounds.values()]
        cells = [spread(values) for values in columns]
        if others and len(columns[0]) == len(columns[1]):
            ratios = [a / b for a, b in zip(*columns, strict=True) if b]
            cells.append(spread(ratios, 3))
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


def spread(values: Sequence[float], digits: int = 1) -> str:
    """``spread([3, 1, 2]) == "2.0 (1.0 to 3.0)"``: the median and the range."""
    if not values:
        return ""
    middle = f"{statistics.median(values):.{digits}f}"
    if len(values) == 1:
        return middle
    return f"{middle} ({min(values):.{digits}f} to {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
