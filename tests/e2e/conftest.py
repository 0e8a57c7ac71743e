"""The towns, and what undisturbed stages make of them, once a session."""

import pytest

from tests.e2e.stages import Stages, finish


@pytest.fixture(scope="session")
def stages(tmp_path_factory):
    """Index and tokenizer are there."""
    pytest.importorskip("deepspeed")
    return Stages(tmp_path_factory.mktemp("towns") / "results")


@pytest.fixture(scope="session")
def base(stages):
    """The base model's record."""
    finish(stages.base(stages.results / "base"))
    return stages.results / "base"


@pytest.fixture(scope="session")
def trained(stages, base):
    """The record of a run on that base."""
    record = stages.results / "train" / "search-r2" / "seed1"
    finish(stages.train(record))
    return record


@pytest.fixture(scope="session")
def evaluated(stages, trained):
    """The record of its evaluation."""
    record = stages.results / "evaluate" / "search-r2" / "seed1"
    finish(stages.evaluate(trained, record))
    return record
