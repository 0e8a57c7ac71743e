"""`searchr2 fetch` as a person types it, killed in the middle of a file and typed again."""

import hashlib
import os
import subprocess
import sys
import time

import pytest
from fakes.hub import Fault

CONTENT = bytes(range(256)) * 4000
CATALOGUE = """
[x]
what = "a large file"
repo = "org/name"
type = "dataset"
revision = "{commit}"
folder = "f"
licence = "none"
files = {{ "large.bin" = {{ size = {size}, sha256 = "{sha256}" }} }}
"""


@pytest.mark.e2e
def test_a_fetch_that_is_killed_goes_on_where_it_was(hub, tmp_path):
    commit = hub.commit("org/name", {"large.bin": CONTENT})
    about = {"commit": commit, "size": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest()}
    (tmp_path / "mine.toml").write_text(CATALOGUE.format(**about))
    command = [sys.executable, "-m", "searchr2.cli.main", "fetch"]
    environment = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}

    def typed(*arguments):
        words = [*command, *arguments, "--catalogue", "mine.toml", "--out", "data"]
        return subprocess.Popen(
            words, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    hub.faults["large.bin"] = [Fault(cut=700_000), Fault(drip=0.01)]
    running = typed("x")
    until = time.monotonic() + 60
    while len(hub.ranges("large.bin")) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.communicate(timeout=60)
    [part] = (tmp_path / "data" / "f").glob(".large.bin.*.part")
    kept = part.stat().st_size
    assert kept >= 700_000

    done = typed("x")
    told, errors = done.communicate(timeout=120)
    assert done.returncode == 0, errors.decode()
    assert (tmp_path / "data" / "f" / "large.bin").read_bytes() == CONTENT
    assert hub.ranges("large.bin")[-1] == f"bytes={kept}-"
    assert b"data/f/large.bin: 1.02 MB, sha256 " in told

    listed, _ = typed().communicate(timeout=60)
    assert b"1 of 1 files" in listed
    (tmp_path / "data" / "f" / "large.bin").write_bytes(CONTENT[::-1])
    refused = typed("x", "--verify")
    _, errors = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert errors.startswith(b"searchr2 fetch: data/f/large.bin: wrong checksum")
    assert errors.count(b"\n") == 1
