"""Print what was done about one question of an evaluation: thoughts, searches, evidence, answer.

Where the Meta-Refiner cut the draft, the draft and the repaired trajectory stand side by side.

examples:
  searchr2 show search-r2 --question nq-test-17
  searchr2 show results/train/search-r2/seed1 --outcome repaired      # the last that was sampled
"""

from __future__ import annotations

import argparse
import shutil
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

from searchr2.cli.paint import colour, paint, printable

Said = tuple[str, str]
"""(who, what)"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "run", help="a row of the table, or the folder of an evaluation or of a training run"
    )
    parser.add_argument("--question", metavar="ID", help="id of the question (default: the first)")
    parser.add_argument("--dataset", help="only questions of this set")
    parser.add_argument("--outcome", default="", metavar="TEXT", help="only outcomes that begin so")
    parser.add_argument("--seed", type="seed{}".format, help="training seed (default: the first)")
    parser.add_argument("--results", type=Path, default=Path("results"), help="(%(default)s)")


def run(options: argparse.Namespace) -> None:
    from searchr2.files import DataError, read_jsonl
    from searchr2.tracking.trajectories import outcome

    files = find(options)
    ids, sets, outcomes = [], set(), set()
    for _, row in chain.from_iterable(map(read_jsonl, files)):
        if (
            options.question in (None, str(row["id"]))
            and options.dataset in (None, row["dataset"])
            and outcome(row).startswith(options.outcome)
        ):
            for line in page(row, shutil.get_terminal_size().columns):
                print(line)
            return
        ids.append(row["id"])
        sets.add(row["dataset"])
        outcomes.add(outcome(row))
    if not ids:
        raise DataError(f"{files[0]}: it is empty")
    there = f"sets: {', '.join(sorted(sets))}; outcomes: {'; '.join(sorted(outcomes))}"
    raise DataError(f"{files[0]}: no such trajectory; ids look like {ids[0]}; {there}")


def find(options: argparse.Namespace) -> list[Path]:
    """The files to look in: of a training run its rollouts, the last ones first."""
    from searchr2.files import DataError
    from searchr2.tracking.folders import PREDICTIONS, find_evaluations
    from searchr2.tracking.record import ROLLOUTS

    given = Path(options.run)
    if given.is_file():
        return [given]
    if rollouts := sorted(given.glob(f"{ROLLOUTS}/*.jsonl"), reverse=True):
        return rollouts
    folders = find_evaluations(options.results, options.run)
    chosen = [folder for folder in folders if options.seed in (None, folder.name)]
    if not chosen:
        there = ", ".join(folder.name for folder in folders)
        raise DataError(f"{options.run}: no {options.seed} (there: {there})")
    return [chosen[0] / PREDICTIONS]


def page(row: Mapping[str, Any], width: int) -> Iterator[str]:
    """The lines to print, ``width`` characters wide where columns stand side by side."""
    from searchr2.tracking.trajectories import outcome

    yield paint("question", f"{row['question']}   [{row['dataset']} {row['id']}]")
    yield paint("gold", " / ".join(row["golden_answers"]))
    for who, text in documents(row.get("context", [])):
        yield paint(who, text)
    drafts, verdicts = row.get("drafts", []), row.get("verdicts", [])
    attempts, kept = [*drafts, row["turns"]], 0
    if not drafts:
        yield from (paint(*said) for said in turns(row["turns"]))
    for n, verdict in enumerate(verdicts):
        if n == len(drafts):
            yield paint("refiner", judgement(verdict))
            break
        cut = verdict["choice"] - 1
        yield from (paint(*said) for said in turns(drafts[n][kept:cut]))
        yield paint("refiner", judgement(verdict))
        yield from side_by_side(turns(drafts[n][cut:]), turns(attempts[n + 1][cut:]), width)
        kept = cut
    yield paint("answer", f"{row['prediction'] or '(none)'}   [{outcome(row)}]")


def turns(rows: Iterable[Mapping[str, Any]]) -> Iterator[Said]:
    """What the Actor wrote and what its searches found."""
    for turn in rows:
        yield "actor", turn["text"].strip()
        if "query" in turn:
            yield from documents(turn["documents"]) or [("evidence", "nothing found")]


def documents(found: Iterable[Mapping[str, Any]]) -> list[Said]:
    return [
        ("evidence", f"{rank}. {d['title']}: {d['text']}") for rank, d in enumerate(found, start=1)
    ]


def judgement(verdict: Mapping[str, Any]) -> str:
    accept, *flawed = verdict["probabilities"]
    steps = ", ".join(f"step {i} {p:.0%}" for i, p in enumerate(flawed, start=1))
    done = "accepted" if verdict["choice"] == 0 else f"cut before step {verdict['choice']}"
    return f"{done}   (accept {accept:.0%}; flawed: {steps})"


def side_by_side(left: Iterable[Said], right: Iterable[Said], width: int) -> Iterator[str]:
    """Two columns of wrapped text, the cut draft and what replaced it."""
    column = max(20, (width - 3) // 2)
    cells = [list(wrapped(said, column)) for said in (left, right)]
    yield f"{'--- draft ':-<{column}} | {'--- repaired ':-<{column}}"
    for (who, one), (other, two) in zip_longest(*cells, fillvalue=("", "")):
        yield f"{colour(who, one.ljust(column))} | {colour(other, two)}"


def wrapped(said: Iterable[Said], column: int) -> Iterator[Said]:
    for who, text in said:
        for line in printable(text).splitlines():
            yield from ((who, part) for part in textwrap.wrap(line, column) or [""])
