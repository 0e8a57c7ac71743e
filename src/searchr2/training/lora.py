"""Low-rank adapters (Hu et al., arXiv 2106.09685) by peft: what is trained where memory is short.

The weights stay as they are, so the reference policy is the same model with its adapters off.
"""

from __future__ import annotations

from typing import Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer

from searchr2.config import ConfigError, Lora

NAME = "default"


def add_adapters(model: Any, settings: Lora, seed: int) -> None:
    """Give ``model`` adapters, whose first values are a function of ``seed``, and freeze the rest.

    They begin as nothing: the model's outputs are what they were. Raises ``ConfigError`` where no
    layer has a name in ``settings.targets``.
    """
    assert settings.rank is not None
    torch.manual_seed(seed)
    adapters = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        target_modules=settings.targets or "all-linear",
    )
    try:
        inject_adapter_in_model(adapters, model, NAME)
    except ValueError as error:
        raise ConfigError(f"lora.targets: {error}") from None


def layers(model: torch.nn.Module) -> dict[str, Any]:
    """The layers that have an adapter, by name."""
    return {name: layer for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def merged(model: torch.nn.Module) -> dict[str, torch.Tensor] | None:
    """The weights with the adapters' products added to them, as the model names them without any.

    ``None`` where there are no adapters. The sum is made in fp32; the model keeps what it has.
    """
    adapted = layers(model)
    if not adapted:
        return None
    weights = {
        name.replace(".base_layer.", "."): value
        for name, value in model.state_dict().items()
        if ".lora_" not in name
    }
    for name, layer in adapted.items():
        whole = f"{name}.weight"
        product = layer.get_delta_weight(NAME).float()
        weights[whole] = (weights[whole].float() + product).to(weights[whole].dtype)
    return weights


class WithoutAdapters(torch.nn.Module):
    """The model as it was before it got adapters: the reference policy."""

    def __init__(self, model: torch.nn.Module, adapted: torch.nn.Module) -> None:
        """``model`` is called; ``adapted`` is the part of it that holds the adapters."""
        super().__init__()
        self.model, self.layers = model, list(layers(adapted).values())

    def forward(self, **inputs: Any) -> Any:
        self._use(False)
        try:
            return self.model(**inputs)
        finally:
            self._use(True)

    def _use(self, adapters: bool) -> None:
        for layer in self.layers:
            layer._disable_adapters = not adapters
