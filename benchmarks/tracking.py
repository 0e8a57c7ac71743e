"""Time the steps of a short training beside each state of MLflow: what does the mirror cost it?

A round trains the same steps in fresh folders: without a mirror, with a working database, with a
server that never answers, and with one that answers 500. The mirror is the process that the
workflow starts. The states take turns, so that all meet the same machine; the ratio to no mirror,
taken round by round, is what can be quoted. What other processes took meanwhile is shown as well: a
measurement in which that was more than --quiet percent of the processors is made again, five times
in all, and the quietest of them taken.

Run it in the repository after `make table1`, on an otherwise idle machine:
  .venv/bin/python benchmarks/tracking.py --rounds 5
  .venv/bin/python benchmarks/tracking.py --rounds 5 --trainings 1     # and a core to spare
"""

from __future__ import annotations

import argparse
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
from table1 import Figures, machine, spread

OTHERS = "other processes, % of the processors"
TRIES = 5  # of one measurement, on a machine that is not quiet
NONE, STATES = "no mirror", ("working", "hanging", "500s")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    run = Path("results/config/train/search-r2/seed1.json")
    parser.add_argument("--config", type=Path, default=run, help="the run (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="of each training (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument(
        "--trainings", type=int, default=2, help="side by side; 2 as in the workflow (%(default)s)"
    )
    parser.add_argument(
        "--states", nargs="+", choices=STATES, default=STATES, help="of MLflow (default: all)"
    )
    parser.add_argument(
        "--quiet", type=float, default=100.0, help="percent (%(default)s: take all)"
    )
    parser.add_argument("--json", type=Path, help="write every round's figures here")
    options = parser.parse_args()
    about = machine()
    print("\n".join(f"{name}: {value}" for name, value in about.items()), file=sys.stderr)
    config = json.loads(options.config.read_text())
    config["grpo"]["steps"] = options.steps
    rounds: dict[str, list[Figures]] = {state: [] for state in (NONE, *options.states)}
    for number in range(options.rounds):
        for state, measured in rounds.items():
            tries: list[Figures] = []
            while len(tries) < TRIES and not (tries and tries[-1][OTHERS] <= options.quiet):
                tries.append(found := measure(config, state, options.trainings))
                shown = ", ".join(f"{k} {v:.2f}" for k, v in found.items())
                print(f"round {number + 1} of {options.rounds}, {state}: {shown}", file=sys.stderr)
            measured.append(min(tries, key=lambda figures: figures[OTHERS]))
    if options.json:
        record = {"machine": about, "options": vars(options), "rounds": rounds}
        options.json.write_text(json.dumps(record, indent=1, default=str) + "\n")
    print(page(rounds))


def measure(config: dict[str, Any], state: str, trainings: int) -> Figures:
    """The steps of ``trainings`` side by side, and what the mirror and others used meanwhile."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        results = Path(folder)
        (results / "config").mkdir()
        with server(state) as uri:
            (results / "config" / "tracking.json").write_text(json.dumps({"uri": uri}))
            began, (busy, own) = time.perf_counter(), processor_seconds()
            with following(results, state) as said:
                train(results, config, trainings)
            seconds, (busy_then, own_then) = time.perf_counter() - began, processor_seconds()
        others = (busy_then - busy) - (own_then - own)
        steps = [
            seconds for path in results.glob("train/*/*/metrics.jsonl") for seconds in took(path)
        ]
        figures = {
            "mean step, s": statistics.mean(steps),
            "median step, s": statistics.median(steps),
            "slowest step, s": max(steps),
        }
        used = re.search(r"with ([\d.]+) s of processor time", "".join(said))
        figures["mirror, CPU s"] = float(used[1]) if used else 0.0
        return figures | {OTHERS: 100 * others / seconds / len(os.sched_getaffinity(0))}


def processor_seconds() -> tuple[float, float]:
    """What this machine's processes have used so far, and what ours have that ended."""
    busy, own = psutil.cpu_times(), psutil.Process().cpu_times()
    mine = own.user + own.system + own.children_user + own.children_system
    return busy.user + busy.nice + busy.system, mine


def train(results: Path, config: dict[str, Any], trainings: int) -> None:
    running = []
    for number in range(trainings):
        path = results / f"config/{number}.json"
        path.write_text(json.dumps({**config, "seed": number}))
        command = ["train", "--config", path, "--out", results / f"train/x/seed{number}"]
        log = (results / f"{number}.log").open("w")
        running.append(
            subprocess.Popen(searchr2(*command), stdout=log, stderr=log, env=ENVIRONMENT)
        )
    for training in running:
        if training.wait():
            raise SystemExit("\n".join(path.read_text() for path in results.glob("*.log")))


def took(ledger: Path) -> list[float]:
    """The seconds of each step of a run."""
    lines = [json.loads(line)["metrics"] for line in ledger.read_text().splitlines()]
    return [line["time/step"] for line in lines if "time/step" in line]


@contextmanager
def following(results: Path, state: str) -> Iterator[list[str]]:
    """The mirror beside a workflow, as the workflow starts it; at the end, what it said."""
    said: list[str] = []
    if state == NONE:
        yield said
        return
    with subprocess.Popen(["sleep", "infinity"]) as workflow:
        command = ["sync", "--results", results, "--follow", "--parent", workflow.pid]
        follower = subprocess.Popen(
            searchr2(*command), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            yield said
        finally:
            workflow.kill()
            workflow.wait()
            said.append(follower.communicate()[0])


@contextmanager
def server(state: str) -> Iterator[str | None]:
    """Where MLflow is: ``None`` is a database in the results folder."""
    if state == "hanging":
        with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and says nothing
            yield f"http://127.0.0.1:{silent.getsockname()[1]}"
    elif state == "500s":
        with ThreadingHTTPServer(("127.0.0.1", 0), Broken) as broken:
            threading.Thread(target=broken.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{broken.server_port}"
            broken.shutdown()
    else:
        yield None


class Broken(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(500)

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        pass


def searchr2(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "searchr2.cli.main", *map(str, arguments)]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def page(rounds: dict[str, list[Figures]]) -> str:
    """Medians with their range and, of steps, the ratio to no mirror round by round."""
    _, *others = rounds
    head = ["", *rounds, *(f"{state} / {NONE}" for state in others)]
    lines = [f"| {' | '.join(head)} |", f"|---{'|---:' * (len(head) - 1)}|"]
    for name in rounds[NONE][0]:
        columns = {state: [found[name] for found in measured] for state, measured in rounds.items()}
        cells = [spread(column, 2) for column in columns.values()]
        if name.endswith("step, s"):
            for state in others:
                pairs = zip(columns[state], columns[NONE], strict=True)
                cells.append(spread([a / b for a, b in pairs], 3))
        lines.append(f"| {' | '.join([name, *cells])} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
