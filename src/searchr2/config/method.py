"""The method: prompts, rollouts, Meta-Refiner, reward, judge, GRPO."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from searchr2.config.sections import Section


class Prompts(Section):
    """Prompt templates: ``default`` (instruct models), ``brief`` (the small model), or a folder."""

    templates: str = "brief"
    """Name of a shipped set, or a folder with the same file names."""
    chat: bool = False
    """Wrap the prompt as a user turn of the tokenizer's chat template."""


class Rollout(Section):
    """Limits of a trajectory (Algorithm 2, Appendix E)."""

    max_turns: int = Field(5, ge=1)
    """B: assistant turns, the answering one included. The paper has 4; four hops need 5."""
    max_turn_tokens: int = Field(64, ge=1)
    """Tokens the Actor may write in one turn."""
    max_document_tokens: int = Field(64, ge=1)
    """Tokens of a passage that are shown; longer ones are cut, tags stay closed."""
    max_prompt_tokens: int = Field(4096, ge=1)
    """Longer prompts are left out of training; nothing truncates a prompt."""
    max_context_tokens: int = Field(1024, ge=1)
    """Of prompt, turns and passages; where it is full a turn is cut off, and none is started."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature in training. Evaluation is greedy, but for what follows a cut there."""


class Refiner(Section):
    """The Meta-Refiner (section 3.2, Algorithm 1, Appendices E and L)."""

    max_revisions: int = Field(1, ge=0)
    """N_max; 0 turns the Meta-Refiner off."""
    margin: float = 0.0
    """Revise when log p(revise) - log p(accept) exceeds this."""
    trim: Literal["sample", "argmax"] = "sample"
    """How the Trimmer chooses the flawed step from p(1..T)."""
    joint: bool = True
    """Whether meta-action tokens carry loss (joint optimisation, section 3.4)."""
    oracle: bool = False
    """Verdicts by gold evidence in place of the model's: an upper bound, not a method."""

    @model_validator(mode="after")
    def _own_verdicts(self) -> Refiner:
        if self.oracle and self.joint:
            raise ValueError("an oracle's verdicts are not the policy's to learn: set joint: false")
        return self


class Reward(Section):
    """The hybrid reward (section 3.3)."""

    process: bool = True
    """Multiply EM by 1 + density of useful evidence; off, the reward is EM."""


class JudgeModel(Section):
    """A language model that judges, greedily: in this process, or behind a server."""

    kind: str
    model: str | None = None
    """``local``: a ``save_pretrained`` folder or hub id; ``http``: its name on the server."""
    url: str | None = Field(None, pattern=r"^https?://[^@\s]+$")
    """``http``: where an OpenAI-compatible API begins, as ``http://127.0.0.1:8000/v1``."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """``http``: the environment variable that holds the key, which itself is written nowhere."""
    templates: str = "default"
    """Name of a shipped set of prompts, or a folder with the same file names."""
    chat: bool = True
    """``local``: wrap the prompt as a user turn of the chat template (a server does so itself)."""
    max_tokens: int = Field(3000, ge=1)
    """Longest reply (Appendix K); one that is cut off there is no verdict."""
    timeout: float = Field(120.0, gt=0)
    """``http``: seconds until an attempt is given up."""
    retries: int = Field(5, ge=0)
    """``http``: further attempts, after pauses of 1, 2, 4 ... seconds, more or less."""
    concurrency: int = Field(16, ge=1)
    """Prompts that are read at the same time."""

    @model_validator(mode="after")
    def _reachable(self) -> JudgeModel:
        needed = {"local": ("model",), "http": ("url", "model")}.get(self.kind, ())
        if missing := [key for key in needed if not getattr(self, key)]:
            raise ValueError(f"a judge of kind {self.kind} needs {' and '.join(missing)}")
        return self


class Judge(JudgeModel):
    """Who counts the useful collections of the process reward (Appendix K)."""

    kind: Literal["evidence", "local", "http"] = "evidence"
    """Gold supporting titles; a model in this process; a model behind a server."""


class Grpo(Section):
    """Group-relative policy optimisation (section 3.4; values of Appendix E where given)."""

    steps: int = Field(24, ge=1)
    prompts_per_step: int = Field(24, ge=1)
    group_size: int = Field(5, ge=2)
    """G: rollouts of a prompt."""
    learning_rate: float = Field(5e-4, gt=0)
    warmup_ratio: float = Field(0.1, ge=0, le=1)
    clip: float = Field(0.2, gt=0)
    """PPO clip; the paper does not state it, 0.2 is verl's default."""
    kl_coefficient: float = Field(0.001, ge=0)
    """Weight of the k3 KL to the reference policy, in the loss."""
    max_grad_norm: float = Field(1.0, gt=0)
    updates_per_step: int = Field(1, ge=1)
    """Mini-batches a step's traces are split into; 1 is the paper's one update a step."""
    importance_cap: float | None = Field(None, gt=0)
    """Truncated importance sampling: weigh each token by min(p trainer / p sampler, this), as 2."""
    micro_batch_tokens: int = Field(8192, ge=128)
    """Padded tokens of one forward and backward pass (memory, not method)."""
    validate_every: int = Field(4, ge=1)
    checkpoint_every: int = Field(4, ge=1)
    snapshot_every: int = Field(8, ge=1)
    """Steps after which the weights are kept for good, to be evaluated (Fig. 5)."""
