"""The gain of the Meta-Refiner, taken apart (sections 3.5 and 4, Appendices B to D).

Delta J is what the mixture policy q earns above the Actor. With G_k = V(y_1:k) - R(y), 0 from T(y)
on, and every expectation over drafts y of pi_l that nobody has selected:

    Delta J = A_prec + V_inter * (S_trim + Gbar)                              Eq. 5, 6, 15
    A_prec  = Cov(alpha(y), R(y) - J_trim(y))        V_inter = 1 - E[alpha(y)]
    S_trim  = sum_k Cov(pi_h(k|y), G_k(y))           Gbar    = sum_k E[pi_h(k|y)] E[G_k(y)]

Over rejected drafts alone Delta J = V_inter * (S_rej + Gbar_rej): selection is in those two already
and A_prec must not be added. The two conventions are two classes here, each with its own sum.

An expectation is a weighted sum over drafts, so an enumerated world (weights are probabilities) and
a sample (equal weights) go through the same functions. Covariances divide by n: the sums above
then hold on the sample itself, which is algebra and proves nothing. The evidence is a Delta J
measured on other trajectories, and the residual between the two.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
"""Axes: _N drafts, _K steps kept (0 to the turn budget - 1), _Q questions, _R weightings."""


@dataclass(frozen=True, slots=True)
class Drafts:
    """Drafts of pi_l, accepted ones included, the Trimmer asked about those too."""

    reward_N: Array
    """R(y)."""
    accept_N: Array
    """alpha(y), between 0 and 1."""
    steps_N: NDArray[np.int64]
    """T(y)."""
    trimmer_NK: Array
    """pi_h(k|y); a row sums to 1 and is 0 from T(y) on."""
    value_NK: Array
    """V(y_1:k), or the mean reward of regenerations; from T(y) on it is not read."""

    @property
    def reached_NK(self) -> NDArray[np.bool_]:
        return np.arange(self.value_NK.shape[1]) < self.steps_N[:, None]

    @property
    def gain_NK(self) -> Array:
        """G_k(y); 0 where there is no step k + 1 to cut."""
        return np.where(self.reached_NK, self.value_NK - self.reward_N[:, None], 0.0)

    @property
    def corrected_N(self) -> Array:
        """J_trim(y); a draft without steps cannot be cut and stays R(y)."""
        corrected: Array = self.reward_N + (self.trimmer_NK * self.gain_NK).sum(axis=1)
        return corrected


@dataclass(frozen=True, slots=True)
class Unconditional:
    """The terms of Eq. 15, each of shape (R,); exact when nobody has selected the drafts."""

    a_prec: Array
    v_inter: Array
    s_trim: Array
    gbar: Array

    @property
    def total(self) -> Array:
        """Delta J."""
        return self.a_prec + self.v_inter * (self.s_trim + self.gbar)


@dataclass(frozen=True, slots=True)
class Rejected:
    """The same over rejected drafts alone; NaN where none is rejected."""

    v_inter: Array
    s_trim: Array
    gbar: Array

    @property
    def total(self) -> Array:
        """Delta J."""
        return self.v_inter * (self.s_trim + self.gbar)


def unconditional(drafts: Drafts, weight_RN: Array) -> Unconditional:
    """The terms over all drafts; each row of weights sums to 1."""
    accept_N, loss_N = drafts.accept_N, drafts.reward_N - drafts.corrected_N
    together, apart = weight_RN @ (accept_N * loss_N), (weight_RN @ accept_N) * (weight_RN @ loss_N)
    return Unconditional(together - apart, 1 - weight_RN @ accept_N, *_cuts(drafts, weight_RN))


def rejected(drafts: Drafts, weight_RN: Array) -> Rejected:
    """The terms over the drafts that were rejected, by how much they were (1 - alpha)."""
    weight_RN = weight_RN * (1 - drafts.accept_N)
    v_inter = weight_RN.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return Rejected(v_inter, *_cuts(drafts, weight_RN / v_inter[:, None]))


def _cuts(drafts: Drafts, weight_RN: Array) -> tuple[Array, Array]:
    """Summed over k: Cov(pi_h(k|y), G_k(y)), and E[pi_h(k|y)] E[G_k(y)]."""
    trimmer_NK, gain_NK = drafts.trimmer_NK, drafts.gain_NK
    together_RK = weight_RN @ (trimmer_NK * gain_NK)
    apart_RK = (weight_RN @ trimmer_NK) * (weight_RN @ gain_NK)
    return (together_RK - apart_RK).sum(axis=1), apart_RK.sum(axis=1)


def quantities(drafts: Drafts, weight_RN: Array) -> dict[str, Array]:
    """Every column of the table but what is measured on other trajectories, by name."""
    terms, over_rejected = unconditional(drafts, weight_RN), rejected(drafts, weight_RN)
    reached_NK = drafts.reached_NK.astype(float)
    with np.errstate(invalid="ignore", divide="ignore"):
        value_RK = (weight_RN @ (reached_NK * drafts.value_NK)) / (weight_RN @ reached_NK)
    return {
        "alpha": weight_RN @ drafts.accept_N,
        "R": weight_RN @ drafts.reward_N,
        "J_trim": weight_RN @ drafts.corrected_N,
        **{f"V_{k}": value_RK[:, k] for k in range(value_RK.shape[1])},
        "A_prec": terms.a_prec,
        "V_inter": terms.v_inter,
        "S_trim": terms.s_trim,
        "Gbar": terms.gbar,
        "delta_J_sum": terms.total,
        "S_rej": over_rejected.s_trim,
        "Gbar_rej": over_rejected.gbar,
        "delta_J_rejected_sum": over_rejected.total,
    }


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its standard error; ``None`` where there is nothing to take it from."""

    value: float | None
    error: float | None


def estimate(
    drafts: Drafts, question_N: NDArray[np.int64], lift_M: Array, question_M: NDArray[np.int64]
) -> dict[str, Estimate]:
    """Every quantity of a sample, with its standard error over questions.

    ``lift_M`` is R(final) - R(draft) of M traces of q, drawn apart from the drafts; its mean is
    ``delta_J``, and ``residual`` is that less ``delta_J_sum``. Both samples number the questions
    0..Q-1 alike. Errors are a jackknife that leaves out a question with all its trajectories: they
    hold the noise of questions, drafts and regenerations, and for a mean are s / sqrt(Q).
    """
    questions = int(question_N.max()) + 1
    weight_RQ = np.vstack([np.ones(questions), 1 - np.eye(questions)])
    values = quantities(drafts, _spread(weight_RQ, question_N))
    values["delta_J"] = _spread(weight_RQ, question_M) @ lift_M
    values["residual"] = values["delta_J"] - values["delta_J_sum"]
    return {name: _jackknife(value_R[0], value_R[1:]) for name, value_R in values.items()}


def _spread(weight_RQ: Array, question_N: NDArray[np.int64]) -> Array:
    """The weights of questions as weights of their trajectories; each row sums to 1."""
    weight_RN = weight_RQ[:, question_N]
    spread: Array = weight_RN / np.maximum(weight_RN.sum(axis=1, keepdims=True), 1e-300)
    return spread


def _jackknife(value: float, left_out_Q: Array) -> Estimate:
    """``value`` with sqrt((Q - 1) / Q * sum of squares) of what it is without each question."""
    count = len(left_out_Q)
    if math.isnan(value):
        return Estimate(None, None)
    if count < 2 or np.isnan(left_out_Q).any():
        return Estimate(float(value), None)
    squares = float(((left_out_Q - left_out_Q.mean()) ** 2).sum())
    return Estimate(float(value), math.sqrt((count - 1) / count * squares))
