"""What is installed, what works, and what to do about what does not.

A check is a function of what it looks at, so that each can be asked about a machine that it is not
on; ``examine`` asks them all about this one.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from searchr2.config import Experiment
from searchr2.doctor.finding import Finding
from searchr2.doctor.named import models, server, servers
from searchr2.plan.machine import GIB, this_machine

PYTHON = (3, 11)
MODULES = ("torch", "transformers", "deepspeed", "mlflow", "faiss", "bm25s", "pyarrow", "peft")
"""Modules that bring compiled code, each of which is imported once for real."""
LEAST_RAM, LEAST_DISK, LEAST_SHARED = 4 * GIB, 2e9, 1 * GIB
"""What the default experiment needs; shared memory is for several processes on GPUs."""
ACCELERATOR = """
import torch
a = torch.ones(8, 8)
print("cuda", torch.cuda.is_available(), torch.version.cuda or "none")
a = a.cuda() if torch.cuda.is_available() else a
assert float((a @ a).sum()) == 512.0
"""
"""Whether torch multiplies here, and on what."""


def examine(settings: Experiment) -> Iterator[Finding]:
    """Every check of this machine, for these settings."""
    yield python(sys.version_info[:2])
    versions = {d.metadata["Name"]: d.version for d in metadata.distributions()}
    yield from packages(metadata.requires("searchr2") or [], versions)
    yield from tools({name: shutil.which(name) for name in ("searchr2", "snakemake", "git", "cc")})
    for module in MODULES:
        yield imports(module)
    yield accelerator(*_run(ACCELERATOR), bool(shutil.which("nvidia-smi")))
    yield threads(os.environ, os.cpu_count() or 1)
    here = this_machine(Path(settings.results))
    yield memory(here.ram)
    yield from results(Path(settings.results))
    if settings.deepspeed.processes > 1:
        yield shared_memory(shutil.disk_usage("/dev/shm").total)
        yield gpus(settings.deepspeed.processes, here.gpus)
    yield from models(settings)
    for place, url in servers(settings):
        yield server(place, url)


def python(version: tuple[int, ...]) -> Finding:
    found = ".".join(map(str, version))
    if version[:2] >= PYTHON:
        return Finding("Python", "ok", found)
    return Finding("Python", "bad", found, "make venv PYTHON=python3.11, after installing it")


def packages(required: Iterable[str], installed: Mapping[str, str]) -> Iterator[Finding]:
    """One finding of all that are as they must be, one for each that is not."""
    fine, versions = 0, {canonicalize_name(name): v for name, v in installed.items()}
    for line in required:
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        version = versions.get(canonicalize_name(wanted.name))
        if version and wanted.specifier.contains(version, prereleases=True):
            fine += 1
            continue
        found = f"{version}, not {wanted.specifier}" if version else "not installed"
        remedy = "pip install --requirement requirements.txt"
        yield Finding(f"package {wanted.name}", "bad", found, remedy)
    yield Finding("packages", "ok", f"{fine} have a version that pyproject.toml allows")


def tools(found: Mapping[str, str | None]) -> Iterator[Finding]:
    """Programs on the PATH: name -> where, or ``None``."""
    remedies = {
        "searchr2": ("bad", "activate the environment, or pip install --no-deps --editable ."),
        "snakemake": ("bad", "pip install --requirement requirements.txt"),
        "git": ("note", "install git; provenance then names the commit"),
        "cc": ("note", "install gcc; DeepSpeed compiles with it on GPUs"),
    }
    for name, path in found.items():
        state, remedy = remedies[name]
        if path:
            yield Finding(f"program {name}", "ok", path)
        else:
            yield Finding(f"program {name}", state, "not on the PATH", remedy)  # type: ignore[arg-type]


def imports(module: str) -> Finding:
    """Import it in a process of its own, which may crash without taking this one along."""
    code, said = _run(f"import {module}; print(getattr({module}, '__version__', 'imported'))")
    last = (said.strip().splitlines() or ["no word"])[-1]
    if code == 0:
        return Finding(f"import {module}", "ok", last)
    remedy = "pip install --force-reinstall with its pin in requirements.txt"
    return Finding(f"import {module}", "bad", f"ends with {code}: {last}", remedy)


def accelerator(code: int, said: str, driver: bool) -> Finding:
    """What ``ACCELERATOR`` ended with and said, and whether there is an NVIDIA driver."""
    line = next((line for line in said.splitlines() if line.startswith("cuda ")), "")
    if code or not line:
        last = (said.strip().splitlines() or ["no word"])[-1]
        return Finding("torch computes", "bad", last, "install torch anew; check the GPU's driver")
    _, gpu, cuda = line.split()
    if gpu == "True":
        return Finding("torch computes", "ok", f"on a GPU, CUDA {cuda}")
    if not driver:
        return Finding("torch computes", "ok", "on the CPU: there is no NVIDIA driver")
    remedy = (
        "this is a CPU build of torch: install the pin from the default index"
        if cuda == "none"
        else f"update the driver until nvidia-smi shows CUDA {cuda} or later"
    )
    return Finding("torch computes", "bad", "nvidia-smi is here, and torch sees no GPU", remedy)


def threads(environment: Mapping[str, str], cores: int) -> Finding:
    """Stages set it themselves; typed by hand they would take every core."""
    found = environment.get("OMP_NUM_THREADS")
    if found is None and cores > 1:
        remedy = "export OMP_NUM_THREADS=1 for stages typed by hand; the workflow sets it"
        return Finding("threads", "note", "OMP_NUM_THREADS is not set", remedy)
    return Finding("threads", "ok", f"OMP_NUM_THREADS={found or 'unset'}, {cores} cores")


def memory(total: float) -> Finding:
    found = f"{total / GIB:,.1f} GiB"
    if total >= LEAST_RAM:
        return Finding("RAM", "ok", found)
    remedy = f"the default needs about {LEAST_RAM / GIB:.0f} GiB with two cores; use --cores 1"
    return Finding("RAM", "note", found, remedy)


def shared_memory(total: float) -> Finding:
    found = f"{total / GIB:,.1f} GiB"
    if total >= LEAST_SHARED:
        return Finding("/dev/shm", "ok", found)
    return Finding(
        "/dev/shm", "bad", found, "NCCL needs more: docker run --shm-size 8g, or --ipc host"
    )


def gpus(processes: int, here: int) -> Finding:
    found = f"{here}, and deepspeed.processes is {processes}"
    if here >= processes:
        return Finding("GPUs", "ok", found)
    return Finding(
        "GPUs", "note", found, "train where there is one a process; a login node is fine"
    )


def results(folder: Path) -> Iterator[Finding]:
    """Whether results can be written, locked, and have room."""
    there = folder.absolute()
    while not there.exists():
        there = there.parent
    probe = there / f".doctor-{os.getpid()}"
    try:
        with probe.open("w") as file:
            yield Finding("results folder", "ok", f"{there} can be written to")
            yield _lock(file.fileno(), there)
    except OSError as error:
        remedy = "name another with `results:` in the config"
        yield Finding("results folder", "bad", f"{there}: {error.strerror}", remedy)
    finally:
        probe.unlink(missing_ok=True) if os.access(there, os.W_OK) else None
    yield room(shutil.disk_usage(there).free)


def _lock(file: int, where: Path) -> Finding:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        remedy = "two workflows could write at once: put results on a file system with locks"
        return Finding("locks", "bad", f"{where}: {error.strerror}", remedy)
    return Finding("locks", "ok", "work there: two workflows never write at once")


def room(free: float) -> Finding:
    if free >= LEAST_DISK:
        return Finding("disk", "ok", f"{free / 1e9:,.1f} GB are free")
    return Finding("disk", "bad", f"{free / 1e9:,.1f} GB are free", "make room; see searchr2 plan")


def _run(code: str) -> tuple[int, str]:
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired:
        return 1, "no answer within 300 seconds"
    return done.returncode, done.stdout if done.returncode == 0 else done.stdout + done.stderr
