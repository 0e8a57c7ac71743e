"""Items of the catalogue onto the disk: listed, room made sure of, downloaded, checked, locked."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath

from searchr2.hub.catalogue import File, Item
from searchr2.hub.download import Wanted, check, download
from searchr2.hub.lock import FetchError, Lock
from searchr2.hub.products import is_made, make
from searchr2.hub.remote import Hub, RemoteFile
from searchr2.tracking.lock import exclusive

LOCK = "fetch.lock.json"


def fetch(
    items: Mapping[str, Item], out: Path, hub: Hub, prepare: bool = False, verify: bool = False
) -> None:
    """Have the files of ``items`` under ``out``; with ``prepare`` also what they are made into.

    What is there is not fetched again; ``verify`` reads and checks it. Raises ``FetchError``: no
    room, nothing like it on the hub, other bytes than demanded, a server that does not answer.
    """
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(out / ".fetch.lock"):
        lock = Lock(out / LOCK)
        wanted = {name: wanted_files(name, item, out, lock, hub) for name, item in items.items()}
        to_fetch = {
            name: [] if _spared(items[name], out, verify) else files
            for name, files in wanted.items()
        }
        _make_sure_of_room(items, to_fetch, out, prepare)
        for name, files in to_fetch.items():
            for file in files:
                _have(file, lock, hub, verify)
            product, folder = items[name].makes, out / items[name].folder
            if product and is_made(product, folder):
                print(f"{folder / product.name}: there")
            elif product and prepare:
                make(product, [file.target for file in files], folder)
                print(f"{folder / product.name}: made")


def wanted_files(name: str, item: Item, out: Path, lock: Lock, hub: Hub) -> list[Wanted]:
    """The files of an item at its commit, which is locked from then on.

    The hub is asked for its listing only where the lock file does not know the files already.
    """
    revision = lock.revision(item.repo, item.revision)
    paths = lock.paths(item.repo, name) or []
    known = {path: lock.file(item.repo, path) for path in paths}
    if revision and all(known.values()) and all(_matching(item.files, paths).values()):
        remote = [RemoteFile(path, *held, None) for path, held in known.items() if held]
    else:
        revision, remote = hub.listing(item.repo, item.type, revision)
    by_path = {file.path: file for file in remote}
    found: dict[str, Wanted] = {}
    for pattern, matches in _matching(item.files, by_path).items():
        if not matches:
            raise FetchError(f"{name}: {item.repo} has no file {pattern} in commit {revision}")
        for path in matches:
            _demand(by_path[path], item.files[pattern], lock.file(item.repo, path), item.repo)
            target = out / item.folder / path
            file = by_path[path]
            sha256 = file.sha256 or item.files[pattern].sha256
            found[path] = Wanted(
                item.repo, item.type, revision, path, target, file.size, sha256, file.blob
            )
    lock.pin(item.repo, revision)
    lock.list(item.repo, name, sorted(found))
    return list(found.values())


def _matching(files: Mapping[str, File], paths: Iterable[str]) -> dict[str, list[str]]:
    """Pattern -> the paths it fits, in its own folder and in no other place."""
    safe = [path for path in paths if not {"..", "/", ""} & {*PurePosixPath(path).parts}]
    return {
        pattern: sorted(
            path
            for path in safe
            if fnmatchcase(path, pattern) and path.count("/") == pattern.count("/")
        )
        for pattern in files
    }


def _demand(file: RemoteFile, must: File, held: tuple[int, str] | None, repo: str) -> None:
    """Refuse a file that the hub lists otherwise than the catalogue or the lock file has it."""
    for whose, size, sha256 in (
        ("the catalogue", must.size, must.sha256),
        ("the lock file", *(held or (None, None))),
    ):
        other_size = size is not None and size != file.size
        other_sum = sha256 and file.sha256 and sha256 != file.sha256
        if other_size or other_sum:
            raise FetchError(
                f"{repo}, {file.path}: the hub lists {file.size} bytes, sha256 {file.sha256};"
                f" {whose} demands {size} bytes, sha256 {sha256}. Do not use it before it is clear"
                " which is right"
            )


def _spared(item: Item, out: Path, verify: bool) -> bool:
    """Whether what an item makes is there, so that its sources may have been deleted."""
    return item.makes is not None and not verify and is_made(item.makes, out / item.folder)


def _make_sure_of_room(
    items: Mapping[str, Item], wanted: Mapping[str, list[Wanted]], out: Path, prepare: bool
) -> None:
    missing = {file.target: file.missing() for files in wanted.values() for file in files}
    products = 0
    for name, files in wanted.items():
        product = items[name].makes
        if prepare and product and not is_made(product, out / items[name].folder):
            products += product.size or sum(file.size for file in files)
    needed, free = sum(missing.values()) + products, shutil.disk_usage(out).free
    if needed > free:
        raise FetchError(
            f"{out}: {_gigabytes(needed)} are needed ({_gigabytes(products)} of them for what is"
            f" made of the files), {_gigabytes(free)} are free; give --out a larger disk"
        )


def _have(file: Wanted, lock: Lock, hub: Hub, verify: bool) -> None:
    """Fetch ``file`` where it is not there, check it where nobody has, and lock what it is."""
    held = lock.file(file.repo, file.path)
    if not file.target.exists():
        sha256, said = download(file, hub), "fetched"
    elif file.target.stat().st_size != file.size:
        raise FetchError(
            f"{file.target}: {file.target.stat().st_size} bytes instead of {file.size}; it is not"
            " the file of this commit: move it away"
        )
    elif held and not verify:
        sha256, said = held[1], "there"
    else:
        sha256, said = check(file, file.target), "checked"
    if held and held[1] != sha256:
        raise FetchError(f"{file.target}: sha256 {sha256}, the lock file demands {held[1]}")
    lock.record(file.repo, file.path, file.size, sha256)
    print(f"{file.target}: {_gigabytes(file.size)}, sha256 {sha256[:16]}, {said}", flush=True)


def _gigabytes(size: float) -> str:
    return f"{size / 1e9:.2f} GB" if size >= 1e7 else f"{size / 1e6:.2f} MB"
