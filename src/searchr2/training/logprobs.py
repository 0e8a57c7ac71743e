"""Log-probabilities of a batch's tokens under a model: what every loss here is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from searchr2.packing import Batch


@dataclass(frozen=True)
class Tensors:
    """A ``Batch`` on the model's device, shifted so that column t is of token t + 1: (B, T - 1)."""

    ids_BT: torch.Tensor
    valid_BT: torch.Tensor
    loss_BT: torch.Tensor
    old_logp_BT: torch.Tensor
    advantage_B: torch.Tensor
    verdict_B: torch.Tensor
    own_logp_BT: torch.Tensor | None = None
    """The trainer's own log-probabilities at the step's beginning, where they are kept."""


def tensors(batch: Batch, device: torch.device) -> Tensors:
    """Arrays to tensors; ``ids_BT`` and ``valid_BT`` keep all T columns, others drop the first."""
    return Tensors(
        ids_BT=torch.from_numpy(batch.ids_BT).to(device),
        valid_BT=torch.from_numpy(batch.valid_BT).to(device),
        loss_BT=torch.from_numpy(batch.loss_BT[:, 1:]).to(device),
        old_logp_BT=torch.from_numpy(batch.old_logp_BT[:, 1:]).to(device),
        advantage_B=torch.from_numpy(batch.advantage_B).to(device),
        verdict_B=torch.from_numpy(batch.verdict_B).to(device),
    )


def token_logprobs(
    model: torch.nn.Module, batch: Tensors, temperature: float = 1.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """log p of each trained token (B, T - 1), 0 elsewhere, in nats at the Actor's ``temperature``;
    and the summed entropy of those tokens' distributions (0-d, no gradient)."""
    # columns worth projecting onto the vocabulary
    kept = batch.loss_BT.any(dim=0).nonzero().squeeze(1)
    logits = model(
        input_ids=batch.ids_BT,
        attention_mask=batch.valid_BT.long(),
        use_cache=False,
        logits_to_keep=kept,
    ).logits
    temperature_B = torch.where(batch.verdict_B, 1.0, temperature or 1.0)
    temperature_N = temperature_B[batch.loss_BT.nonzero()[:, 0]]
    logits_NV = logits[batch.loss_BT[:, kept]].float() / temperature_N[:, None]
    logp_NV = torch.log_softmax(logits_NV, dim=-1)
    target_N = batch.ids_BT[:, 1:][batch.loss_BT]
    logp_N = logp_NV.gather(1, target_N[:, None]).squeeze(1)
    with torch.no_grad():
        entropy = -(logp_NV.exp() * logp_NV).sum()
    logp_BT = torch.zeros_like(batch.old_logp_BT).masked_scatter(batch.loss_BT, logp_N)
    return logp_BT, entropy
