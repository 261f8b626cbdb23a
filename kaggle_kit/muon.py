"""Muon for whole networks: for matrices and filters, with AdamW for the rest."""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kaggle_kit.device import native_half_precision

# Of x, x^3 and x^5: the quintic that lifts small singular values fastest (Jordan).
_MUON_QUINTIC = (3.4445, -4.7750, 2.0315)
_MUON_SMALLEST_NORM = 1e-7
_MUON_USUAL_STEP = 0.2  # root mean square of AdamW's updates, Liu et al.


class MuonAdamW(torch.optim.Optimizer):
    """Muon where weights have two dimensions or more, AdamW for biases and norms.

    Muon (Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks")
    steps along its momentum with all singular values brought near 1. Filters (out, in,
    height, width) are to it a matrix (out, in * height * width). Its steps are made as
    long as AdamW's usual ones (Liu et al., arXiv 2502.16982, section 2.2), so that one
    learning rate and one weight decay serve both.

    On matrices the steps are those of `torch.optim.Muon`, which takes nothing else,
    and computes in bfloat16 also where that is emulated (T4) or many times slower than
    float32 (most CPUs); here it is used where `native_half_precision` names it.

    A group with `"muon": False` is left to AdamW as a whole, as is the custom for
    embeddings and, in language models, for the classifier.

    Args:
        params: Parameters or groups.
        lr: Learning rate of both.
        weight_decay: Of both; a step shrinks the weights by lr * weight_decay.
        momentum: Muon's, in Nesterov's form; a schedule of "momentum" is of this one.
        betas: AdamW's.
        eps: AdamW's.
        muon: False leaves everything to AdamW.
    """

    def __init__(
        self,
        params: Any,  # noqa: ANN401 - as torch.optim has it
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        muon: bool = True,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0:
            raise ValueError(
                f"lr, eps and weight_decay must be >= 0, got {lr}, {eps} and "
                f"{weight_decay}"
            )
        if not all(0 <= share < 1 for share in (momentum, *betas)):
            raise ValueError(
                f"momentum and betas must lie in 0..1, got {momentum} and {betas}"
            )
        values = {"lr": lr, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {**values, "betas": betas, "eps": eps, "muon": muon})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Tensor] | None = None
    ) -> Tensor | None:
        """One step; a closure recomputes the loss first."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            others = []
            for weights in group["params"]:
                if not (group["muon"] and weights.ndim >= 2):
                    others.append(weights)
                elif weights.grad is not None:
                    self._step_muon(weights, weights.grad, group)
            if others:
                self._step_adamw(others, group)
        return loss

    def _step_muon(self, weights: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
        matrix = grad.lerp(buffer, group["momentum"]).flatten(1)
        update = orthogonalised(matrix, _muon_dtype(weights.device))
        length = _MUON_USUAL_STEP * math.sqrt(max(matrix.shape))
        weights.mul_(1 - group["lr"] * group["weight_decay"])
        weights.add_(update.reshape(weights.shape), alpha=-group["lr"] * length)

    def _step_adamw(self, weights: list[Tensor], group: dict[str, Any]) -> None:
        # Made anew in every step: what lasts is in this optimizer's groups and state,
        # where schedules, checkpoints and copies look for it.
        names = ("lr", "weight_decay", "betas", "eps")
        adamw = torch.optim.AdamW(weights, **{name: group[name] for name in names})
        adamw.state = self.state
        adamw.step()


@functools.cache  # it reads a file, and the hardware stays
def _muon_dtype(device: torch.device) -> torch.dtype:
    half = native_half_precision(device) == torch.bfloat16
    return torch.bfloat16 if half else torch.float32


def orthogonalised(matrix: Tensor, dtype: torch.dtype, steps: int = 5) -> Tensor:
    """About U V^T for a matrix U S V^T: singular values between 0.7 and 1.2.

    Newton-Schulz iteration with Jordan's quintic; values below a hundredth of the
    matrix's norm stay smaller.

    Args:
        matrix: (rows, columns), floating.
        dtype: Computed in, and returned.
        steps: Of the iteration.
    """
    first, third, fifth = _MUON_QUINTIC
    tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T.to(dtype) if tall else matrix.to(dtype)
    x = x / x.norm().clamp(min=_MUON_SMALLEST_NORM)
    for _ in range(steps):
        gram = x @ x.T
        x = torch.addmm(
            x, torch.addmm(gram, gram, gram, beta=third, alpha=fifth), x, beta=first
        )
    return x.T if tall else x
