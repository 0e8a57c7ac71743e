"""Whether another process still lives, leaving when it does not, and starting several at once."""

from __future__ import annotations

import os
import sys
import time

PARENT = "SEARCHR2_PARENT"
"""Environment variable: the process whose end ends this one."""
_STARTER = os.getppid()  # that process, or a wrapper; its end shows at once, even unreaped


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def abandoned() -> bool:
    """Whether the workflow or launcher that this process works for has died."""
    parent = os.environ.get(PARENT)
    return parent is not None and (os.getppid() != _STARTER or not alive(int(parent)))


def leave_when_abandoned() -> None:
    """End this process once that is so: a killed workflow must leave nobody writing."""
    while not abandoned():
        time.sleep(0.5)
    os._exit(1)


def become(processes: int) -> None:
    """Give this process's place to ``processes`` of them, which run the same command.

    torchrun starts them on this machine and ends them together. Returns where one is enough, or a
    launcher has started this one already.
    """
    if processes == 1 or "WORLD_SIZE" in os.environ:
        return
    os.environ.setdefault(PARENT, str(os.getpid()))  # they leave when it is killed
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    several = ["--standalone", "--nproc-per-node", str(processes)]
    torchrun = [sys.executable, "-m", "torch.distributed.run", *several]
    sys.stderr.flush()
    command = ["-m", "--", "searchr2.cli.main", *sys.argv[1:]]  # after -- no option is torchrun's
    os.execv(sys.executable, [*torchrun, *command])
