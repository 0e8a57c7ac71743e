"""DeepSpeed's settings: presets, the user's own file, and what both say differently."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from pydantic import ValidationError

from searchr2.config import ConfigError, Deepspeed, Grpo, Updates
from searchr2.files import DataError
from searchr2.training.deepspeed_json import for_grpo, for_updates

GRPO = Grpo(learning_rate=1e-6, max_grad_norm=0.5, prompts_per_step=4, group_size=3)


@pytest.fixture
def own(tmp_path):
    """Settings whose file holds this."""

    def of(content, **settings):
        path = tmp_path / "ds.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return Deepspeed(config=str(path), **settings)

    return of


def refusal(settings, grpo=GRPO):
    with pytest.raises(ConfigError) as caught:
        for_grpo(settings, grpo)
    return str(caught.value)


def test_by_default_nothing_is_split_and_all_is_in_fp32():
    made = for_grpo(Deepspeed(), GRPO)
    assert made["zero_optimization"] == {"stage": 0}
    assert made["bf16"] == {"enabled": False}
    assert made["gradient_clipping"] == 0.5
    adam = {"torch_adam": True, "lr": 0.0, "betas": [0.9, 0.999], "weight_decay": 0.0}
    assert made["optimizer"] == {"type": "AdamW", "params": adam}


@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_presets(stage):
    made = for_grpo(Deepspeed(zero_stage=stage), GRPO)
    assert made["zero_optimization"]["stage"] == stage
    if stage == 3:
        made = for_grpo(
            Deepspeed(zero_stage=3, offload_optimizer=True, offload_parameters=True), GRPO
        )
        assert made["zero_optimization"]["offload_optimizer"] == {"device": "cpu"}
        assert made["zero_optimization"]["offload_param"] == {"device": "cpu"}


def test_bf16_sums_gradients_in_fp32_from_stage_1_on():
    made = for_grpo(Deepspeed(bf16=True), GRPO)
    assert (made["bf16"]["enabled"], made["zero_optimization"]["stage"]) == (True, 1)
    assert made["data_types"] == {"grad_accum_dtype": "fp32"}
    assert "bf16 needs ZeRO stage 1" in refusal(Deepspeed(bf16=True, zero_stage=0))


def test_the_stage_of_supervised_training_says_its_own_optimizer():
    made = for_updates(Deepspeed(), Updates(weight_decay=0.1, adam_beta2=0.95))
    assert made["optimizer"]["params"]["betas"] == [0.9, 0.95]
    assert made["optimizer"]["params"]["weight_decay"] == 0.1
    assert made["gradient_clipping"] == 1.0


def test_what_the_file_says_and_we_do_not_is_taken(own):
    zero = {"stage": 2, "overlap_comm": True, "offload_optimizer": {"device": "nvme"}}
    made = for_grpo(
        own(
            {
                "zero_optimization": zero,
                "bf16": {"enabled": True},
                "optimizer": {"params": {"eps": 1e-7, "torch_adam": False}},
                "wall_clock_breakdown": True,
            }
        ),
        GRPO,
    )
    assert made["zero_optimization"] == zero
    assert made["optimizer"]["params"]["eps"] == 1e-7
    assert made["optimizer"]["params"]["torch_adam"] is False
    assert made["wall_clock_breakdown"] is True
    assert made["data_types"] == {"grad_accum_dtype": "fp32"}


def test_what_both_say_alike_is_no_conflict(own):
    alike = {
        "train_batch_size": 12,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 0.5,
        "optimizer": {"type": "AdamW", "params": {"lr": 1e-6, "weight_decay": 0.0}},
        "zero_optimization": {"stage": 3},
    }
    made = for_grpo(own(alike, zero_stage=3), GRPO)
    assert made["optimizer"]["params"]["lr"] == 0.0
    assert "train_batch_size" not in made


CONFLICTS = {
    "train_batch_size": (8, "is 8, but grpo.prompts_per_step times grpo.group_size is 12"),
    "train_micro_batch_size_per_gpu": (4, "is 4, but ours, who fill passes by grpo.micro_batch"),
    "gradient_accumulation_steps": (16, "is 16, but ours, who sum gradients until the update, is"),
    "gradient_clipping": (1.0, "is 1.0, but grpo.max_grad_norm is 0.5"),
    "optimizer.type": ("Lion", "is 'Lion', but the only one here is 'AdamW'"),
    "optimizer.params.lr": (1e-5, "is 1e-05, but grpo.learning_rate is 1e-06"),
    "optimizer.params.weight_decay": (0.1, "is 0.1, but GRPO's is 0.0"),
    "zero_optimization.stage": (3, "is 3, but deepspeed.zero_stage is 2"),
    "bf16.enabled": (True, "is True, but deepspeed.bf16 is False"),
    "zero_optimization.offload_optimizer.device": ("nvme", "but deepspeed.offload_optimizer is"),
    "scheduler": ({"type": "WarmupLR"}, ": the learning rate follows warmup_ratio"),
    "fp16.enabled": (True, ": losses are not scaled here; use bf16"),
    "activation_checkpointing": (
        {"partition_activations": True},
        "deepspeed.activation_checkpointing: true",
    ),
}


@pytest.mark.parametrize(("key", "conflict"), CONFLICTS.items())
def test_a_conflict_names_the_key_and_both_values(own, key, conflict):
    value, message = conflict
    content = value
    for part in reversed(key.split(".")):
        content = {part: content}
    said = refusal(own(content, zero_stage=2, bf16=False, offload_optimizer=True))
    assert f"ds.json: {key}" in said
    assert message in said


def test_all_conflicts_are_named_at_once(own):
    content = {"gradient_clipping": 9, "scheduler": {"type": "WarmupLR"}}
    assert len(refusal(own(content)).splitlines()) == 2


def test_auto_is_left_to_us(own):
    auto = {
        "train_batch_size": "auto",
        "gradient_clipping": "auto",
        "optimizer": {"type": "AdamW", "params": {"lr": "auto", "betas": "auto"}},
        "zero_optimization": {"stage": 3, "reduce_bucket_size": "auto"},
    }
    made = for_grpo(own(auto), GRPO)
    assert made["zero_optimization"] == {"stage": 3}
    assert made["optimizer"]["params"]["betas"] == [0.9, 0.999]


def test_what_cannot_be_offloaded_is_refused():
    assert "offload_optimizer needs stage 1" in refusal(Deepspeed(offload_optimizer=True))
    said = refusal(Deepspeed(zero_stage=2, offload_parameters=True))
    assert "offload_param needs stage 3 or more, and it is 2" in said


def test_a_file_that_is_none_is_named(own, tmp_path):
    with pytest.raises(DataError, match=r"ds\.json: not JSON"):
        for_grpo(own("{"), GRPO)
    assert "not a JSON object" in refusal(own([1]))
    with pytest.raises(DataError, match="nowhere"):
        for_grpo(Deepspeed(config=str(tmp_path / "nowhere.json")), GRPO)


def test_a_stage_that_does_not_exist_is_no_setting():
    with pytest.raises(ValidationError):
        Deepspeed(zero_stage=4)


def test_a_conflict_is_said_before_anything_is_loaded(own, tmp_path):
    """The model, the index and the questions that are named here do not exist."""
    settings = own({"gradient_clipping": 7})
    run = {
        "run": "r",
        "seed": 1,
        "backbone": "b",
        "deepspeed": settings.model_dump(),
        "paths": {"model": "no", "index": "no", "train": ["no"], "validation": ["no"]},
    }
    path = tmp_path / "run.json"
    path.write_text(json.dumps(run))
    train = [sys.executable, "-m", "searchr2.cli.main", "train", "--config", str(path)]
    done = subprocess.run(
        [*train, "--out", str(tmp_path / "out")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "gradient_clipping is 7, but grpo.max_grad_norm is 1.0" in done.stderr
    assert not (tmp_path / "out").exists()
