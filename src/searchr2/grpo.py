"""GRPO on augmented traces (section 3.4, Eq. 2).

Where the paper is silent we chose: the clip is 0.2 (verl's default); a group's standard deviation
is the unbiased one, with 1e-6 added; the loss is the mean over all trained tokens of a mini-batch
(verl's token mean), meta-actions counting as any other token; a group whose rewards are equal has
advantage 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import torch

from searchr2.config import Grpo


def advantages(rewards_G: Sequence[float]) -> list[float]:
    """Rewards normalised within their group.

    Rewards 1, 1, 0, 0, 0: mean 0.4, deviation 0.5477, advantages 1.095, 1.095, -0.730, ...
    """
    mean = fmean(rewards_G)
    deviation = stdev(rewards_G) if len(rewards_G) > 1 else 0.0
    return [(reward - mean) / (deviation + 1e-6) for reward in rewards_G]


@dataclass(frozen=True)
class Terms:
    """Sums over the trained tokens of a batch (0-d tensors); only ``loss`` carries a gradient."""

    loss: torch.Tensor
    clipped: torch.Tensor
    kl: torch.Tensor
    sampler_gap: torch.Tensor
    sampler_kl: torch.Tensor
    sampler_gap_max: torch.Tensor
    """The largest instead of the sum."""
    capped: torch.Tensor | None
    """``None`` without truncated importance sampling."""


def surrogate(
    logp_BT: torch.Tensor,
    old_logp_BT: torch.Tensor,
    reference_logp_BT: torch.Tensor,
    advantage_B: torch.Tensor,
    loss_BT: torch.Tensor,
    settings: Grpo,
    own_logp_BT: torch.Tensor | None = None,
) -> Terms:
    """PPO's clipped surrogate plus the KL penalty, summed over tokens, to divide by their number.

    Log-probabilities have shape (B, T) in nats; ``old_logp_BT`` are the sampler's. Its gap is
    |log p - log p_old|, its KL k3 of KL(sampler || trainer): what separates the trainer's numbers
    from the rollout engine's, at the first mini-batch of a step.

    With ``importance_cap`` C the ratio is to ``own_logp_BT``, what the trainer itself made of the
    tokens before the step's first update (by default what it makes of them now), and the surrogate
    is weighed by min(p_own / p_old, C): truncated importance sampling.
    """
    weight = loss_BT.to(logp_BT.dtype)
    own = logp_BT.detach() if own_logp_BT is None else own_logp_BT
    log_importance = (own - old_logp_BT) * weight
    start = old_logp_BT if settings.importance_cap is None else own
    ratio = torch.exp((logp_BT - start) * weight)
    advantage = advantage_B[:, None]
    bounded = ratio.clamp(1 - settings.clip, 1 + settings.clip)
    policy = -torch.minimum(ratio * advantage, bounded * advantage)
    capped = None
    if settings.importance_cap is not None:
        importance = log_importance.exp()
        policy = policy * importance.clamp(max=settings.importance_cap)
        capped = ((importance > settings.importance_cap) * weight).sum()
    kl = k3((logp_BT - reference_logp_BT) * weight)
    loss = ((policy + settings.kl_coefficient * kl) * weight).sum()
    return Terms(
        loss=loss,
        clipped=((ratio * advantage > bounded * advantage) * weight).sum().detach(),
        kl=(kl * weight).sum().detach(),
        sampler_gap=log_importance.abs().sum(),
        sampler_kl=k3(-log_importance).sum(),
        sampler_gap_max=log_importance.abs().max(),
        capped=capped,
    )


def k3(log_ratio: torch.Tensor) -> torch.Tensor:
    """The low-variance estimator of KL(policy || reference): exp(-x) - 1 + x >= 0.

    x is log p - log p_ref.
    """
    return torch.exp(-log_ratio) - 1 + log_ratio
