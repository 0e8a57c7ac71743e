"""Whether what a config names is there: models, passages, servers."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from searchr2.config import Experiment
from searchr2.doctor.finding import Finding

SPEAK_S = 3.0
"""Seconds a server may take to accept a connection."""


def models(settings: Experiment) -> Iterator[Finding]:
    """Models the config names, here or on the hub, and files, which must be here."""
    named = {
        "model.path": settings.model.path,
        "model.instruct": settings.model.instruct,
        "retrieval.encoder": settings.retrieval.encoder,
        "judge.model": settings.judge.model if settings.judge.kind == "local" else None,
        **{f"runs.{name}.model": run.model for name, run in settings.runs.items()},
    }
    for place, path in named.items():
        if path and path.count("/") == 1 and not Path(path).parent.is_dir():
            yield Finding(place, "note", f"{path}: taken from the hub when a stage reads it")
        elif path:
            yield _here(place, path)
    for place, path in files(settings):
        yield _here(place, path)


def files(settings: Experiment) -> Iterator[tuple[str, str]]:
    """Key and path of each file that the config names."""
    data = settings.data
    if data.corpus:
        yield "data.corpus", data.corpus
    yield from ((f"data.questions.{name}", path) for name, path in (data.questions or {}).items())
    yield from (("data.train", path) for path in data.train or [])
    yield from (("retrieval.vectors", path) for path in settings.retrieval.vectors or [])
    if settings.deepspeed.config:
        yield "deepspeed.config", settings.deepspeed.config


def _here(place: str, path: str) -> Finding:
    if Path(path).exists():
        return Finding(place, "ok", path)
    remedy = "searchr2 fetch gets what configs/ name, or name your own (docs/data.md)"
    return Finding(place, "bad", f"{path} does not exist", remedy)


def servers(settings: Experiment) -> Iterator[tuple[str, str]]:
    """Key and address of each server that the config names."""
    yield from (("engine.urls", url) for url in settings.engine.urls)
    if settings.retrieval.kind == "http":
        yield from (("retrieval.urls", url) for url in settings.retrieval.urls)
    if settings.judge.kind == "http" and settings.judge.url:
        yield "judge.url", settings.judge.url
    if settings.tracking.uri and settings.tracking.uri.startswith("http"):
        yield "tracking.uri", settings.tracking.uri


def server(place: str, url: str) -> Finding:
    """Whether somebody accepts connections there."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=SPEAK_S).close()
    except OSError as error:
        said = error.strerror or str(error)
        return Finding(place, "bad", f"{url}: {said}", "start the server, or correct the address")
    return Finding(place, "ok", f"{url} accepts connections")
