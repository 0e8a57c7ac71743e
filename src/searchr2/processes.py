"""Whether another process still lives, and leaving when it does not."""

from __future__ import annotations

import os
import time


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def leave_with(parent: int) -> None:
    """End this process once ``parent`` has died: a killed workflow must leave nobody writing."""
    first = os.getppid()  # ``parent`` itself, or a wrapper; its end shows at once, even unreaped
    while os.getppid() == first and alive(parent):
        time.sleep(0.5)
    os._exit(1)
