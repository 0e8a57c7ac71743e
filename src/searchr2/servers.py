"""Asks servers over HTTP, whatever they serve: time limits, retries, fail-over, typed failures.

What may pass (no connection, no answer in time, 408, 425, 429, 5xx, an answer that breaks off or
cannot be read) is tried again, at each address in turn, after pauses that grow and are random in
part, so that a server coming up again is not asked all at once. An address that failed is not asked
again while another has not. What will not pass (another 4xx, a redirection) is said at once.
Nothing that goes wrong is an answer. Asking twice must be safe.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, TypeVar

import aiohttp
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_attempt,
    wait_exponential,
    wait_random_exponential,
)

from searchr2.config import ConfigError
from searchr2.files import UserError

T = TypeVar("T")

PASSING = (408, 425, 429)
PAUSES = wait_exponential(multiplier=0.5, max=7.5) + wait_random_exponential(multiplier=1, max=15)
"""1, 2, 4 ... 15 seconds, each times a random number from 0.5 to 1.5."""
LIMIT = 1 << 28
"""Bytes of an answer that are read."""


class ServerError(UserError):
    """A server that cannot be used; the message names its address, the reason, a remedy."""


class Unreachable(ServerError):
    """No answer, or one that says to try again, however often it was asked."""


class BadReply(ServerError):
    """An answer that is none: HTML, half a JSON, another number of results, NaN."""


class Refused(ServerError):
    """A status that says not to try again."""

    def __init__(self, said: str, status: int) -> None:
        super().__init__(said)
        self.status = status


def json_of(raw: bytes) -> Any:
    """The JSON value of an answer; raises ``ValueError``."""
    try:
        return json.loads(raw)
    except (ValueError, RecursionError):
        raise ValueError("answers what is not JSON") from None


class Client:
    """Requests that belong together, as an asynchronous context.

    ``remedy`` ends every message. ``timeout``: seconds of an attempt; ``deadline``: of ``all_of``;
    ``retries``: further attempts at every address; ``concurrency``: attempts under way at each;
    ``key``: sent with every request and shown in no message.
    """

    def __init__(
        self,
        remedy: str,
        *,
        timeout: float,
        retries: int,
        concurrency: int,
        deadline: float | None = None,
        key: str = "",
    ) -> None:
        self.remedy, self.timeout, self.retries = remedy, timeout, retries
        self.deadline, self._key = deadline, key
        self._gates = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(concurrency))
        self._failures: dict[str, ServerError] = {}

    async def __aenter__(self) -> Client:
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(headers=headers, connector=connector)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def all_of(self, work: Iterable[Awaitable[T]]) -> list[T]:
        """The results in order; the first error, or the deadline, ends the others."""

        async def result(one: Awaitable[T]) -> T:
            return await one

        try:
            async with asyncio.timeout(self.deadline), asyncio.TaskGroup() as group:
                tasks = [group.create_task(result(one)) for one in work]
        except TimeoutError:
            said = _joined(self._failures.values()) or "no answer"
            raise Unreachable(f"{said}; gave up after {self.deadline:g} s; {self.remedy}") from None
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def ask(
        self,
        addresses: Sequence[str],
        body: Any = None,
        read: Callable[[bytes], T] = json_of,
        *,
        method: str = "POST",
        timeout: float | None = None,
    ) -> T:
        """What ``read`` makes of the first answer to be had.

        ``read`` raises ``ValueError`` with the reason, or trips over what is not there, where the
        answer is none. Raises ``ServerError``.
        """
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((Unreachable, BadReply)),
            stop=stop_after_attempt(self.retries + 1),
            wait=PAUSES,
            reraise=True,
        )
        try:
            seconds = timeout or self.timeout
            return await retrying(self._round, addresses, method, body, read, seconds)
        except (Unreachable, BadReply) as error:
            tried = f"tried {self.retries + 1} times"
            raise type(error)(f"{error}; {tried}; {self.remedy}") from None

    async def _round(self, addresses: Sequence[str], *how: Any) -> Any:
        """One attempt at each address until one answers; those that failed wait for the others."""
        failures: list[ServerError] = []
        for address in addresses:
            async with self._gates[address]:
                if address in self._failures and not self._failures.keys() >= set(addresses):
                    continue
                try:
                    return await self._once(address, *how)
                except (Unreachable, BadReply) as error:
                    failures.append(error)
                    self._failures[address] = error
        worst = next((e for e in failures if isinstance(e, BadReply)), failures[0])
        raise type(worst)(_joined(failures))

    async def _once(
        self, address: str, method: str, body: Any, read: Callable[[bytes], T], timeout: float
    ) -> T:
        raw = bytearray()
        try:
            async with self._session.request(
                method,
                address,
                json=body,
                timeout=aiohttp.ClientTimeout(total=timeout),
                allow_redirects=False,
            ) as response:
                async for chunk in response.content.iter_any():
                    raw += chunk
                    if len(raw) > LIMIT:
                        raise BadReply(f"{address}: answers more than {LIMIT} bytes")
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
            raise Refused(f"{said}; {self.remedy}", response.status)
        try:
            return read(bytes(raw))
        except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
            raise BadReply(f"{address}: {_reason(error)}: {self._begin(raw)}") from None

    def _begin(self, body: bytearray) -> str:
        """The first words of an answer, in quotes; without the key, which some servers repeat."""
        text = " ".join(body.decode(errors="replace").split())
        return repr((text.replace(self._key, "***") if self._key else text)[:160])


def key_in(variable: str | None, section: str) -> str:
    """The key that an environment variable holds; raises ``ConfigError`` where it is not set."""
    if not variable:
        return ""
    if not os.environ.get(variable):
        raise ConfigError(
            f"{section}: api_key_env names {variable}, which is not set;"
            " export the key under that name"
        )
    return os.environ[variable]


def _joined(failures: Iterable[ServerError]) -> str:
    return "; ".join(map(str, failures))


def _reason(error: Exception) -> str:
    return str(error) if type(error) is ValueError else f"{type(error).__name__} {error}"
