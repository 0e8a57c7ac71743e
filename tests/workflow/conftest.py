"""A copy of the workflow in a folder of its own, with a stand-in for the stages."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ["Snakefile", "config.yaml", "workflow", "profiles", "configs", "envs"]


class Project:
    """A folder to run snakemake in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for part in PARTS:
            copy = shutil.copytree if (ROOT / part).is_dir() else shutil.copy
            copy(ROOT / part, folder / part)
        stage = folder / "bin" / "searchr2"
        stage.parent.mkdir()
        stand_in = Path(__file__).with_name("stand_in.py").read_text()
        stage.write_text(f"#!{sys.executable}\n{stand_in}")
        stage.chmod(0o755)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        path = f"{self.folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", *arguments],
            cwd=self.folder,
            env={**os.environ, "PATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )

    def snakemake(self, *arguments: str) -> tuple[int, str]:
        """Exit status and output of one call."""
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=100)
        return process.returncode, output

    def calls(self) -> list[str]:
        """The stages called since this was last asked."""
        path = self.folder / "calls"
        called = path.read_text().split() if path.exists() else []
        path.unlink(missing_ok=True)
        return sorted(set(called) - {"sync"})


@pytest.fixture
def project(tmp_path) -> Project:
    return Project(tmp_path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Project:
    """A project whose whole workflow has run."""
    project = Project(tmp_path_factory.mktemp("finished"))
    status, output = project.snakemake("--cores", "2")
    assert status == 0, output
    return project
