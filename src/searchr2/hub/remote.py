"""The Hugging Face hub, as far as it is needed: what a commit holds, and the bytes of a file.

All of it goes through ``huggingface_hub``: its endpoint (``HF_ENDPOINT``), token, offline switch,
client and errors. The bytes are streamed here and not by its ``hf_hub_download``, which throws a
partial file away when it is interrupted: an index part has 43 GB.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import httpx2
from huggingface_hub import HfApi, hf_hub_url
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from searchr2.hub.lock import FetchError

T = TypeVar("T")
_BUSY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Patience:
    """How long a server that does not do well is borne with."""

    attempts: int = 5
    """Failures in a row, of which none brought a byte, before giving up."""
    pause: float = 1.0
    """Seconds before the second attempt; each later pause is twice as long, a minute at most."""
    silence: float = 30.0
    """Seconds without a byte that end an attempt."""
    window: float = 60.0
    slowest: float = 10_000.0
    """Fewer bytes a second than this over ``window`` seconds end an attempt, as a failure."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as the hub lists it: ``sha256`` where it is kept in LFS, else its git ``blob``."""

    path: str
    size: int
    sha256: str | None
    blob: str | None


class Interrupted(Exception):
    """An attempt that ended early; the next one may do better."""

    def __init__(self, reason: str, progress: bool = True, wait: float | None = None) -> None:
        super().__init__(reason)
        self.progress = progress
        """Whether bytes it brought count in its favour."""
        self.wait = wait


class Hub:
    def __init__(self, endpoint: str | None = None, patience: Patience | None = None) -> None:
        """``endpoint``: the hub's address, as ``HF_ENDPOINT`` has it by default."""
        self._api = HfApi(endpoint=endpoint)
        self.patience = patience or Patience()

    @property
    def endpoint(self) -> str:
        return self._api.endpoint

    def url(self, repo: str, type_: str, revision: str, path: str) -> str:
        return hf_hub_url(
            repo, path, repo_type=type_, revision=revision, endpoint=self._api.endpoint
        )

    def listing(self, repo: str, type_: str, revision: str | None) -> tuple[str, list[RemoteFile]]:
        """The commit that ``revision`` (``None``: the newest) is, and the files in it."""

        def ask() -> tuple[str, list[RemoteFile]]:
            try:
                info = self._api.repo_info(
                    repo,
                    repo_type=type_,
                    revision=revision,
                    files_metadata=True,
                    timeout=self.patience.silence,
                )
            except (ValueError, KeyError, TypeError) as error:
                raise FetchError(
                    f"{repo}: no answer of a hub at {self.endpoint}: {error}"
                ) from None
            if not info.sha or (revision and info.sha != revision):
                raise FetchError(
                    f"{repo}: {self.endpoint} answers with commit {info.sha} instead of {revision}"
                )
            found = [
                RemoteFile(s.rfilename, s.size or 0, s.lfs.sha256 if s.lfs else None, s.blob_id)
                for s in getattr(info, "siblings", None) or ()
            ]
            return info.sha, found

        return self.patiently(ask, lambda: 0, f"{repo} at {revision or 'its newest commit'}")

    def patiently(self, work: Callable[[], T], done: Callable[[], int], what: str) -> T:
        """``work()``, again where the network failed it, as long as ``done()`` bytes grow.

        Raises ``FetchError`` saying what is wrong with ``what`` and what to do.
        """
        failures, before = 0, done()
        while True:
            try:
                return work()
            except (httpx2.HTTPError, httpx2.InvalidURL, OSError, Interrupted) as error:
                again = _temporary(error)
                if again is None:
                    raise _explained(error, what, self.endpoint) from None
                grown, before = done() > before, done()
                failures = 0 if again.progress and grown else failures + 1
                if failures >= self.patience.attempts:
                    raise FetchError(
                        f"{what}: {self.endpoint} failed {failures} times in a row: {again}; what"
                        " has come is kept, the same command goes on from there"
                    ) from None
                time.sleep(again.wait or min(self.patience.pause * 2**failures / 2, 60))


def _temporary(error: Exception) -> Interrupted | None:
    """What to know about a failure that may pass; ``None`` for one that will not."""
    if isinstance(error, Interrupted):
        return error
    if isinstance(error, HfHubHTTPError):
        if error.response.status_code not in _BUSY:
            return None
        wait = error.response.headers.get("Retry-After", "")
        seconds = min(float(wait), 120) if wait.isdigit() else None
        return Interrupted(f"HTTP status {error.response.status_code}", wait=seconds)
    if isinstance(error, httpx2.TransportError):
        return Interrupted(
            f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        )
    return None


_REMEDIES = {
    GatedRepoError: "access must be asked for on its page; then log in with `hf auth login`",
    RepositoryNotFoundError: "no such repository, or a private one: log in with `hf auth login`",
    RevisionNotFoundError: "no such commit there any more; the catalogue needs another one",
    EntryNotFoundError: "no such file in this commit",
}


def _explained(error: Exception, what: str, endpoint: str) -> FetchError:
    """The failure as one line, with a remedy where there is one."""
    if isinstance(error, OfflineModeIsEnabled):
        told = "HF_HUB_OFFLINE is set; unset it, or copy the files from a machine that has them"
        return FetchError(f"{what}: {told}")
    if isinstance(error, HfHubHTTPError):
        told = next((text for kind, text in _REMEDIES.items() if isinstance(error, kind)), "")
        status = f"HTTP status {error.response.status_code}"
        return FetchError(f"{what}: {endpoint} answers {status}{f': {told}' if told else ''}")
    if isinstance(error, OSError):
        return FetchError(f"{what}: {error.strerror or error}; what has come is kept")
    return FetchError(f"{what}: {endpoint}: {error}")
