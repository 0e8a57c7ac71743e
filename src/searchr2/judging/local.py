"""A judging model in this process, behind ``ports.Engine``, with its own tokenizer; greedy."""

from __future__ import annotations

from collections.abc import Sequence

from searchr2.judging.model import Pieces
from searchr2.ports import Codec, Completion, Engine, Generate


class LocalChat:
    """model.Chat over an engine; ``chat`` wraps a prompt as a user turn of its chat template."""

    def __init__(self, engine: Engine, codec: Codec, max_tokens: int, chat: bool) -> None:
        self.engine, self.codec, self.max_tokens = engine, codec, max_tokens
        self.before, self.after = codec.chat() if chat else ("", "")

    def reply(self, prompts: Sequence[Pieces]) -> list[str | None]:
        requests = [
            Generate(self._ids(prompt), self.max_tokens, stops=(), temperature=0.0, key=(0,))
            for prompt in prompts
        ]
        completions = self.engine.generate(requests)
        self.engine.refresh()  # a cached prefix moves float rounding, and a resumed run has none
        return [self._text(completion) for completion in completions]

    def _ids(self, prompt: Pieces) -> tuple[int, ...]:
        pieces = ((self.before, True), *prompt, (self.after, True))
        encode = {True: self.codec.template, False: self.codec.text}
        return tuple(token for text, ours in pieces for token in encode[ours](text))

    def _text(self, completion: Completion) -> str | None:
        if completion.finish == "length":
            return None
        ended = completion.ids[-1:] == (self.codec.eos_id,)
        return self.codec.decode(completion.ids[:-1] if ended else completion.ids)
