"""Asks a server that samples, over HTTP: a time limit, bounded retries, JSON or a reason why not.

What may pass (no connection, no answer in time, 408, 425, 429, 5xx, a body that breaks off or is no
JSON) is tried again after a pause that doubles and is random in part; what will not (another 4xx, a
redirection) is said at once. Asking twice is safe: a sample is a function of its seed.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections.abc import Callable
from typing import Any

import aiohttp

from searchr2.config import ConfigError, Engine
from searchr2.files import UserError

PASSING = (408, 425, 429)
LONGEST_PAUSE = 15.0
REMEDY = "look at the server's own log, at engine.urls and at docs/engines.md"


class EngineError(UserError):
    """A rollout server cannot be used; the message names its address, the reason, a remedy."""


class Unreachable(EngineError):
    """No answer, or one that says to try again, however often it was asked."""


class BadReply(EngineError):
    """An answer that is none: HTML, half a JSON, log-probabilities that are missing."""


class Refused(EngineError):
    """A status that says not to try again."""


class WrongWeights(EngineError):
    """The server holds other weights than those that were asked for."""


class Session:
    """Requests to the servers of one engine, at most ``concurrency`` under way at each."""

    def __init__(self, settings: Engine, pause: float = 1.0) -> None:
        """``pause``: seconds before the second attempt.

        Raises ``ConfigError`` where ``api_key_env`` names a variable that is not set.
        """
        self.settings, self.pause = settings, pause
        self._key = os.environ.get(settings.api_key_env or "", "")
        if settings.api_key_env and not self._key:
            raise ConfigError(
                f"engine: api_key_env names {settings.api_key_env}, which is not set;"
                " export the key under that name"
            )
        self._gates = {url: asyncio.Semaphore(settings.concurrency) for url in settings.urls}

    async def __aenter__(self) -> Session:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        connector = aiohttp.TCPConnector(limit=0)
        self._client = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def get(self, url: str, path: str) -> Any:
        return await self._tried("GET", url, path, None, self.settings.timeout)

    async def post(self, url: str, path: str, body: Any, timeout: float | None = None) -> Any:
        """What the server answers, a JSON value."""
        return await self._tried("POST", url, path, body, timeout or self.settings.timeout)

    async def order(self, url: str, path: str) -> str:
        """The same of what is answered with words, or with nothing."""
        limit = self.settings.timeout
        return str(await self._tried("POST", url, path, None, limit, read=bytes.decode))

    async def _tried(
        self,
        method: str,
        url: str,
        path: str,
        body: Any,
        timeout: float,
        read: Callable[[bytes], Any] = json.loads,
    ) -> Any:
        address, error = f"{url.rstrip('/')}{path}", EngineError("")
        async with self._gates[url]:
            for attempt in range(self.settings.retries + 1):
                if attempt:  # jitter, so that a server coming up again is not asked all at once
                    pause = min(LONGEST_PAUSE, self.pause * 2 ** (attempt - 1))
                    await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                try:
                    return await self._once(method, address, body, timeout, read)
                except (Unreachable, BadReply) as failed:
                    error = failed
        raise type(error)(f"{error}; tried {self.settings.retries + 1} times; {REMEDY}")

    async def _once(
        self, method: str, address: str, body: Any, timeout: float, read: Callable[[bytes], Any]
    ) -> Any:
        limit = aiohttp.ClientTimeout(total=timeout)
        try:
            async with self._client.request(
                method, address, json=body, timeout=limit, allow_redirects=False
            ) as response:
                raw = await response.read()
        except TimeoutError:
            raise Unreachable(f"{address}: no answer within {timeout:g} s") from None
        except aiohttp.ClientPayloadError:
            raise BadReply(f"{address}: the answer breaks off") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Unreachable(f"{address}: {error or type(error).__name__}") from None
        said = f"{address}: status {response.status}: {self._begin(raw)}"
        if response.status in PASSING or response.status >= 500:
            raise Unreachable(said)
        if response.status != 200:
            raise Refused(f"{said}; {REMEDY}")
        try:
            return read(raw)
        except ValueError:
            raise BadReply(f"{address}: answers what is not JSON: {self._begin(raw)}") from None

    def _begin(self, body: bytes) -> str:
        """The first words of an answer, in quotes; without the key, which some servers repeat."""
        text = " ".join(body.decode(errors="replace").split())
        return repr((text.replace(self._key, "***") if self._key else text)[:160])
