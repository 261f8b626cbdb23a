"""LAMB and Ralamb: Adam's direction, with a step as long as the layer's weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

_LAMB_LARGEST_NORM = 10.0


class Lamb(torch.optim.Optimizer):
    """LAMB, You et al., arXiv 1904.00962, algorithm 2.

    With Adam's bias-corrected moments m and v, r = m / (sqrt(v) + eps) + weight_decay
    * w, each tensor w of weights goes lr * min(|w|, 10) / |r| in the direction -r. The
    ratio is 1 where one of the norms is 0.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        betas: Shares of the first and the second moment kept in each step.
        eps: Added to the denominator.
        weight_decay: Share of the weights in the step.
    """

    def __init__(
        self,
        params: Any,  # noqa: ANN401 - as torch.optim has it
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        if lr < 0 or eps < 0 or weight_decay < 0:
            raise ValueError(
                f"lr, eps and weight_decay must be >= 0, got {lr}, {eps} and "
                f"{weight_decay}"
            )
        if not (0 <= betas[0] < 1 and 0 <= betas[1] < 1):
            raise ValueError(f"betas must lie in 0..1, got {betas}")
        values = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, values)

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
            for weights in group["params"]:
                if weights.grad is not None:
                    self._step_one(weights, weights.grad, group)
        return loss

    def direction(
        self, mean: Tensor, square: Tensor, step: int, group: dict[str, Any]
    ) -> Tensor:
        """Direction against which the weights go, before decay and scaling.

        Args:
            mean: First moment, not corrected.
            square: Second moment, not corrected.
            step: Number of this step, from 1.
            group: Parameter group.
        """
        beta1, beta2 = group["betas"]
        denominator = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        corrected: Tensor = mean / (1 - beta1**step)
        return corrected.div_(denominator)

    def _step_one(self, weights: Tensor, grad: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weights]
        if not state:
            state["step"] = 0
            state["mean"] = torch.zeros_like(weights)
            state["square"] = torch.zeros_like(weights)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(grad, 1 - beta1)
        state["square"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        update = self.direction(state["mean"], state["square"], state["step"], group)
        update.add_(weights, alpha=group["weight_decay"])
        weights.sub_(update.mul_(group["lr"] * layer_ratio(weights, update)))


class Ralamb(Lamb):
    """RAdam's direction with the layer-wise ratio of LARS and LAMB.

    RAdam (Liu et al., arXiv 1908.03265) does without the second moment while too few
    steps have been seen to know it, and corrects its variance later; as in
    `torch.optim.RAdam`, "too few" is a length of the moving average of 5 or less. The
    ratio (You et al., arXiv 1708.03888 and 1904.00962) is the one of `Lamb`.

    The widely copied code of that name divides by the norm of the weights after the
    step instead of that of the step itself, so that its ratio is nearly always 1 and
    its learning rates are those of RAdam: lower rates fit here.
    """

    def direction(
        self, mean: Tensor, square: Tensor, step: int, group: dict[str, Any]
    ) -> Tensor:
        """RAdam's direction; arguments as for `Lamb`."""
        beta1, beta2 = group["betas"]
        mean = mean / (1 - beta1**step)
        rectifier = radam_rectifier(step, beta2)
        if rectifier is None:
            return mean
        denominator = (square / (1 - beta2**step)).sqrt_().add_(group["eps"])
        return mean.mul_(rectifier).div_(denominator)


def layer_ratio(weights: Tensor, update: Tensor) -> Tensor:
    """min(|weights|, 10) / |update|, or 1 where one is 0; a scalar on the device."""
    long = weights.norm().clamp(max=_LAMB_LARGEST_NORM)
    wide = update.norm()
    # torch.where instead of a Python `if`: nothing waits for the device.
    return torch.where((long > 0) & (wide > 0), long / wide, torch.ones_like(long))


def radam_rectifier(step: int, beta2: float) -> float | None:
    """Correction of RAdam's variance, or None while it cannot be known.

    >>> radam_rectifier(5, 0.999) is None
    True
    """
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * step * beta2**step / (1 - beta2**step)
    if length <= 5:
        return None
    numerator = (length - 4) * (length - 2) * longest
    return math.sqrt(numerator / ((longest - 4) * (longest - 2) * length))
