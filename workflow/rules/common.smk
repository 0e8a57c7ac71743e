"""What the rules share: names, places of checkpoints, one workflow at a time, the mirror."""

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

from snakemake.exceptions import WorkflowError

SETS = SCHEMA["$defs"]["Data"]["properties"]["questions"]["anyOf"][0]["propertyNames"]["enum"]
# A stage's output goes to its log, but its progress bar finds the terminal, if there is one, at 3.
# It replaces its shell, so that it is our child and notices (searchr2.cli.main) when we are killed.
PREFIX = (
    f"exec 3>&2; export SEARCHR2_PROGRESS_FD=3 SEARCHR2_PARENT={os.getpid()}"
    " OMP_WAIT_POLICY=passive; exec "
)
ADVICE = """
A stage failed: its log is above, and under results/logs. What is finished is kept.
  snakemake --cores all results/table1.csv   goes on where this stopped, once the cause is gone
  snakemake -n                               says what is left to do, and why
  snakemake -np | grep searchr2              shows the stages as commands that can be typed by hand
"""


@functools.cache
def hold(results):
    """Hold the results folder while this process lives: the kernel lets go even of a killed one."""
    Path(results).mkdir(parents=True, exist_ok=True)
    lock = Path(results, ".lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise WorkflowError(f"another snakemake is at work in {results}/; let it finish") from None
    return lock


def mirror(config):
    """Start the process that copies the record to MLflow; it outlives no workflow and holds none up."""
    if not config["tracking"]["enabled"]:
        return
    if not shutil.which("searchr2"):  # the stages may have an environment of their own
        print("MLflow shows this run once `searchr2 sync` has been called.")
        return
    log = Path(config["results"], "logs", "sync.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    follow = ["--results", config["results"], "--follow", "--parent", str(os.getpid())]
    with log.open("a") as output:
        subprocess.Popen(
            ["searchr2", "sync", *follow],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def sets(config):
    """The evaluation sets there are questions for, in the table's order."""
    named = config["data"]["questions"]
    return [name for name in SETS if named is None or name in named]


def files(config):
    """The user's own files that the data stage reads."""
    corpus, questions, train = pick(config["data"], "corpus", "questions", "train").values()
    return [*([corpus] if corpus else []), *(questions or {}).values(), *(train or [])]


def record(name, seed):
    """The record folder of checkpoint ``name``, below results."""
    return "base" if name == "base" else f"train/{name}/seed{seed}"


def checkpoint(config, name, seed=None):
    """What checkpoint ``name`` is read from: its record, or the folder or hub id the user brought."""
    own = config["model"]["path"] if name == "base" else None
    return own or f"{config['results']}/{record(name, seed)}"


def made(config, name, seed=None):
    """The file that says checkpoint ``name`` is whole; none for one that the user brought."""
    own = name == "base" and config["model"]["path"]
    return [] if own else [f"{checkpoint(config, name, seed)}/manifest.json"]


def seeds(config, name):
    """The training seeds checkpoint ``name`` exists for."""
    return [config["base"]["seed"]] if name == "base" else config["seeds"]


def evaluations(config, file):
    """``file`` of every evaluation in the table."""
    return [
        f"{config['results']}/evaluate/{name}/seed{seed}/{file}"
        for name, row in config["rows"].items()
        for seed in seeds(config, row["checkpoint"])
    ]
