"""Fetch the paper's passages, index, questions and models from the Hugging Face hub.

Without NAME, the catalogue: what there is, how large, and what of it is here. Each repository is
pinned to a commit. Files are checked by sha256 and room is made sure of first; an interrupted fetch
goes on where it stopped. DIR/fetch.lock.json records every commit and checksum and is demanded ever
after. --prepare unpacks the corpus and joins the parts of the index; the sources can go then.

HF_ENDPOINT names a mirror, HTTPS_PROXY a proxy; `hf auth login` is for private repositories.

example: searchr2 fetch questions train
         searchr2 fetch corpus index --prepare --out /large/disk/data
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from searchr2.hub.catalogue import Item


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("names", nargs="*", metavar="NAME", help="items of the catalogue")
    parser.add_argument(
        "--out", type=Path, default=Path("data"), metavar="DIR", help="(%(default)s)"
    )
    parser.add_argument(
        "--prepare", action="store_true", help="also unpack the corpus, join the index"
    )
    parser.add_argument(
        "--verify", action="store_true", help="read and check what is there already"
    )
    parser.add_argument(
        "--catalogue", type=Path, metavar="FILE", help="TOML like src/searchr2/hub/catalogue.toml"
    )


def run(options: argparse.Namespace) -> None:
    from searchr2.config import ConfigError
    from searchr2.hub import catalogue

    items = catalogue.load(options.catalogue or catalogue.SHIPPED)
    if unknown := [name for name in options.names if name not in items]:
        known = ", ".join(items)
        raise ConfigError(f"{', '.join(unknown)}: not in the catalogue, which has {known}")
    if not options.names:
        print(listing(items, options.out))
        return
    from searchr2.hub.fetch import fetch
    from searchr2.hub.remote import Hub

    chosen = {name: items[name] for name in options.names}
    fetch(chosen, options.out, Hub(), options.prepare, options.verify)


def listing(items: dict[str, Item], out: Path) -> str:
    """A line an item: name, size, whether it is under ``out``, what it is."""
    from searchr2.hub.fetch import LOCK
    from searchr2.hub.lock import Lock

    lock = Lock(out / LOCK)
    lines = []
    for name, item in items.items():
        files = [out / item.folder / path for path in lock.paths(item.repo, name) or ()]
        here = sum(file.exists() for file in files)
        state = f"{here} of {len(files)} files" if files else "-"
        size = "-" if (bytes_ := item.size()) is None else f"{bytes_ / 1e9:.1f} GB"
        lines.append(f"{name:<22}{size:>9}  {state:<16}{item.what} ({item.repo})")
    return "\n".join(lines)
