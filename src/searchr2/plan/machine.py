"""The machines a plan is for: this one as it is, or ones that are described."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from searchr2.config import ConfigError

GIB = 1 << 30


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU: usable memory in bytes, dense bf16 FLOP/s, bytes/s of its memory."""

    name: str
    memory: float
    flops: float
    bandwidth: float


GPUS = {
    gpu.name: gpu
    for gpu in (
        Gpu("l4-24", 22.2 * GIB, 121e12, 0.30e12),
        Gpu("rtx4090-24", 23.6 * GIB, 165e12, 1.01e12),
        Gpu("a10-24", 22.1 * GIB, 125e12, 0.60e12),
        Gpu("a100-40", 39.4 * GIB, 312e12, 1.56e12),
        Gpu("l40s-48", 44.4 * GIB, 362e12, 0.86e12),
        Gpu("a100-80", 79.3 * GIB, 312e12, 2.04e12),
        Gpu("h100-80", 79.2 * GIB, 989e12, 3.35e12),
        Gpu("h200-141", 139.8 * GIB, 989e12, 4.80e12),
    )
}
"""By name: data-sheet speeds without sparsity, and about what a driver shows of the memory."""
UNKNOWN = Gpu("unknown", 0, 100e12, 0.6e12)
"""Speeds assumed of a GPU that is not in the table."""


@dataclass(frozen=True)
class Machine:
    """``nodes`` machines alike; RAM in bytes of each, disk in bytes of what they share."""

    nodes: int
    gpus: int
    """Of each node."""
    gpu: Gpu | None
    cores: int
    ram: float
    disk: float

    @property
    def processes(self) -> int:
        """One a GPU, of all nodes together; without a GPU one."""
        return max(1, self.nodes * self.gpus)

    def says(self) -> str:
        cards = f"{self.gpus} x {self.gpu.name}" if self.gpu else f"{self.cores} cores and no GPU"
        ram, disk = f"{self.ram / GIB:,.1f} GiB of RAM", f"{self.disk / 1e9:,.0f} GB of free disk"
        nodes = f"{self.nodes} nodes, each" if self.nodes > 1 else "1 node"
        return f"{nodes} with {cards}, {ram}; {disk}"


def this_machine(results: Path) -> Machine:
    """What this machine has now; the disk is the one ``results`` is on."""
    folder = results.absolute()
    while not folder.exists():
        folder = folder.parent
    cards = _cards(_nvidia_smi())
    ram = available(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    disk = shutil.disk_usage(folder).free
    cores = len(os.sched_getaffinity(0))
    return Machine(1, len(cards), cards[0] if cards else None, cores, ram, disk)


def available(own: Path, groups: Path) -> float:
    """Bytes of RAM: the machine's, or as much of it as this container or job may use.

    ``own`` names this process's control group, ``groups`` is where they are (cgroup v2).
    """
    total = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    try:
        group = own.read_text().strip().rpartition("::")[2]
        limit = (groups / group.lstrip("/") / "memory.max").read_text().strip()
    except OSError:
        return total
    return min(total, float(limit)) if limit.isdigit() else total


def described(
    here: Machine,
    nodes: int | None,
    gpus: int | None,
    gpu: str | None,
    ram_gib: float | None,
    disk_gb: float | None,
) -> Machine:
    """``here`` with what is said otherwise; raises ``ConfigError`` for GPUs of no known size."""
    card = named_gpu(gpu) if gpu else here.gpu
    count = gpus if gpus is not None else here.gpus or (1 if gpu else 0)
    if count and card is None:
        raise ConfigError(f"--gpus {count}: there is none here to go by; say which with --gpu")
    return Machine(
        nodes or here.nodes,
        count,
        card if count else None,
        here.cores,
        here.ram if ram_gib is None else ram_gib * GIB,
        here.disk if disk_gb is None else disk_gb * 1e9,
    )


def named_gpu(name: str) -> Gpu:
    """A GPU of the table, or one of so many GB by a bare number; ``ConfigError`` names the rest."""
    if name in GPUS:
        return GPUS[name]
    if name.isdigit() and int(name) > 0:
        return Gpu(f"{name} GB GPU", int(name) * GIB, UNKNOWN.flops, UNKNOWN.bandwidth)
    raise ConfigError(f"--gpu {name}: not known; a memory in GB, or one of {', '.join(GPUS)}")


def _nvidia_smi() -> str:
    """Name and MiB of each GPU, a line each; nothing where there is no driver."""
    if not shutil.which("nvidia-smi"):
        return ""
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader,nounits"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    return done.stdout if done.returncode == 0 else ""


def _cards(listed: str) -> list[Gpu]:
    """The GPUs of ``_nvidia_smi``'s lines, the smallest first."""
    found = []
    for line in listed.splitlines():
        name, _, mib = line.rpartition(",")
        alike = (g for g in GPUS.values() if g.name.split("-")[0] in name.lower().replace(" ", ""))
        memory = int(mib) * float(1 << 20)
        like = min(alike, key=lambda g: abs(g.memory - memory), default=UNKNOWN)
        found.append(Gpu(name.strip(), memory, like.flops, like.bandwidth))
    return sorted(found, key=lambda gpu: gpu.memory)
