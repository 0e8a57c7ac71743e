"""Fixtures every kind of test may use."""

import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from fakes.hub import FakeHub
from hypothesis import settings

settings.register_profile("untimed", deadline=None)  # a busy machine is no failure
settings.load_profile("untimed")
REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """A folder of real passages and questions beside the repository, which does not ship them."""
    if not REAL.is_dir():
        pytest.skip("no real passages and questions in ../shared/real")
    return REAL


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """Two ends of a terminal of 80 by 24: what is drawn on the second is read from the first."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    yield ours, theirs
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def no_pauses(monkeypatch) -> None:
    """Servers are asked again at once."""
    monkeypatch.setattr("searchr2.servers.PAUSES", lambda attempt: 0)


@pytest.fixture
def hub(monkeypatch) -> Iterator[FakeHub]:
    """A Hugging Face hub on loopback, whatever proxy and switches the environment has."""
    huggingface_hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    huggingface_hub.close_session()
    served = FakeHub()
    yield served
    served.stop()
    huggingface_hub.close_session()
