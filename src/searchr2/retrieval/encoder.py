"""A sentence encoder: texts to unit vectors, as E5 has it and any other model can be told to.

With the defaults of ``config.Encoding`` a query is "query: " and its text, a passage "passage: "
and its contents (title in quotes, line break, text); the vector is the mean of the last hidden
states over real tokens, divided by its L2 norm (Wang et al. 2022, "Text Embeddings by
Weakly-Supervised Contrastive Pre-training"). The score of a passage is the inner product.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer

from searchr2.config import ConfigError, Encoding
from searchr2.files import UserError

Vectors = NDArray[np.float32]

BATCH = 64
"""Texts of one forward pass; their lengths are alike, so that little of it is padding."""
PROBE = "who wrote the novel that the film is based on?"
"""A query whose vector an index keeps, to know its encoder again by what it does."""


class EncoderError(UserError):
    """Vectors that cannot be used."""


class Encoder:
    """Encodes queries and passages under one set of conventions."""

    def __init__(self, model: Any, tokenizer: Any, encoding: Encoding) -> None:
        self.encoding = encoding
        self._model = model.eval().requires_grad_(False)
        self._tokenizer = tokenizer

    @classmethod
    def load(cls, encoding: Encoding, device: str | None = None) -> Encoder:
        """A ``save_pretrained`` folder or hub id; in half precision on a GPU, as the field has it.

        Raises ``ConfigError`` where there is no such model.
        """
        path = encoding.encoder
        if path is None:
            raise ConfigError("retrieval.encoder: dense retrieval needs one, E5's for example")
        if path.startswith((".", "/")) and not Path(path, "config.json").is_file():
            raise ConfigError(f"retrieval.encoder: {path}: no config.json of a model there")
        device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.float32 if device == "cpu" else torch.float16
        try:
            model = AutoModel.from_pretrained(path, dtype=dtype, trust_remote_code=False)
            tokenizer = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        except (OSError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise ConfigError(
                f"retrieval.encoder: {path}: transformers cannot open it ({reason}); give a "
                "save_pretrained folder, or the id of a model it can download"
            ) from None
        return cls(model.to(device), tokenizer, encoding)

    @property
    def dimension(self) -> int:
        return int(self._model.config.hidden_size)

    def queries(self, texts: Sequence[str]) -> Vectors:
        """(texts, dimension); float32 whatever the model computes in."""
        settings = self.encoding
        return self._encode([settings.query_prefix + t for t in texts], settings.query_tokens)

    def passages(self, contents: Sequence[str]) -> Vectors:
        """(contents, dimension), each from the title and text of a passage together."""
        settings = self.encoding
        return self._encode(
            [settings.passage_prefix + c for c in contents], settings.passage_tokens
        )

    def _encode(self, texts: Sequence[str], max_tokens: int) -> Vectors:
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            vectors[rows] = self._forward([texts[i] for i in rows], max_tokens)
        if not np.isfinite(vectors).all():
            bad = texts[int(np.flatnonzero(~np.isfinite(vectors).all(axis=1))[0])]
            raise EncoderError(
                f"{self.encoding.encoder}: the vector of {bad[:60]!r} is not finite; "
                "the weights are damaged, or half precision is too small for them"
            )
        return vectors

    @torch.inference_mode()
    def _forward(self, texts: list[str], max_tokens: int) -> Vectors:
        batch = self._tokenizer(
            texts, padding=True, truncation=True, max_length=max_tokens, return_tensors="pt"
        ).to(self._model.device)
        vectors = POOLING[self.encoding.pooling](self._model(**batch), batch["attention_mask"])
        if self.encoding.normalise:
            vectors = torch.nn.functional.normalize(vectors, dim=-1)
        found: Vectors = vectors.cpu().numpy()
        return found


def _mean(output: Any, mask_BT: torch.Tensor) -> torch.Tensor:
    hidden_BTH = output.last_hidden_state.float()
    real_BT1 = mask_BT[..., None].float()
    mean_BH: torch.Tensor = (hidden_BTH * real_BT1).sum(1) / real_BT1.sum(1)
    return mean_BH


def _cls(output: Any, mask_BT: torch.Tensor) -> torch.Tensor:
    first: torch.Tensor = output.last_hidden_state[:, 0].float()
    return first


def _pooler(output: Any, mask_BT: torch.Tensor) -> torch.Tensor:
    pooled: torch.Tensor = output.pooler_output.float()
    return pooled


POOLING: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "mean": _mean,
    "cls": _cls,
    "pooler": _pooler,
}
