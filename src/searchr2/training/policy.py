"""The weights under DeepSpeed: one model, one optimizer, losses accumulated over micro-batches.

The only module that imports deepspeed. One process on CPU needs no launcher; under `deepspeed` or
`torchrun` the same code runs on more.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import torch

from searchr2.config import Deepspeed

_ONE_PROCESS = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "0",
}
B = TypeVar("B")


class Policy:
    """pi: the language model both roles share, and how it is updated."""

    def __init__(
        self,
        model: torch.nn.Module,
        settings: Deepspeed,
        max_grad_norm: float,
        weight_decay: float = 0.0,
        beta2: float = 0.999,
    ) -> None:
        deepspeed = _import_deepspeed()
        self.engine, *_ = deepspeed.initialize(
            model=model,
            model_parameters=list(model.parameters()),
            config=_deepspeed_config(settings, max_grad_norm, weight_decay, beta2),
        )

    @property
    def model(self) -> Any:
        """The transformers model, for the local engine to sample from."""
        return self.engine.module

    @property
    def device(self) -> torch.device:
        return torch.device(self.engine.device)

    def update(
        self,
        batches: Iterable[B],
        loss: Callable[[torch.nn.Module, B], torch.Tensor],
        learning_rate: float,
    ) -> tuple[float, float]:
        """One optimizer step on the sum of ``loss`` over micro-batches.

        ``loss`` is already normalised by the whole mini-batch. Returns that sum, and the gradient's
        norm before clipping.
        """
        self.engine.train()
        total = 0.0
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        for batch in batches:
            value = loss(self.engine, batch)
            total += float(value.detach())
            self.engine.backward(value, scale_wrt_gas=False)
        own = self._local_grad_norm()
        self.engine.step()
        norm = self.engine.get_global_grad_norm()
        return total, own if norm is None else float(norm)

    def save(self, folder: Path) -> None:
        """Weights and optimizer state, in DeepSpeed's own layout, under ``folder``."""
        self.engine.save_checkpoint(str(folder), tag="deepspeed", save_latest=False)

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote. The caller has verified the folder's manifest."""
        path, _ = self.engine.load_checkpoint(str(folder), tag="deepspeed")
        if path is None:
            raise RuntimeError(f"{folder}: DeepSpeed found no checkpoint in it")

    def _local_grad_norm(self) -> float:
        """This process's own norm; ZeRO reports the global one, plain data parallelism none."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        return float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0

    def close(self) -> None:
        """Leave the process group: DeepSpeed makes no other policy in this process."""
        self.engine.destroy()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _import_deepspeed() -> Any:
    """DeepSpeed, told before its import which accelerator and which single process it has."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    if "RANK" not in os.environ:
        os.environ.update(_ONE_PROCESS)
    import deepspeed
    import deepspeed.ops

    if not torch.cuda.is_available():
        # gloo serves the CPU processes of one machine; the shared-memory op would first be compiled
        # for a minute
        deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.utils.logger.setLevel("ERROR")
    return deepspeed


def _deepspeed_config(
    settings: Deepspeed, max_grad_norm: float, weight_decay: float, beta2: float
) -> dict[str, Any]:
    """DeepSpeed's own JSON.

    Micro-batches are ours (their number varies with lengths), so accumulation is left to the
    caller; torch's AdamW needs no compiler.
    """
    adam = {"lr": 0.0, "weight_decay": weight_decay, "torch_adam": True, "betas": [0.9, beta2]}
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": max_grad_norm,
        "optimizer": {"type": "AdamW", "params": adam},
        "bf16": {"enabled": settings.bf16},
        "zero_optimization": {"stage": settings.zero_stage},
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
    }
