"""Check that every artefact under the results still matches what it was made from.

Compares files with the digests their provenance recorded, and names what changed and what rests on
it. Exits with 1 where something no longer matches.

example: searchr2 verify --results results
"""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")


def run(options: argparse.Namespace) -> None:
    import sys

    from searchr2.files import UserError, results_folder
    from searchr2.tracking.verify import find_artefacts, made_by_other_code, verify

    artefacts = find_artefacts(results_folder(options.results))
    if not artefacts:
        raise UserError(f"{options.results}: nothing here says what it was made from")
    problems = verify(artefacts)
    for path, found in problems.items():
        for problem in found:
            print(f"{path}: {problem}")
    if older := made_by_other_code(artefacts):
        print(
            f"{len(older)} of {len(artefacts)} artefacts were made by another version of the code"
        )
    print(f"{len(artefacts) - len(problems)} of {len(artefacts)} artefacts match")
    if problems:
        sys.exit(1)
