"""Say what an experiment takes before anything of it runs: GPU memory, RAM, disk, steps, hours.

Reads config.yaml with the other files laid over it, as snakemake does, and this machine or the one
described by the options. Nothing is loaded, written or asked of the network. Where the machine
cannot hold it, it says by how much and which settings would help, and ends with status 2.

examples:
  searchr2 plan
  searchr2 plan --configfile configs/paper_qwen2.5_7b.yaml --nodes 1 --gpus 8 --gpu h100-80 \\
      --ram-gib 1024 --disk-gb 2000 --tables table1
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    from searchr2.plan.pace import Assumptions

    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="laid over config.yaml, in order"
    )
    parser.add_argument("--tables", nargs="+", metavar="NAME", help="of the config (all of them)")
    parser.add_argument("--nodes", type=int, help="machines that train together (1)")
    parser.add_argument("--gpus", type=int, help="GPUs of each; 0 for none (as many as are here)")
    parser.add_argument("--gpu", metavar="KIND", help="as h100-80, or its GB (what is here)")
    parser.add_argument("--ram-gib", type=float, help="of each machine (what is here)")
    parser.add_argument("--disk-gb", type=float, help="free (what is free for the results)")
    usual = Assumptions()
    parser.add_argument("--mfu", type=float, default=usual.mfu, help="of updates (%(default)s)")
    parser.add_argument(
        "--decode", type=float, default=usual.decode, help="bandwidth's share (%(default)s)"
    )
    parser.add_argument(
        "--turns", type=float, default=usual.turns, help="of a trajectory, on average (%(default)s)"
    )


def run(options: argparse.Namespace) -> None:
    from searchr2.plan import shown
    from searchr2.plan.experiment import make_plan
    from searchr2.plan.machine import described, this_machine
    from searchr2.plan.pace import Assumptions
    from searchr2.plan.settings import only_tables, read_config

    settings = read_config([Path("config.yaml"), *options.configfile])
    if options.tables:
        settings = only_tables(settings, options.tables)
    machine = described(
        this_machine(Path(settings.results)),
        options.nodes,
        options.gpus,
        options.gpu,
        options.ram_gib,
        options.disk_gb,
    )
    plan = make_plan(settings, machine, Assumptions(options.mfu, options.decode, options.turns))
    print(shown.page(plan), end="", flush=True)
    shown.check(plan)
