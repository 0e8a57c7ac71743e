"""``searchr2``: the stages of the workflow as commands, each of which can be typed by hand.

A command is a module of this package: its docstring is the help text, ``arguments`` declares the
options, ``run`` does the work and imports what is heavy. Only the module asked for is imported.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
import threading

from searchr2.files import UserError
from searchr2.processes import PARENT, leave_when_abandoned

COMMANDS = {
    "world": "write the generated world: corpus, questions, demonstrations",
    "fetch": "get the paper's passages, index, questions and models from the hub",
    "data": "check and split the passages and questions a config names",
    "index": "build a retrieval index over a corpus",
    "encode": "encode a corpus into vectors, as one process of several",
    "search": "ask an index",
    "serve": "answer searches over HTTP",
    "recall": "measure an approximate dense index against the exact one",
    "tokenizer": "train the tokenizer of the small model",
    "base": "train the small base model on demonstrations",
    "train": "train a run: GRPO (Search-R1, Search-R2, ablations), SFT, rejection sampling",
    "evaluate": "answer questions greedily and score the answers",
    "revisions": "draw what more revisions buy and cost",
    "steptime": "seconds of a training step, method against method",
    "cost": "seconds of training to a step, and where runs have cost the same",
    "score": "EM, F1 and sub-EM of a predictions file",
    "retrieval": "recall of supporting titles and answers, per set",
    "table": "a table of exact match and its paired differences, from evaluations",
    "reference": "our tables beside the paper's, with verdicts",
    "figure": "the training curves",
    "quality": "compare how two rows worked, on six rubrics (Table 9)",
    "gains": "the terms of the Meta-Refiner's gain, measured on checkpoints",
    "report": "every table and figure on one page, with what made it",
    "ask": "ask a trained run your own question and watch it search",
    "compare": "what one evaluation has over others, with intervals",
    "show": "what was done about one question",
    "sync": "mirror the record into MLflow",
    "reconcile": "mark runs that died as killed",
    "plan": "memory, disk, steps and hours of an experiment before it runs",
    "doctor": "what is installed, what works, and what to do about the rest",
    "verify": "check artefacts against what they were made from",
    "ui": "open MLflow on the record",
    "schema": "print the JSON schema of config.yaml",
}


def usage() -> str:
    width = max(map(len, COMMANDS))
    rows = "\n".join(f"  {name:<{width}}  {what}" for name, what in COMMANDS.items())
    return (
        "usage: searchr2 COMMAND [options]      (searchr2 COMMAND --help teaches each)\n"
        "       searchr2 --version\n\n"
        "Search-R2: train a language model to search, reason and repair its own trajectories.\n"
        "`snakemake --cores all results/table1.csv` runs all of these in order.\n\n"
        f"commands:\n{rows}\n"
    )


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status (2: bad input, said in one line on stderr)."""
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage(), end="")
        return 0
    if arguments[0] == "--version":
        from importlib import metadata

        print("searchr2", metadata.version("searchr2"))
        return 0
    if PARENT in os.environ:  # the workflow that started this stage
        threading.Thread(target=leave_when_abandoned, daemon=True).start()
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"searchr2: no command {name!r}\n\n{usage()}", end="", file=sys.stderr)
        return 2
    command = importlib.import_module(f"searchr2.cli.{name}")
    parser = argparse.ArgumentParser(
        prog=f"searchr2 {name}",
        description=command.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.arguments(parser)
    options = parser.parse_args(rest)
    try:
        command.run(options)
    except UserError as error:
        if os.environ.get("SEARCHR2_TRACEBACK"):
            raise
        print(f"searchr2 {name}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        if error.filename is None or os.environ.get("SEARCHR2_TRACEBACK"):
            raise
        print(f"searchr2 {name}: {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
