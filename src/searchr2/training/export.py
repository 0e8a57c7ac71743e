"""The finished model: weights and tokenizer in ``save_pretrained``'s layout, and a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from searchr2.files import write_manifest
from searchr2.training.checkpoints import sync_tree
from searchr2.training.peers import ALONE, Peers

WEIGHTS = "model"
"""Folder of an export that holds weights and tokenizer, in ``save_pretrained``'s layout."""
TOKENIZER_FILES = ("tokenizer", "special_tokens", "vocab", "merges", "chat_template")


def export(
    write: Callable[[Path], Any],
    tokenizer: str | Path,
    folder: Path,
    about: dict[str, Any],
    peers: Peers = ALONE,
) -> None:
    """Write ``folder/model``, for vLLM, SGLang and transformers, and ``folder/manifest.json``.

    ``write`` saves the weights into a folder: a model's ``save_pretrained``, or a policy's
    ``export``, which all processes call. ``tokenizer`` is the folder or hub id that the
    tokenizer's files are copied from.
    """
    aside, target = folder / f"{WEIGHTS}.tmp", folder / WEIGHTS
    if peers.first:
        for stale in (aside, target):
            shutil.rmtree(stale, ignore_errors=True)
    write(aside)
    if peers.first:
        for file in _here(tokenizer).iterdir():
            if file.name.startswith(TOKENIZER_FILES):
                shutil.copy2(file, aside / file.name)
        sync_tree(aside)
        aside.rename(target)
        write_manifest(folder, about, below=WEIGHTS)
    peers.meet()


def _here(tokenizer: str | Path) -> Path:
    """The folder itself, or that of the hub's cache, where it was read from."""
    if Path(tokenizer).is_dir():
        return Path(tokenizer)
    from searchr2.hub.cached import cached

    return cached(str(tokenizer), TOKENIZER_FILES)
