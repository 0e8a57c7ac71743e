"""Eight towns in two countries, a model that learns them in seconds, and stages as processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from searchr2.files import read_json, read_jsonl, write_json, write_jsonl

TOWNS = ("arvane", "corvin", "dovlan", "quinbek", "norwyn", "paszar", "kelnok", "tamsul")
COUNTRIES = ("ostra", "belmar")
STEPS = 6
PATIENCE = 120
"""Seconds a stage may take on a busy machine."""
LIMITS = {"max_turn_tokens": 30, "max_document_tokens": 12, "max_context_tokens": 300}
MODEL = {"hidden_size": 32, "intermediate_size": 64, "layers": 1, "heads": 2, "kv_heads": 2}
BASE = {
    "steps": 150,
    "copying_steps": 0,
    "reading_steps": 0,
    "batch_size": 8,
    "learning_rate": 0.01,
    "weight_decay": 0.0,
    "checkpoint_every": 30,
    "shares": {"search": 0.7, "refiner": 0.3},
    "full_query": 0.8,
}
INSTRUCT = BASE | {
    "steps": 90,
    "learning_rate": 0.005,
    "shares": {"cot": 0.3, "ircot": 0.3, "search-o1": 0.2, "note": 0.2},
}
SUPERVISED = {"steps": 20, "batch_size": 4, "checkpoint_every": 5, "samples": 2, "prompts": None}
GRPO = {
    "steps": STEPS,
    "prompts_per_step": 4,
    "group_size": 4,
    "validate_every": 2,
    "checkpoint_every": 2,
    "snapshot_every": 2,
}
ALWAYS_CUTS = {"margin": -100.0}


class Stages:
    """A results folder with an index and a tokenizer, and the stages that go on from there."""

    def __init__(self, results: Path) -> None:
        self.results = results
        write_jsonl(self.questions, (question(town) for town in TOWNS))
        write_jsonl(
            results / "demonstrations.jsonl",
            (question(town) | {"id": f"{town}-{n}"} for n in range(8) for town in TOWNS),
        )
        write_jsonl(
            results / "corpus.jsonl",
            ({"id": town, "contents": f'"{town}"\n{fact(town)}'} for town in TOWNS),
        )
        for stage, lessons in (("base", BASE), ("instruct", INSTRUCT)):
            about = {"stage": stage, "lessons": lessons, "rollout": LIMITS}
            write_json(results / f"{stage}.json", about | {"model": MODEL | {"backbone": "tiny"}})
        self.write_run(results / "train.json")
        self.run("index", "--corpus", results / "corpus.jsonl", "--out", self.index)
        texts = ["--texts", results / "demonstrations.jsonl", "--vocab-size", 600]
        corpus = ["--corpus", results / "corpus.jsonl"]
        self.run("tokenizer", *corpus, *texts, "--out", results / "tokenizer")

    @property
    def index(self) -> Path:
        return self.results / "index" / "task"

    @property
    def questions(self) -> Path:
        return self.results / "questions" / "nq.jsonl"

    def write_run(
        self, path: Path, settings: Mapping[str, Any] | None = None, **paths: str
    ) -> None:
        """A resolved run, Search-R2 with ``settings`` over it.

        It reads what stands here save where ``paths`` says otherwise.
        """
        usual = {"model": str(self.results / "base"), "index": str(self.index)}
        asked = {"train": [str(self.questions)], "validation": [str(self.questions)]}
        about = {"run": "search-r2", "seed": 1, "backbone": "tiny"}
        method = {"rollout": LIMITS | {"max_turns": 3}, "grpo": GRPO, "refiner": ALWAYS_CUTS}
        write_json(path, {**about, **method, "paths": usual | asked | paths, **(settings or {})})

    def base(self, out: Path) -> list[str]:
        """The command of the base stage."""
        return self._taught("base", self.results / "tokenizer", out)

    def instruct(self, base: Path, out: Path) -> list[str]:
        """The command of the instruction stage."""
        return self._taught("instruct", base, out)

    def _taught(self, stage: str, start: Path, out: Path) -> list[str]:
        results = self.results
        inputs = ["--start", start, "--index", self.index]
        inputs += ["--demonstrations", results / "demonstrations.jsonl"]
        return command("base", "--config", results / f"{stage}.json", *inputs, "--out", out)

    def train(self, out: Path, config: Path | None = None) -> list[str]:
        """The command of a training run."""
        return command("train", "--config", config or self.results / "train.json", "--out", out)

    def evaluate(self, checkpoint: Path, out: Path, method: str = "search") -> list[str]:
        """The command of an evaluation."""
        inputs = ["--checkpoint", checkpoint, "--index", self.index, "--questions", self.questions]
        return command("evaluate", "--method", method, *inputs, "--out", out)

    def run(self, *arguments: Any) -> None:
        """Run a stage to its end."""
        finish(command(*arguments))


def question(town: str) -> dict[str, Any]:
    """A row of a question about a town. Lower case, so that the base stage deals no other names."""
    country = COUNTRIES[TOWNS.index(town) % 2]
    hop = {"title": town, "subject": town, "keyword": "located", "value": country}
    return {
        "id": town,
        "dataset": "nq",
        "question": f"Where is {town}?",
        "golden_answers": [country],
        "metadata": {
            "supporting_titles": [town],
            "hops": [hop | {"fact": fact(town)}],
            "final": {"kind": "chain", "over": [0]},
        },
    }


def fact(town: str) -> str:
    return f"{town} is located in {COUNTRIES[TOWNS.index(town) % 2]}."


def command(*arguments: Any) -> list[str]:
    return [sys.executable, "-m", "searchr2.cli.main", *map(str, arguments)]


def environment() -> dict[str, str]:
    """One thread: the bytes of a result hold for one number of threads.

    What a policy in this process has told DeepSpeed of it is not for others, who would take it for
    a launcher's word.
    """
    told = {"RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"}
    own = {name: value for name, value in os.environ.items() if name not in told}
    return own | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def finish(arguments: Sequence[str], status: int = 0) -> str:
    """Run a command to its end, which has this exit status; what it said on stderr."""
    done = subprocess.run(
        arguments, env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stderr


def kill(arguments: Sequence[str], moment: Callable[[], object], delay: float = 0.0) -> None:
    """Start a command and end it by SIGKILL, so many seconds after ``moment`` has come.

    Returns when whatever it had started has left as well.
    """
    with subprocess.Popen(arguments, env=environment(), stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + PATIENCE
        while not moment() and process.poll() is None:
            assert time.monotonic() < deadline, "the moment to kill it never came"
            time.sleep(0.0005)
        time.sleep(delay)
        process.kill()
        process.communicate(timeout=PATIENCE)  # its end comes when nobody holds stderr any more
    assert process.returncode == -signal.SIGKILL, "it had ended before it could be killed"


@contextmanager
def serving(arguments: Sequence[Any]) -> Iterator[int]:
    """An MLflow server by this command, which takes ``--port``; where it answers."""
    for _ in range(3):  # somebody may take a port between our letting go and its taking hold
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server = subprocess.Popen(
            [*map(str, arguments), "--port", str(port)],
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            if _answers(server, port):
                yield port
                return
        finally:
            server.terminate()
            server.wait(timeout=PATIENCE)
    raise AssertionError("the server left before it answered, three times")


def _answers(server: subprocess.Popen[bytes], port: int) -> bool:
    """Whether the server answers, waited for until it does; not where it left."""
    deadline = time.monotonic() + PATIENCE
    while server.poll() is None:
        assert time.monotonic() < deadline, "the server never answered"
        with suppress(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
            return server.poll() is None
        time.sleep(0.2)
    return False


def made(path: Path) -> int | None:
    """When a folder was made or last changed, ``None`` where it is not."""
    try:
        return path.stat().st_ctime_ns
    except FileNotFoundError:
        return None


def logged(record: Path) -> int:
    """The last step in a run's ledger, 0 before there is one."""
    ledger = record / "state" / "metrics.jsonl"
    lines = ledger.read_bytes().split(b"\n")[:-1] if ledger.exists() else []
    return max((json.loads(line)["step"] for line in lines), default=0)


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by its place in it."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def metrics(record: Path) -> dict[int, dict[str, float]]:
    """Step -> metrics of a finished run, without those that measure time."""
    found: dict[int, dict[str, float]] = {}
    for _, line in read_jsonl(record / "metrics.jsonl"):
        timeless = {k: v for k, v in line["metrics"].items() if not k.startswith("time/")}
        found.setdefault(line["step"], {}).update(timeless)
    return found


def statuses(record: Path) -> list[str]:
    """How each attempt at a run ended."""
    return [attempt["status"] for attempt in read_json(record / "run.json")["attempts"]]


def assert_same_run(record: Path, other: Path) -> None:
    """Both runs left the same bytes: weights, rollouts, snapshots, metrics but for times."""
    assert (record / "manifest.json").read_bytes() == (other / "manifest.json").read_bytes()
    for kept in ("model", "rollouts", "snapshots"):
        assert files(record / kept) == files(other / kept), kept
    assert metrics(record) == metrics(other)
