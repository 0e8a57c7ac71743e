"""The processes that train together: which one this is, and what they tell each other.

Started by `torchrun`, `deepspeed` or whatever else sets RANK and WORLD_SIZE. What is told here goes
through the machines' memory and network, never through the GPUs, and only at points that all
processes reach; gradients are DeepSpeed's business.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

PATIENCE = timedelta(hours=12)
"""How long one waits for another, whose rollouts may be longer. A launcher ends all with one."""
T = TypeVar("T")


@dataclass(frozen=True)
class Peers:
    """This process, number ``rank`` of ``size``; ``group`` is what they speak through."""

    rank: int = 0
    size: int = 1
    group: Any = None

    @property
    def first(self) -> bool:
        """Whether it is this process that writes what is written once."""
        return self.rank == 0

    def block(self, count: int) -> tuple[int, int]:
        """Start and end of this process's share of so many things, in one run.

        Of 5 things among 2: 0 to 2, and 2 to 5.
        """
        return self.rank * count // self.size, (self.rank + 1) * count // self.size

    def gather(self, value: T) -> list[T]:
        """The value of every process, in their order."""
        if self.size == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value, group=self.group)
        return values

    def first_does(self, work: Callable[[], T]) -> T:
        """What ``work`` returns to the first process; the others wait, and are told."""
        if self.size == 1:
            return work()
        import torch.distributed as dist

        told = [work() if self.first else None]
        dist.broadcast_object_list(told, src=0, group=self.group)
        return told[0]  # type: ignore[return-value]

    def meet(self) -> None:
        """Return when all have come here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier(group=self.group)


ALONE = Peers()


def join() -> Peers:
    """The processes this one was started with; itself alone where no launcher speaks of others."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        return ALONE
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    if not dist.is_initialized():
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        dist.init_process_group(backend)
    return Peers(dist.get_rank(), size, dist.new_group(backend="gloo", timeout=PATIENCE))
