"""Bars on a terminal, silence elsewhere, and in a workflow the terminal behind the log."""

import os
import subprocess
import sys

BAR = "from searchr2.progress import bar; b = bar(3, 'work', 'steps'); b.update(3); b.close()"
STAGE = f'exec 3>&2; export SEARCHR2_PROGRESS_FD=3; exec {sys.executable} -c "{BAR}" &> log'


def test_a_terminal_shows_a_bar(terminal):
    ours, theirs = terminal
    subprocess.run([sys.executable, "-c", BAR], stderr=theirs, check=True)
    assert "3/3" in os.read(ours, 100_000).decode()


def test_a_stage_of_the_workflow_shows_its_bar_while_its_output_goes_to_a_log(terminal, tmp_path):
    ours, theirs = terminal
    subprocess.run(["bash", "-c", STAGE], stderr=theirs, cwd=tmp_path, check=True)
    assert "3/3" in os.read(ours, 100_000).decode()
    assert (tmp_path / "log").read_text() == ""


def test_without_a_terminal_nothing_is_drawn(tmp_path):
    done = subprocess.run(["bash", "-c", STAGE], capture_output=True, cwd=tmp_path, check=True)
    assert done.stdout == done.stderr == b""
    assert (tmp_path / "log").read_text() == ""
