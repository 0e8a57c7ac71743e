"""Fixtures every kind of test may use."""

from pathlib import Path

import pytest

REAL = Path(__file__).resolve().parents[2] / "shared" / "real"


@pytest.fixture(scope="session")
def real() -> Path:
    """A folder of real passages and questions beside the repository, which does not ship them."""
    if not REAL.is_dir():
        pytest.skip("no real passages and questions in ../shared/real")
    return REAL
