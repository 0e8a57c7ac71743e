"""The JSON DeepSpeed is given: presets of ours, and the user's own file laid over them.

What our settings say already the file must leave out or say alike; it is refused before any model
is loaded. "auto", which the Hugging Face Trainer fills in, is read as left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from searchr2.config import ConfigError, Deepspeed, Grpo, Updates
from searchr2.files import read_json

JSON = dict[str, Any]
Said = Mapping[str, tuple[Any, str]]
"""DeepSpeed's key, with dots -> its value, and the setting of ours that it comes from."""
MAX_NORM = 1.0
"""At which supervised training clips its gradient."""
ZERO = "zero_optimization"
FIXED: Said = {
    "train_micro_batch_size_per_gpu": (1, "ours, who fill passes by grpo.micro_batch_tokens,"),
    "gradient_accumulation_steps": (1, "ours, who sum gradients until the update,"),
    "managed_gradient_accumulation": (False, "ours, who sum gradients until the update,"),
    "optimizer.type": ("AdamW", "the only one here"),
}
NEVER = {
    "scheduler": "the learning rate follows warmup_ratio",
    "fp16.enabled": "losses are not scaled here; use bf16",
    "activation_checkpointing": "transformers models do not read it; set"
    " deepspeed.activation_checkpointing: true",
}
"""Keys that would do harm, or nothing, and why."""


def for_grpo(settings: Deepspeed, grpo: Grpo) -> JSON:
    """AdamW with its usual betas and no weight decay; ``ConfigError`` as in ``_resolve``."""
    rollouts = grpo.prompts_per_step * grpo.group_size
    return _resolve(
        settings,
        {
            "train_batch_size": (rollouts, "grpo.prompts_per_step times grpo.group_size"),
            "gradient_clipping": (grpo.max_grad_norm, "grpo.max_grad_norm"),
            "optimizer.params.lr": (grpo.learning_rate, "grpo.learning_rate"),
            "optimizer.params.betas": ([0.9, 0.999], "GRPO's"),
            "optimizer.params.weight_decay": (0.0, "GRPO's"),
        },
    )


def for_updates(settings: Deepspeed, updates: Updates) -> JSON:
    """For a stage of supervised training; ``ConfigError`` as in ``_resolve``."""
    return _resolve(
        settings,
        {
            "train_batch_size": (updates.batch_size, "the stage's batch_size"),
            "gradient_clipping": (MAX_NORM, "supervised training's"),
            "optimizer.params.lr": (updates.learning_rate, "the stage's learning_rate"),
            "optimizer.params.betas": ([0.9, updates.adam_beta2], "0.9 and the stage's adam_beta2"),
            "optimizer.params.weight_decay": (updates.weight_decay, "the stage's weight_decay"),
        },
    )


def _resolve(settings: Deepspeed, of_stage: Said) -> JSON:
    """Raises ``ConfigError`` with a line for each key that cannot be what the file says."""
    own = _filled(read_json(Path(settings.config))) if settings.config else {}
    said = {**FIXED, **of_stage, **_presets(settings)}
    wrong = [
        f"{key} is {found!r}, but {setting} is {value!r}"
        for key, (value, setting) in said.items()
        if (found := _get(own, key)) not in (None, value)
    ]
    wrong += [f"{key}: {why}" for key, why in NEVER.items() if _get(own, key)]
    half = settings.bf16 or bool(_get(own, "bf16.enabled"))
    merged = _over(_defaults(half), own)
    for key, (value, _) in said.items():
        _put(merged, key, value)
    stage = _get(merged, f"{ZERO}.stage")
    if half and not stage:
        wrong.append("bf16 needs ZeRO stage 1 or more, which sums gradients in fp32, and it is 0")
    for part, least in {"optimizer": 1, "param": 3}.items():
        if _get(merged, f"{ZERO}.offload_{part}.device") not in (None, "none") and stage < least:
            wrong.append(f"{ZERO}.offload_{part} needs stage {least} or more, and it is {stage}")
    if wrong:
        source = f"deepspeed.config: {settings.config}" if settings.config else "deepspeed"
        raise ConfigError("\n".join(f"{source}: {line}" for line in wrong))
    del merged["train_batch_size"]  # ours varies with lengths: DeepSpeed need not count
    # set before each update; the step by which ZeRO makes its states must change nothing
    merged["optimizer"]["params"]["lr"] = 0.0
    return merged


def _presets(settings: Deepspeed) -> dict[str, tuple[Any, str]]:
    """What the section ``deepspeed`` says; ``None`` there leaves it to the file."""
    device = {True: "cpu", False: "none", None: None}
    chosen = {
        f"{ZERO}.stage": (settings.zero_stage, "deepspeed.zero_stage"),
        "bf16.enabled": (settings.bf16, "deepspeed.bf16"),
        f"{ZERO}.offload_optimizer.device": (
            device[settings.offload_optimizer],
            "deepspeed.offload_optimizer",
        ),
        f"{ZERO}.offload_param.device": (
            device[settings.offload_parameters],
            "deepspeed.offload_parameters",
        ),
    }
    return {key: (value, name) for key, (value, name) in chosen.items() if value is not None}


def _defaults(half: bool) -> JSON:
    """Where neither says anything; ``half``: in bf16.

    torch's AdamW needs no compiler, wherever its states are.
    """
    return {
        "optimizer": {"params": {"torch_adam": True}},
        "bf16": {"enabled": False},
        "data_types": {"grad_accum_dtype": "fp32"},
        ZERO: {"stage": int(half)},
        "zero_force_ds_cpu_optimizer": False,
        "zero_allow_untested_optimizer": True,
    }


def _filled(own: Any) -> JSON:
    """The file without what it leaves open."""
    if not isinstance(own, dict):
        raise ConfigError("deepspeed.config: not a JSON object")
    return {
        key: _filled(value) if isinstance(value, dict) else value
        for key, value in own.items()
        if value not in (None, "auto")
    }


def _over(under: JSON, over: JSON) -> JSON:
    """``over`` laid over ``under``, section by section."""
    merged = dict(under)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(under.get(key), dict)
        merged[key] = _over(under[key], value) if both else value
    return merged


def _get(settings: JSON, key: str) -> Any:
    found: Any = settings
    for part in key.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def _put(settings: JSON, key: str, value: Any) -> None:
    *sections, last = key.split(".")
    for section in sections:
        settings = settings.setdefault(section, {})
    settings[last] = value
