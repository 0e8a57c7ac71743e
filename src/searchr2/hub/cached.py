"""What of a model on the hub is in the cache that transformers read it through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import snapshot_download


def cached(source: str, beginnings: Sequence[str]) -> Path:
    """The cache's folder of model ``source``, with the files whose names begin with one of these.

    What is missing there is downloaded.
    """
    return Path(snapshot_download(source, allow_patterns=[f"{name}*" for name in beginnings]))
