"""Seconds of a training step, method against method (Table 5).

The runs take turns, step by step, in the same processes and from the same model, so that what else
the machine does meets all of them; nothing is saved of what they learn.

example:
  searchr2 steptime --config results/config/step_time.json --out results/table_step_time.csv
"""

from __future__ import annotations

import argparse
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", type=Path, required=True, help="the runs, resolved (JSON)")
    parser.add_argument("--out", type=Path, required=True, help="the table to write (CSV)")


def run(options: argparse.Namespace) -> None:
    from searchr2 import progress, step_time
    from searchr2.assembly import assemble
    from searchr2.build import quiet, weights_folder
    from searchr2.config import StepTimeConfig, load
    from searchr2.files import read_json, write_text
    from searchr2.processes import become
    from searchr2.tracking.provenance import made
    from searchr2.training.peers import join

    quiet()
    config = load(StepTimeConfig, read_json(options.config), options.config)
    become(config.runs[0].deepspeed.processes)
    peers = join()
    weights = weights_folder(
        config.runs[0].paths.model, "`snakemake --forcerun base instruct` rebuilds it"
    )
    options.out.parent.mkdir(parents=True, exist_ok=True)
    record = made(options.out, stage="step_time", config=config.model_dump(), inputs={})
    with (
        record if peers.first else nullcontext(),
        TemporaryDirectory(dir=options.out.parent) as own,
    ):
        folder = Path(peers.first_does(lambda: own))
        trainers = {run.run: assemble(run, weights, folder / run.run, peers) for run in config.runs}
        bar = progress.bar((config.steps + 1) * len(trainers), "step time", "steps")
        seconds = step_time.take_turns(
            {name: trainer.step for name, trainer in trainers.items()}, config.steps, bar.update
        )
        backbone = config.runs[0].backbone
        table = step_time.table(seconds, config.labels, backbone, config.resamples)
        if peers.first:
            write_text(options.out, table.to_csv(index=False, lineterminator="\n"))
        peers.meet()  # the first one's folder is in use until here
    bar.close()
    next(iter(trainers.values())).policy.close()
