"""The policy's own tokenizer behind ``ports.Codec``.

Text from outside is encoded by a copy of the tokenizer that knows no added token at all. Splitting
special tokens would not do: an added token need not be *special* (Qwen3's ``<think>`` is not), and
it would still be recognised in a passage.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tokenizers import Tokenizer
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from searchr2 import ports
from searchr2.files import ArtifactError
from searchr2.tags import THINK

_MARK = "\u241fuser turn\u241f"


@dataclass(frozen=True)
class Codec(ports.Codec):
    """A transformers fast tokenizer, ``_plain`` its copy without added tokens."""

    tokenizer: PreTrainedTokenizerBase
    eos: int
    _full: Tokenizer
    _plain: Tokenizer

    @classmethod
    def load(cls, source: str | Path) -> Codec:
        """The tokenizer of a ``save_pretrained`` folder (a ``Path``) or of a folder or hub id.

        Raises ``ArtifactError`` where there is none, it is not a fast one, or it has no
        end-of-sequence token.
        """
        if isinstance(source, Path) and not source.is_dir():
            raise ArtifactError(f"{source}: no such folder")
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(source), trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).partition("\n")[0]
            raise ArtifactError(f"{source}: no tokenizer can be read here: {reason}") from None
        full = getattr(tokenizer, "backend_tokenizer", None)
        if full is None or tokenizer.eos_token_id is None:
            raise ArtifactError(f"{source}: needs a fast tokenizer with an end-of-sequence token")
        if not _ids(full, "a"):  # transformers makes up an empty one where the files are missing
            raise ArtifactError(f"{source}: no tokenizer here, only the config of one")
        plain = json.loads(full.to_str()) | {"added_tokens": [], "post_processor": None}
        return cls(tokenizer, tokenizer.eos_token_id, full, Tokenizer.from_str(json.dumps(plain)))

    @property
    def eos_id(self) -> int:
        return self.eos

    @property
    def size(self) -> int:
        """Ids there are, added tokens included."""
        return len(self.tokenizer)

    def template(self, text: str) -> tuple[int, ...]:
        return _ids(self._full, text)

    def text(self, text: str) -> tuple[int, ...]:
        return _ids(self._plain, text)

    def decode(self, ids: Sequence[int]) -> str:
        return str(self._full.decode(list(ids), skip_special_tokens=False))

    def opening(self) -> str:
        ids, bare = tuple(self.tokenizer("a").input_ids), self.text("a")
        starts = (at for at in range(len(ids)) if ids[at : at + len(bare)] == bare)
        return self.decode(ids[: next(starts, 0)])

    def chat(self, thinking: bool = True) -> tuple[str, str]:
        if self.tokenizer.chat_template is None:
            raise ArtifactError(f"{self.tokenizer.name_or_path}: no chat template here")
        turn = [{"role": "user", "content": _MARK}]
        shown = self.tokenizer.apply_chat_template(
            turn,
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=thinking,  # Qwen3's; templates that know no such switch pass it over
        )
        before, mark, after = str(shown).partition(_MARK)
        if not mark:
            raise ArtifactError(f"{self.tokenizer.name_or_path}: its chat template shows no user")
        if not thinking and after.rstrip().endswith(THINK[0]):  # thoughts that are always begun
            after = f"{after.rstrip()}\n\n{THINK[1]}\n\n"
        return before, after


def _ids(tokenizer: Tokenizer, text: str) -> tuple[int, ...]:
    return tuple(tokenizer.encode(text, add_special_tokens=False).ids)
