"""What the method runs on: DeepSpeed, LoRA, rollout servers, and the mirror of the record."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from searchr2.config.sections import Section


class Deepspeed(Section):
    """How the update runs (docs/training.md)."""

    processes: int = Field(1, ge=1)
    """Processes on this machine, one a GPU; under a launcher of your own, as many as it starts."""
    zero_stage: Literal[0, 1, 2, 3] | None = None
    """What ZeRO splits over the processes: 1 optimizer states, 2 gradients too, 3 weights too.

    ``None`` here and below: as ``config`` has it; without one 0, under bf16 1, and the others off.
    """
    bf16: bool | None = None
    """Weights and passes in bfloat16, the optimizer's own copy in fp32."""
    offload_optimizer: bool | None = None
    """Keep optimizer states in the CPU's memory (from stage 1 on)."""
    offload_parameters: bool | None = None
    """Keep weights in the CPU's memory while they are not needed (stage 3)."""
    activation_checkpointing: bool = False
    """Compute activations again in the backward pass, to save their memory."""
    config: str | None = None
    """A JSON file of DeepSpeed's own settings; one that contradicts ours is refused."""


class Lora(Section):
    """Low-rank adapters, trained in place of the weights and merged into them on export."""

    rank: int | None = Field(None, ge=1)
    """Rank of the adapters, as 16; ``None``: the weights themselves are trained."""
    alpha: float = Field(32, gt=0)
    """The adapters' product is scaled by alpha / rank."""
    targets: list[str] = []
    """Names of the layers that get one, as q_proj; none: every linear layer but the output."""


class Engine(Section):
    """Who samples: the model in this process, or servers that are given its weights."""

    kind: Literal["local", "vllm", "sglang"] = "local"
    """This process, by transformers; vLLM or SGLang servers (docs/engines.md)."""
    max_rows: int = Field(256, ge=1)
    """``local``: trajectories decoded at once, each with its keys and values in memory."""
    urls: list[Annotated[str, Field(pattern=r"^https?://[^@\s]+$")]] = []
    """``vllm``, ``sglang``: addresses of servers of the same model, as http://127.0.0.1:8000."""
    api_key_env: str | None = Field(None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    """The environment variable that holds the servers' key, which itself is written nowhere."""
    snapshots: str | None = None
    """Where versions of the weights are written, a folder that the servers see under the same path;
    ``None`` is ``state/weights`` of the run's own record."""
    keep: int = Field(2, ge=1)
    """Versions that stay there."""
    timeout: float = Field(600, gt=0)
    """Seconds until an attempt of a request is given up."""
    load_timeout: float = Field(1800, gt=0)
    """The same for loading weights."""
    retries: int = Field(3, ge=0)
    """Further attempts, after pauses of 1, 2, 4 ... seconds, more or less."""
    concurrency: int = Field(256, ge=1)
    """Requests under way at each server."""

    @model_validator(mode="after")
    def _reachable(self) -> Engine:
        if self.kind != "local" and not self.urls:
            raise ValueError(f"an engine of kind {self.kind} needs urls")
        return self


class Tracking(Section):
    """The MLflow mirror of the record under the results folder."""

    enabled: bool = True
    uri: str | None = None
    """A tracking server; ``None`` is a sqlite store in the results folder.

    User name and password are read from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
    """
    experiment: str = "search-r2"
    traces: int = Field(2, ge=0)
    """Trajectories shown in MLflow of each set and of each kind of outcome; files hold them all."""

    @field_validator("uri")
    @classmethod
    def _no_secret(cls, uri: str | None) -> str | None:
        if re.search("://[^/].*@", uri or ""):
            raise ValueError(
                "a user name or password here would be kept with the results; leave it out and set"
                " the variables MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
            )
        return uri
