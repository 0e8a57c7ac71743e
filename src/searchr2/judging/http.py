"""A judging model behind an OpenAI-compatible server (vLLM, SGLang, llama.cpp, a hosted one).

``POST <url>/chat/completions``, at most ``concurrency`` at a time, as ``servers`` asks. Where no
chat completion is to be had, or the server will not have us, work stops with an error, since a
judge that is down must not turn into a reward. A single prompt that is refused (400, 413, 422:
mostly too long) gets no reply and is logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from searchr2.config import JudgeModel
from searchr2.judging.model import Pieces
from searchr2.servers import Client, Refused, json_of, key_in

DECLINED = (400, 413, 422)
REMEDY = "look at url, model and api_key_env; once the server answers, the same command goes on"
log = logging.getLogger(__name__)


class HttpChat:
    """model.Chat over HTTP. The key is read from the environment, sent, and written nowhere."""

    def __init__(self, settings: JudgeModel) -> None:
        """Raises ``ConfigError`` where ``api_key_env`` names a variable that is not set."""
        self.settings = settings
        self.address = f"{(settings.url or '').rstrip('/')}/chat/completions"
        self._key = key_in(settings.api_key_env, "judge")

    def reply(self, prompts: Sequence[Pieces]) -> list[str | None]:
        """The reply to each prompt; raises ``ServerError``, also where all of them are declined."""
        replies = asyncio.run(self._all([_text(prompt) for prompt in prompts]))
        declined = [reply for reply in replies if isinstance(reply, Refused)]
        if declined:
            if len(declined) == len(replies):
                raise declined[0]
            few = len(declined), len(replies), declined[0]
            log.warning("judge: %d of %d prompts declined: %s", *few)
        return [None if isinstance(reply, Refused) else reply for reply in replies]

    async def _all(self, texts: Sequence[str]) -> list[str | Refused | None]:
        settings = self.settings
        async with Client(
            REMEDY,
            timeout=settings.timeout,
            retries=settings.retries,
            concurrency=settings.concurrency,
            key=self._key,
        ) as client:
            return await client.all_of(self._one(client, text) for text in texts)

    async def _one(self, client: Client, text: str) -> str | Refused | None:
        """A reply, ``None`` for one that was cut off, or why this prompt will not be answered."""
        request = {
            "model": self.settings.model,
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": self.settings.max_tokens,
        }
        try:
            return await client.ask([self.address], request, _content)
        except Refused as refused:
            if refused.status in DECLINED:
                return refused
            raise


def _content(raw: bytes) -> str | None:
    """The text of a chat completion; raises ``ValueError`` where it is none."""
    try:
        choice = json_of(raw)["choices"][0]
        content, finish = choice["message"]["content"], choice.get("finish_reason")
    except (LookupError, TypeError, AttributeError):
        raise ValueError("answers what is no chat completion") from None
    if not isinstance(content, str | None):
        raise ValueError("answers a chat completion without text")
    return None if finish == "length" else content


def _text(prompt: Pieces) -> str:
    """A prompt as one text, with a space behind each angle bracket that is not our own.

    The server's tokenizer would read ``<|im_end|>`` in a passage as the end of our turn.
    """
    return "".join(text if ours else text.replace("<", "< ") for text, ours in prompt)
