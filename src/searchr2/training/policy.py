"""The weights under DeepSpeed: one model, one optimizer, losses accumulated over micro-batches.

The only module that imports deepspeed. One process on CPU needs no launcher; under `deepspeed` or
`torchrun` the same code runs on more.
"""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch

from searchr2.files import write_json
from searchr2.training.peers import ALONE, Peers

_ONE_PROCESS = {
    "RANK": "0",
    "LOCAL_RANK": "0",
    "WORLD_SIZE": "1",
    "MASTER_ADDR": "127.0.0.1",
    "MASTER_PORT": "0",
}
B = TypeVar("B")
JSON = dict[str, Any]


class Policy:
    """pi: the language model both roles share, and how it is updated.

    Every process holds one and calls its methods alike; what differs is the batches they bring.
    """

    def __init__(
        self,
        model: Any,
        settings: JSON,
        peers: Peers = ALONE,
        activation_checkpointing: bool = False,
    ) -> None:
        """``settings`` are DeepSpeed's own (``deepspeed_json``); it takes ``model`` over."""
        deepspeed = _import_deepspeed()
        self.settings, self.peers = settings, peers
        if not settings["bf16"]["enabled"]:  # under bf16 the optimizer has weights of its own
            _cast(model, torch.float32)  # steps as small as GRPO's would be rounded away
        if activation_checkpointing:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.engine, *_ = deepspeed.initialize(
            model=model,
            model_parameters=[p for p in model.parameters() if p.requires_grad],
            config=copy.deepcopy(settings),
        )

    @property
    def model(self) -> Any:
        """The transformers model; under ZeRO-3 it is whole only inside ``gathered``."""
        return self.engine.module

    @property
    def device(self) -> torch.device:
        return torch.device(self.engine.device)

    @property
    def updates(self) -> int:
        """Optimizer steps so far, those before a restart too."""
        return int(self.engine.global_steps)

    @property
    def parts(self) -> int:
        """In how many parts a checkpoint lies, which only as many processes can read again."""
        return self.peers.size if _stage(self.settings) else 1

    @contextmanager
    def gathered(self) -> Iterator[Any]:
        """``model`` whole in every process, and free of hooks.

        Each may then run it as often as it likes, to generate at lengths of its own or to save it.
        """
        if _stage(self.settings) < 3:
            yield self.model
            return
        from deepspeed.runtime.zero import unwrap_model_for_generation

        with unwrap_model_for_generation(self.engine), torch.no_grad():
            yield self.model

    def update(
        self,
        batches: Iterable[B],
        loss: Callable[[torch.nn.Module, B], torch.Tensor],
        learning_rate: float,
    ) -> tuple[float, float]:
        """One optimizer step on the sum of ``loss`` over the micro-batches of all processes.

        ``loss`` is already normalised by the whole mini-batch, and each process brings the same
        number of batches. Returns this process's part of the sum, and the gradient's norm before
        clipping.
        """
        self.engine.train()
        total = 0.0
        for group in self.engine.optimizer.param_groups:
            group["lr"] = learning_rate
        for batch in batches:
            value = loss(self.engine, batch)
            total += float(value.detach())
            # DeepSpeed takes the mean over processes
            self.engine.backward(value * self.peers.size, scale_wrt_gas=False)
        own = self._plain_grad_norm()
        self.engine.step()
        norm = self.engine.get_global_grad_norm()
        return total, own if norm is None else float(norm)

    def save(self, folder: Path) -> None:
        """Weights and optimizer state, in DeepSpeed's own layout, under ``folder``."""
        if self.peers.first:
            write_json(folder / "ds_config.json", self.settings)
        self.engine.save_checkpoint(
            str(folder), tag="deepspeed", save_latest=False, exclude_frozen_parameters=True
        )

    def load(self, folder: Path) -> None:
        """Restore what ``save`` wrote. The caller has verified the folder's manifest."""
        frozen = any(not p.requires_grad for p in self.model.parameters())
        path, _ = self.engine.load_checkpoint(
            str(folder), tag="deepspeed", load_module_strict=not frozen
        )
        if path is None:
            raise RuntimeError(f"{folder}: DeepSpeed found no checkpoint in it")

    def export(self, folder: Path, weights: Callable[[Any], Any] = lambda model: None) -> None:
        """Save the model, or the state dict that ``weights`` makes of it, for transformers."""
        with self.gathered() as model:
            if self.peers.first:
                model.save_pretrained(folder, state_dict=weights(model))

    def _plain_grad_norm(self) -> float:
        """The gradient's norm in plain data parallelism; ZeRO reports it itself."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        if _stage(self.settings) or not gradients:
            return 0.0
        if self.peers.size > 1:
            mean = torch.cat([gradient.flatten() for gradient in gradients]) / self.peers.size
            torch.distributed.all_reduce(mean)
            gradients = [mean]
        return float(torch.nn.utils.get_total_norm(gradients))

    def close(self) -> None:
        """Leave the process group: DeepSpeed makes no other policy in this process."""
        self.engine.destroy()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def frozen_copy(model: torch.nn.Module, settings: JSON) -> torch.nn.Module:
    """pi_ref: ``model`` as it is now, never updated, in the precision the policy will have.

    Under ZeRO-3 it is split over the processes too, which then run it in step.
    """
    reference = copy.deepcopy(model).eval().requires_grad_(False)
    _cast(reference, torch.bfloat16 if settings["bf16"]["enabled"] else torch.float32)
    if _stage(settings) < 3:
        return reference
    deepspeed = _import_deepspeed()
    zero = {k: v for k, v in settings["zero_optimization"].items() if k != "offload_optimizer"}
    kept = ("bf16", "train_micro_batch_size_per_gpu")
    chosen = {key: settings[key] for key in kept} | {"zero_optimization": zero}
    engine, *_ = deepspeed.initialize(model=reference, config=chosen)
    return engine  # type: ignore[no-any-return]


def _stage(settings: JSON) -> int:
    return int(settings["zero_optimization"]["stage"])


def _cast(model: torch.nn.Module, precision: torch.dtype) -> None:
    """Parameters alone, as DeepSpeed does: a rotary table in bfloat16 would blur positions."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(precision)


def _import_deepspeed() -> Any:
    """DeepSpeed, told before its import which accelerator and which single process it has."""
    if not torch.cuda.is_available():
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("DS_LOG_LEVEL", "error")
    # said of DeepSpeed's own collectives, at each of them
    warnings.filterwarnings("ignore", "`torch.distributed", FutureWarning)
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
