"""A judging model behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp, a hosted one).

``POST <url>/chat/completions``, at most ``concurrency`` at a time, each attempt with a deadline for
the whole of it. What may pass (no connection, a deadline, 408, 425, 429, 5xx, a body that is no
chat completion) is tried again after a pause that doubles; then, or where the server will not have
us, work stops with an error, since a judge that is down must not turn into a reward. A single
prompt that is refused (400, 413, 422: mostly too long) gets no reply and is logged.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections.abc import Sequence

import aiohttp

from searchr2.config import ConfigError, JudgeModel
from searchr2.files import UserError
from searchr2.judging.model import Pieces

PASSING = (408, 425, 429)
REFUSED = (400, 413, 422)
log = logging.getLogger(__name__)


class JudgeError(UserError):
    """The judging server cannot be used; the message names its address, the reason, a remedy."""


class JudgeUnavailable(JudgeError):
    """It could not be reached, or gave no chat completion, however often it was asked."""


class JudgeRefused(JudgeError):
    """It answered, but will not judge for us: a wrong key, model name or address."""


class _Passing(Exception):
    """Worth another attempt."""


class _Declined(Exception):
    """This prompt will not be answered; others may be."""


class HttpChat:
    """model.Chat over HTTP. The key is read from the environment, sent, and written nowhere."""

    def __init__(self, settings: JudgeModel, pause: float = 1.0) -> None:
        """``pause``: seconds before the second attempt.

        Raises ``ConfigError`` where ``api_key_env`` names a variable that is not set.
        """
        self.settings, self.pause = settings, pause
        self.address = f"{(settings.url or '').rstrip('/')}/chat/completions"
        self._key = os.environ.get(settings.api_key_env or "", "")
        if settings.api_key_env and not self._key:
            raise ConfigError(
                f"judge: api_key_env names {settings.api_key_env}, which is not set;"
                " export the key under that name"
            )

    def reply(self, prompts: Sequence[Pieces]) -> list[str | None]:
        """The reply to each prompt; raises ``JudgeError``, also where all of them are declined."""
        replies = asyncio.run(self._all([_text(prompt) for prompt in prompts]))
        declined = [reply for reply in replies if isinstance(reply, _Declined)]
        if declined:
            if len(declined) == len(replies):
                raise JudgeRefused(f"{self.address}: {declined[0]}")
            few = len(declined), len(replies), declined[0]
            log.warning("judge: %d of %d prompts declined: %s", *few)
        return [None if isinstance(reply, _Declined) else reply for reply in replies]

    async def _all(self, texts: Sequence[str]) -> list[str | _Declined | None]:
        gate = asyncio.Semaphore(self.settings.concurrency)
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        timeout = aiohttp.ClientTimeout(total=self.settings.timeout)
        try:
            async with (
                aiohttp.ClientSession(headers=headers, timeout=timeout) as session,
                asyncio.TaskGroup() as group,
            ):
                tasks = [group.create_task(self._one(session, gate, text)) for text in texts]
        except ExceptionGroup as errors:  # one is enough to stop, the other tasks are cancelled
            raise errors.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _one(
        self, session: aiohttp.ClientSession, gate: asyncio.Semaphore, text: str
    ) -> str | _Declined | None:
        reason = ""
        async with gate:
            for attempt in range(self.settings.retries + 1):
                if attempt:  # jitter, so that a server coming up again is not asked all at once
                    await asyncio.sleep(self.pause * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
                try:
                    return await self._ask(session, text)
                except _Declined as declined:
                    return declined
                except TimeoutError:
                    reason = f"no answer within {self.settings.timeout:g} s"
                except (_Passing, aiohttp.ClientError, OSError) as error:
                    reason = str(error) or type(error).__name__
        raise JudgeUnavailable(
            f"{self.address}: {reason}, {self.settings.retries + 1} times in a row;"
            " once the server answers, the same command goes on"
        )

    async def _ask(self, session: aiohttp.ClientSession, text: str) -> str | None:
        request = {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": self.settings.max_tokens,
        }
        async with session.post(self.address, json=request, allow_redirects=False) as response:
            return self._content(response.status, await response.read())

    def _content(self, status: int, body: bytes) -> str | None:
        said = f"HTTP {status}: {' '.join(self._safe(body.decode(errors='replace')).split())[:200]}"
        if status in PASSING or status >= 500:
            raise _Passing(said)
        if status in REFUSED:
            raise _Declined(said)
        if status != 200:
            raise JudgeRefused(f"{self.address}: {said}; look at url, model and api_key_env")
        try:
            choice = json.loads(body)["choices"][0]
            content, finish = choice["message"]["content"], choice.get("finish_reason")
            if not isinstance(content, str | None):
                raise TypeError
        except (ValueError, LookupError, TypeError, AttributeError):
            raise _Passing(f"not a chat completion, {said}") from None
        return None if finish == "length" else content

    def _safe(self, text: str) -> str:
        """``text`` without the key, which some servers repeat in what they complain about."""
        return text.replace(self._key, "***") if self._key else text


def _text(prompt: Pieces) -> str:
    """A prompt as one text, with a space behind each angle bracket that is not our own.

    The server's tokenizer would read ``<|im_end|>`` in a passage as the end of our turn.
    """
    return "".join(text if ours else text.replace("<", "< ") for text, ours in prompt)
