"""The benchmark script times a workflow, its second call and its dry run."""

import json
import os
import subprocess
import sys

from tests.workflow.conftest import ROOT


def test_a_round_of_two_variants_on_stand_in_stages(project):
    path = f"{project.folder / 'bin'}:{os.environ['PATH']}"
    options = ["--rounds", "1", "--cores", "2", "--variant", "{tracking: {enabled: false}}"]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/table1.py", *options, "--json", "figures.json"],
        cwd=project.folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    [one], [other] = json.loads((project.folder / "figures.json").read_text())["rounds"].values()
    assert one.keys() >= {"whole, s", "peak memory, MiB", "written, MiB", "second call, s"}
    assert min(one["whole, s"], other["dry run, s"], one["peak memory, MiB"]) > 0
    assert "| whole, s | " in done.stdout
    assert not (project.folder / "results").exists()


def test_a_corpus_is_timed(tmp_path):
    options = ["--passages", "2000", "--reads", "50", "--folder", tmp_path]
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks/corpus.py", *options],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "2,000 passages" in done.stdout
    assert done.stdout.count("opened in") == 2
    assert list(tmp_path.iterdir()) == []
