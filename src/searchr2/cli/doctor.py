"""Say what is installed, what works here, and what to do about what does not.

Imports each library for real, multiplies on the GPU or the CPU, tries the results folder, and asks
whether the models and servers that the config names are there. Nothing is changed. Ends with
status 1 where something must be put right.

examples:
  searchr2 doctor
  searchr2 doctor --configfile configs/paper_qwen2.5_7b.yaml
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--configfile", type=Path, nargs="+", default=[], help="laid over config.yaml, in order"
    )
    parser.add_argument("--quiet", action="store_true", help="only what is not well")


def run(options: argparse.Namespace) -> None:
    import sys

    from searchr2.doctor.checks import examine
    from searchr2.plan.settings import read_config

    bad, said = 0, ""
    for finding in examine(read_config([Path("config.yaml"), *options.configfile])):
        bad += finding.state == "bad"
        if finding.state == "ok" and options.quiet:
            continue
        print(f"{finding.state:<5} {finding.what:<30} {finding.found}", flush=True)
        if finding.remedy not in ("", said):
            print(f"{'':<6}{'':<30} -> {finding.remedy}")
        said = finding.remedy
    if bad:
        print(f"{bad} of these must be put right: those marked bad, as the arrow says")
        sys.exit(1)
    print("all is well: make table1, or searchr2 plan for what a config takes")
