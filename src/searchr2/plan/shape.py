"""The shape of a language model, and the parameters that it has by it.

Decoders as Qwen2, Qwen3, Llama and Mistral are: grouped-query attention, a gated MLP, RMS norms.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from searchr2.config import ConfigError, Model
from searchr2.files import read_json

BIASED = {"qwen2": True, "qwen3": False, "llama": False, "mistral": False}
"""``model_type`` -> whether queries, keys and values have a bias by default."""


@dataclass(frozen=True)
class Shape:
    """What memory and arithmetic depend on; the names are transformers'."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_size: int
    tied: bool
    """Whether the output is the embedding again."""
    bias: bool
    qk_norm: bool = False

    @property
    def queries(self) -> int:
        """Width of all query heads."""
        return self.heads * self.head_size

    @property
    def keys(self) -> int:
        """Width of all key heads; values have the same."""
        return self.kv_heads * self.head_size

    @property
    def linear(self) -> dict[str, tuple[int, int]]:
        """The linear layers of one block: name -> what goes in, what comes out."""
        h, f = self.hidden_size, self.intermediate_size
        return {
            "q_proj": (h, self.queries),
            "k_proj": (h, self.keys),
            "v_proj": (h, self.keys),
            "o_proj": (self.queries, h),
            "gate_proj": (h, f),
            "up_proj": (h, f),
            "down_proj": (f, h),
        }

    @property
    def block(self) -> int:
        """Parameters of one block."""
        biases = (self.queries + 2 * self.keys) if self.bias else 0
        norms = 2 * self.hidden_size + (2 * self.head_size if self.qk_norm else 0)
        return sum(i * o for i, o in self.linear.values()) + biases + norms

    @property
    def embedding(self) -> int:
        return self.vocab_size * self.hidden_size

    @property
    def parameters(self) -> int:
        """All of them, an output that is tied counted once."""
        tables = self.embedding * (1 if self.tied else 2)
        return tables + self.layers * self.block + self.hidden_size

    @property
    def multiplied(self) -> int:
        """Those that each token is multiplied with: an embedding is only looked up."""
        return self.layers * self.block + self.embedding

    def adapters(self, rank: int, targets: list[str]) -> int:
        """Parameters of low-rank adapters on ``targets``, or on all linear layers of the blocks."""
        adapted = [io for name, io in self.linear.items() if not targets or name in targets]
        return self.layers * sum(rank * (i + o) for i, o in adapted)


def _qwen2(vocab: int, h: int, f: int, layers: int, heads: int, kv: int, tied: bool) -> Shape:
    return Shape(vocab, h, f, layers, heads, kv, h // heads, tied, bias=True)


KNOWN = {
    "qwen2.5-0.5b": _qwen2(151936, 896, 4864, 24, 14, 2, True),
    "qwen2.5-1.5b": _qwen2(151936, 1536, 8960, 28, 12, 2, True),
    "qwen2.5-3b": _qwen2(151936, 2048, 11008, 36, 16, 2, True),
    "qwen2.5-7b": _qwen2(152064, 3584, 18944, 28, 28, 4, False),
    "qwen2.5-14b": _qwen2(152064, 5120, 13824, 48, 40, 8, False),
    "qwen2.5-32b": _qwen2(152064, 5120, 27648, 64, 40, 8, False),
    "qwen3-8b": Shape(151936, 4096, 12288, 36, 32, 8, 128, False, False, qk_norm=True),
}
"""Shapes from the ``config.json`` of Qwen/Qwen2.5-* and Qwen/Qwen3-8B on the hub, so that a plan
needs no network; an instruct version has its base model's."""


def shape_of(settings: Model) -> Shape:
    """The shape of the model that a config names; raises ``ConfigError`` where it is not known."""
    if settings.path is None:
        return _qwen2(
            settings.vocab_size,
            settings.hidden_size,
            settings.intermediate_size,
            settings.layers,
            settings.heads,
            settings.kv_heads,
            True,
        )
    for folder in (Path(settings.path), Path(settings.path) / "model"):
        if (folder / "config.json").is_file():
            return read_shape(folder / "config.json")
    name = Path(settings.path).name.lower().removesuffix("-instruct")
    if name not in KNOWN:
        raise ConfigError(
            f"model.path: {settings.path} is no folder with a config.json here, and no model whose"
            f" shape is known without one ({', '.join(KNOWN)}); fetch it first"
        )
    return KNOWN[name]


def read_shape(path: Path) -> Shape:
    """The shape in a model's ``config.json``; ``ConfigError`` names what is not understood."""
    said: dict[str, Any] = read_json(path)
    kind = said.get("model_type")
    if kind not in BIASED:
        raise ConfigError(
            f"{path}: model_type {kind!r}, whose arithmetic is not known here; it is of"
            f" {', '.join(BIASED)}"
        )
    try:
        heads, hidden = said["num_attention_heads"], said["hidden_size"]
        return Shape(
            vocab_size=said["vocab_size"],
            hidden_size=hidden,
            intermediate_size=said["intermediate_size"],
            layers=said["num_hidden_layers"],
            heads=heads,
            kv_heads=said.get("num_key_value_heads") or heads,
            head_size=said.get("head_dim") or hidden // heads,
            tied=bool(said.get("tie_word_embeddings", False)),
            bias=bool(said.get("attention_bias", BIASED[kind])),
            qk_norm=kind == "qwen3",
        )
    except KeyError as error:
        raise ConfigError(f"{path}: no key {error}") from None
