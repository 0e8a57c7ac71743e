"""Time a corpus of wiki-18's length: finding its passages once, opening it, reading it by row.

Writes a synthetic corpus of --passages rows of about --row bytes to a temporary file, finds its
passages, and then opens and reads it in a process of its own, after the kernel was asked to forget
both files. Opening does not depend on how long the rows are, only on how many; finding the passages
goes by bytes: its rate is printed beside what it makes of the 14.4 GB of wiki-18.

  python benchmarks/corpus.py
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WIKI_18 = 14_393_573_105
"""Bytes of wiki-18.jsonl, 21,015,324 passages."""

READER = """
import json, os, random, resource, sys, time
from pathlib import Path
from searchr2.passages import PassageFile
def megabytes():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
path, reads = Path(sys.argv[1]), int(sys.argv[2])
before, start = megabytes(), time.perf_counter()
passages = PassageFile(path)
opened, after = time.perf_counter() - start, megabytes()
rows = random.Random(0).choices(range(len(passages)), k=reads)
start = time.perf_counter()
assert all(passages[row].id == str(row) for row in rows)
read = time.perf_counter() - start
print(json.dumps([len(passages), opened, after - before, read, megabytes() - before]))
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--passages", type=int, default=21_015_324)
    parser.add_argument("--row", type=int, default=120, help="bytes of a row, about (%(default)s)")
    parser.add_argument("--reads", type=int, default=20_000, help="passages read at random")
    parser.add_argument("--folder", type=Path, default=None, help="where the disk has room")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        path = Path(folder, "corpus.jsonl")
        write(path, options.passages, options.row)
        measure(path, options.reads)
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f} before it began")


def write(path: Path, passages: int, row: int) -> None:
    text = "word " * (max(row - 60, 5) // 5)
    with path.open("w", buffering=1 << 20) as file:
        for at in range(passages):
            file.write(f'{{"id": "{at}", "contents": "\\"Title {at}\\"\\n{text}"}}\n')


def measure(path: Path, reads: int) -> None:
    from searchr2.passages import PassageFile

    size = path.stat().st_size
    forget(path)
    start = time.perf_counter()
    with PassageFile(path) as passages:
        count, offsets = len(passages), passages.offsets_path
    found = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{count:,} passages, {size / 1e9:.2f} GB, offsets {offsets.stat().st_size / 1e6:.0f} MB")
    print(
        f"finding them, once: {found:.1f} s, {size / found / 1e9:.2f} GB/s, peak memory"
        f" {peak:.0f} MiB; at this rate wiki-18 takes {WIKI_18 * found / size:.0f} s"
    )
    for path_ in (path, offsets):
        forget(path_)
    for state in ("files forgotten", "files in the page cache"):
        done = subprocess.run(
            [sys.executable, "-c", READER, path, str(reads)],
            capture_output=True,
            text=True,
            check=True,
        )
        _, opened, held, read, later = map(float, done.stdout.strip("[]\n").split(","))
        print(
            f"{state}: opened in {1000 * opened:.1f} ms with {held:.1f} MiB more memory;"
            f" {1e6 * read / reads:.0f} us a passage read at random, {later:.1f} MiB more after"
            f" {reads:,}"
        )


def forget(path: Path) -> None:
    """Ask the kernel to drop what it keeps of a file in memory."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


if __name__ == "__main__":
    main()
