"""Lookahead: fast weights explore, slow weights follow; and with Ralamb, Over9000."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from kaggle_kit.lamb import Ralamb


class Lookahead(torch.optim.Optimizer):
    """Lookahead around any optimizer, Zhang et al., arXiv 1907.08610, algorithm 1.

    After every `k` steps of the inner optimizer the slow weights go the share `alpha`
    of the way to the fast ones, and these go on from there.

    Args:
        inner: Makes the fast steps; its groups, values and state are shared.
        k: Fast steps per slow one.
        alpha: Share of the way.
    """

    def __init__(
        self, inner: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5
    ) -> None:
        if k < 1:
            raise ValueError(f"k must be at least 1 step, got {k}")
        if not 0 < alpha <= 1:
            raise ValueError(f"alpha must lie above 0 and up to 1, got {alpha}")
        super().__init__(inner.param_groups, inner.defaults)
        self.inner = inner
        self.k = k
        self.alpha = alpha
        self.steps = 0
        # The same objects: what schedules and clipping change, the inner one sees.
        self.param_groups, self.state = inner.param_groups, inner.state
        self._slow = [weights.detach().clone() for weights in self._weights()]

    def step(  # type: ignore[override]
        self, closure: Callable[[], float] | None = None
    ) -> float | None:
        """One fast step, and a slow one after every k of them."""
        loss = self.inner.step(closure) if closure is not None else self.inner.step()
        self.steps += 1
        if self.steps % self.k == 0:
            with torch.no_grad():
                for slow, fast in zip(self._slow, self._weights(), strict=True):
                    slow.lerp_(fast, self.alpha)
                    fast.copy_(slow)
        return loss

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group to the inner optimizer; its slow weights start here."""
        if not hasattr(self, "inner"):  # the base class takes the groups one by one
            super().add_param_group(param_group)
            return
        self.inner.add_param_group(param_group)
        added = self.inner.param_groups[-1]["params"]
        self._slow += [weights.detach().clone() for weights in added]

    def state_dict(self) -> dict[str, Any]:
        """State of the inner optimizer, the slow weights and the count."""
        return {**self.inner.state_dict(), "slow": self._slow, "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        rest = {k: v for k, v in state_dict.items() if k not in ("slow", "steps")}
        self.inner.load_state_dict(rest)
        self.param_groups, self.state = self.inner.param_groups, self.inner.state
        with torch.no_grad():
            for slow, given in zip(self._slow, state_dict["slow"], strict=True):
                slow.copy_(given)
        self.steps = state_dict["steps"]

    def _weights(self) -> list[Tensor]:
        return [p for group in self.inner.param_groups for p in group["params"]]


def over9000(
    params: Any,  # noqa: ANN401 - as torch.optim has it
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-6,
    weight_decay: float = 0.0,
    k: int = 6,
    alpha: float = 0.5,
) -> Lookahead:
    """RAdam, LARS and Lookahead in one: `Lookahead(Ralamb(...))`.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        betas: See `Ralamb`, as the next two.
        eps: Added to the denominator.
        weight_decay: Share of the weights in the step.
        k: See `Lookahead`, as the last one.
        alpha: Share of the way of a slow step.
    """
    return Lookahead(Ralamb(params, lr, betas, eps, weight_decay), k, alpha)
