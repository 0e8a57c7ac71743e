"""What is evaluated, compared and measured."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import Field

from searchr2.config.method import JudgeModel
from searchr2.config.sections import Section


class Evaluation(Section):
    """Greedy evaluation of the Actor alone (section 5.5)."""

    batch_size: int = Field(128, ge=1)
    """Trajectories in flight at once; part of the record, since batching moves float rounding."""
    refine: bool = False
    """Let the Meta-Refiner work at inference too (off in the paper); after a cut the Actor samples
    at ``rollout.temperature``."""
    bootstrap: int = Field(2000, ge=100)
    """Resamples behind each interval."""


class StepTime(Section):
    """The comparison of step times (Table 5)."""

    runs: list[str] = ["search-r1", "search-r2"]
    """Names in ``runs`` that take turns; the first is what the others are compared with, and all
    are timed from its start."""
    steps: int = Field(12, ge=2)
    """Steps of each, after one that warms up."""


class Gains(Section):
    """The Meta-Refiner's gain, taken apart (section 4): Monte-Carlo on checkpoints of a run.

    With the defaults a checkpoint of the small model takes about 60 to 90 CPU seconds.
    """

    run: str = "search-r2"
    """Whose checkpoints, with the first of ``seeds``; without a Meta-Refiner none are measured."""
    seed: int = 1
    """Questions and every sample are a function of it, the same at each checkpoint."""
    questions: int = Field(140, ge=2)
    """Validation questions asked; standard errors are over these."""
    drafts: int = Field(6, ge=1)
    """Drafts of a question, each shown to the Meta-Refiner."""
    regenerations: int = Field(1, ge=1)
    """Of each draft from each place it could be cut. More drafts narrow the errors sooner."""
    rollouts: int = Field(8, ge=1)
    """Traces of a question that measure the gain itself, apart from all of these."""
    batch_size: int = Field(256, ge=1)
    """Trajectories in flight at once; part of the record, since batching moves float rounding."""


class QualityJudge(JudgeModel):
    """Who compares trajectories."""

    kind: Literal["rules", "local", "http"] = "rules"
    """Formulas over gold supporting titles; a model in this process; a model behind a server."""


class Quality(Section):
    """The comparison of how two rows work, on six rubrics (Table 9, Fig. 4)."""

    rows: tuple[str, str] | None = None
    """The two names in ``rows``; ``None``: nothing is compared."""
    pairs: int = Field(100, ge=1)
    """Questions of each set."""
    seed: int = 1
    """Which questions are drawn, and who of a pair is A."""
    judge: QualityJudge = QualityJudge()


Method = Literal["direct", "cot", "ircot", "search-o1", "rag", "search"]
"""How a question is answered: from the weights, after one retrieval, or by searches of its own."""


METHODS: tuple[str, ...] = get_args(Method)


class Row(Section):
    """A way of answering that is evaluated: who answers, and how."""

    label: str
    method: Method
    checkpoint: str = "base"
    """``base``, ``instruct`` or a name in ``runs``."""
    refine: bool = False
    """Let the Meta-Refiner work at evaluation too (off in the paper)."""
    prompts: dict[str, Any] = {}
    rollout: dict[str, Any] = {}
    """Settings in which it differs from what its checkpoint was trained with."""


class Table(Section):
    """A table of exact match."""

    title: str
    rows: list[str] = Field(min_length=1)
    """Names in ``rows``, top to bottom."""
    over_steps: bool = False
    """A line for every snapshot of a row's training with GRPO, not for its end alone; of what was
    supervised the one line, with no step."""
    compare: list[tuple[str, str]] = []
    """Pairs of rows whose paired difference is printed under the table."""
