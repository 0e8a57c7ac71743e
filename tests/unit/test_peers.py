"""Shares of work among processes, and a single process that asks nobody."""

from __future__ import annotations

import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from searchr2 import processes
from searchr2.training.peers import ALONE, Peers, join


@given(count=st.integers(0, 50), size=st.integers(1, 9))
def test_blocks_are_all_of_it_in_order_and_nearly_alike(count, size):
    blocks = [Peers(rank, size).block(count) for rank in range(size)]
    assert [i for first, last in blocks for i in range(first, last)] == list(range(count))
    lengths = [last - first for first, last in blocks]
    assert max(lengths) - min(lengths) <= 1


def test_alone_a_process_is_told_what_it_says():
    assert ALONE.gather(3) == [3]
    assert ALONE.first_does(lambda: 4) == 4
    assert ALONE.block(7) == (0, 7)
    assert ALONE.first
    ALONE.meet()


def test_without_a_launcher_there_is_one_process(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join() == ALONE
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert join() == ALONE


@pytest.fixture
def started(monkeypatch):
    """The commands that would take this process's place."""
    calls = []
    monkeypatch.setattr(os, "execv", lambda path, command: calls.append(command))
    monkeypatch.setattr(sys, "argv", ["searchr2", "train", "--out", "x"])
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.delenv("SEARCHR2_PARENT", raising=False)
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    return calls


def test_several_processes_are_started_by_torchrun_with_the_same_command(started, monkeypatch):
    processes.become(3)
    [command] = started
    assert command[command.index("--nproc-per-node") + 1] == "3"
    assert command[-5:] == ["--", "searchr2.cli.main", "train", "--out", "x"]
    assert os.environ.pop("SEARCHR2_PARENT") == str(os.getpid())


def test_one_process_or_a_launcher_of_ones_own_starts_nothing(started, monkeypatch):
    processes.become(1)
    monkeypatch.setenv("WORLD_SIZE", "16")
    processes.become(8)
    assert started == []
