"""From settings and folders to adapters: the one place that asks which kind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from searchr2 import config
from searchr2.config import Model, Retrieval, Reward
from searchr2.engines.weights import Once, Weights, call
from searchr2.files import MANIFEST, ArtifactError, read_json, verify_manifest
from searchr2.ports import Codec, Engine, Judge
from searchr2.prompts import read_templates
from searchr2.training.export import WEIGHTS

if TYPE_CHECKING:
    from searchr2.judging.model import Chat
    from searchr2.quality.pairs import PairJudge
    from searchr2.retrieval.recall import Index


def quiet() -> None:
    """Keep transformers' own bars and notes off the terminal: ours are there."""
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    logging.basicConfig(format="%(levelname)s %(message)s")


def weights_folder(checkpoint: str, rebuilt_by: str) -> str:
    """Where a checkpoint's weights are: our own export's, verified, or a folder or hub id as it is.

    Raises ``ArtifactError`` naming what is missing or damaged, and ``rebuilt_by``.
    """
    folder = Path(checkpoint)
    if (folder / MANIFEST).is_file() or (folder / WEIGHTS).is_dir():
        verify_manifest(folder, rebuilt_by)
        return str(folder / WEIGHTS)
    if (folder / "config.json").is_file():
        return str(folder)
    local = folder.exists() or ("/" in checkpoint and folder.parent.is_dir())
    if local or checkpoint.startswith((".", "/")) or checkpoint.count("/") > 1:
        beside = sorted(path.parent.name for path in folder.parent.glob(f"*/{WEIGHTS}"))
        there = f" (beside it: {', '.join(beside)})" if beside else ""
        raise ArtifactError(f"{folder}: no checkpoint here{there}; {rebuilt_by}")
    return checkpoint


def load_model(weights: str) -> Any:
    """A causal language model in fp32 on CPU, in its own precision on a GPU.

    Code that comes with a model is never run. Raises ``ArtifactError`` where none can be read.
    """
    import torch
    from transformers import AutoModelForCausalLM

    gpu = torch.cuda.is_available()
    try:
        model: Any = AutoModelForCausalLM.from_pretrained(
            weights, dtype="auto" if gpu else torch.float32, trust_remote_code=False
        )
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtifactError(f"{weights}: no language model can be read here: {reason}") from None
    return model.to("cuda") if gpu else model


def new_model(settings: Model, vocab_size: int, seed: int) -> Any:
    """A Qwen2 with random weights, a function of ``seed``."""
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(seed)
    return Qwen2ForCausalLM(
        Qwen2Config(
            vocab_size=vocab_size,
            hidden_size=settings.hidden_size,
            intermediate_size=settings.intermediate_size,
            num_hidden_layers=settings.layers,
            num_attention_heads=settings.heads,
            num_key_value_heads=settings.kv_heads,
            max_position_embeddings=settings.max_positions,
            tie_word_embeddings=True,
            initializer_range=0.06,  # a narrow model learns to copy sooner from larger weights
        )
    )


def load_retriever(folder: Path) -> Index:
    """The retriever whose index ``folder`` holds, as its manifest names it."""
    path = folder / MANIFEST
    found = read_json(path) if path.is_file() else {"kind": Retrieval().kind}
    kind = found.get("kind") if isinstance(found, dict) else None
    if kind == "bm25":
        from searchr2.retrieval.bm25 import Bm25

        return Bm25.load(folder)
    if kind == "dense":
        from searchr2.retrieval.dense import Dense

        quiet()
        return Dense.load(folder)
    if kind == "http":
        from searchr2.retrieval.client import Http

        return Http.load(folder)
    raise ArtifactError(f"{path}: unknown kind of index {kind!r}; `searchr2 index` builds one")


def make_engine(
    settings: config.Engine,
    codec: Codec,
    model: Callable[[], Any],
    weights: Weights,
    once: Once = call,
) -> Engine:
    """Who samples: ``model()`` in this process, or servers that load ``weights``.

    ``once`` runs what one process does for all that train together.
    """
    if settings.kind == "local":
        from searchr2.engines.local import LocalEngine

        return LocalEngine(model(), codec, settings.max_rows)
    from searchr2.engines.remote import RemoteEngine
    from searchr2.engines.sglang import Sglang
    from searchr2.engines.vllm import Vllm

    dialect = Vllm() if settings.kind == "vllm" else Sglang()
    return RemoteEngine(dialect, settings, codec, weights, once)


def make_judge(reward: Reward, judge: config.Judge) -> Judge | None:
    """The process reward's judge; ``None`` where the reward is EM alone."""
    if not reward.process:
        return None
    if judge.kind == "evidence":
        from searchr2.judging.evidence import EvidenceJudge

        return EvidenceJudge()
    from searchr2.judging.model import TEMPLATES, ModelJudge

    templates = read_templates(judge.templates, TEMPLATES, "judge.templates")
    return ModelJudge(make_chat(judge), templates)


def make_pair_judge(judge: config.QualityJudge) -> PairJudge:
    """The judge of trajectory quality."""
    if judge.kind == "rules":
        from searchr2.quality.rules import RuleJudge

        return RuleJudge()
    from searchr2.quality.model import TEMPLATES, ModelPairJudge

    templates = read_templates(judge.templates, TEMPLATES, "quality.judge.templates")
    return ModelPairJudge(make_chat(judge), templates)


def make_chat(judge: config.JudgeModel) -> Chat:
    """The judging model, in this process or behind a server."""
    if judge.kind == "http":
        from searchr2.judging.http import HttpChat

        return HttpChat(judge)
    from searchr2.codec import Codec
    from searchr2.engines.local import LocalEngine
    from searchr2.judging.local import LocalChat

    quiet()
    weights = weights_folder(judge.model or "", "judge.model names it")
    codec = Codec.load(weights)
    # what is judged once is not asked again: no prefix is worth its memory
    engine = LocalEngine(load_model(weights), codec, max_rows=judge.concurrency, cache_bytes=0)
    return LocalChat(engine, codec, judge.max_tokens, judge.chat)
