"""The finished model: weights and tokenizer in ``save_pretrained``'s layout, and a manifest."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from searchr2.files import write_manifest
from searchr2.training.checkpoints import sync_tree

WEIGHTS = "model"
"""Folder of an export that holds weights and tokenizer, in ``save_pretrained``'s layout."""
TOKENIZER_FILES = ("tokenizer", "special_tokens", "vocab", "merges", "chat_template")


def export(model: Any, tokenizer: Path, folder: Path, about: dict[str, Any]) -> None:
    """Write ``folder/model``, for vLLM, SGLang and transformers, and ``folder/manifest.json``.

    ``tokenizer`` is the folder the tokenizer's files are copied from.
    """
    aside, target = folder / f"{WEIGHTS}.tmp", folder / WEIGHTS
    for stale in (aside, target):
        shutil.rmtree(stale, ignore_errors=True)
    model.save_pretrained(aside)
    for file in tokenizer.iterdir():
        if file.name.startswith(TOKENIZER_FILES):
            shutil.copy2(file, aside / file.name)
    sync_tree(aside)
    aside.rename(target)
    write_manifest(folder, about, below=WEIGHTS)
