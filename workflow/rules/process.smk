"""The workflow as a process: one at a time in a results folder, taking its stages along when it dies."""

import fcntl
import functools
import os
import shutil
import subprocess
from pathlib import Path

from snakemake.exceptions import WorkflowError

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
