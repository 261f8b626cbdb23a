"""Averages of the weights over training: EMA."""

from typing import Any

import torch
from torch import Tensor

from kaggle_kit.events import Callback, LearnerState


class ModelEma(Callback):
    """Exponential moving average of weights and buffers, validated and kept.

    Training goes on with the plain weights. From the start of each validation until the
    next training pass the model holds the averaged ones, so that whoever looks at the
    model after an epoch (best checkpoint, early stopping) sees the weights that were
    validated; after the fit they stay.

    Args:
        decay: Share of the average kept in each step.
        warmup: Begin with the smaller decay (1 + n) / (10 + n) after n steps, so that
            the random first weights are soon forgotten.
    """

    order = -10

    def __init__(self, decay: float = 0.999, warmup: bool = True) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"decay must lie in 0..1, got {decay}")
        self.decay = decay
        self.warmup = warmup
        self._average: dict[str, Tensor] = {}
        self._plain: dict[str, Tensor] = {}
        self._live: dict[str, Tensor] = {}
        self._updates = 0

    def before_fit(self, learner: LearnerState) -> None:
        """Start the average from the present weights."""
        self._average = _ema_copy(learner.model.state_dict())
        self._plain = {}
        self._updates = 0

    def before_train(self, learner: LearnerState) -> None:
        """Go back to the plain weights."""
        self._leave(learner)
        self._live = {}

    def after_step(self, learner: LearnerState) -> None:
        """Move the average towards the weights."""
        if not self._live:  # once per pass: collecting them takes longer than moving
            self._live = learner.model.state_dict()
        self._updates += 1
        n = self._updates
        decay = min(self.decay, (1 + n) / (10 + n)) if self.warmup else self.decay
        moving = [k for k, v in self._live.items() if v.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_(
                [self._average[name] for name in moving],
                [self._live[name] for name in moving],
                1 - decay,
            )
            for name in self._live.keys() - set(moving):  # BatchNorm's counters
                self._average[name].copy_(self._live[name])

    def before_validate(self, learner: LearnerState) -> None:
        """Validate the averaged weights."""
        self._enter(learner)

    def cleanup_fit(self, learner: LearnerState) -> None:
        """Leave the averaged weights in the model."""
        if self._average:
            self._enter(learner)
        self._average, self._plain, self._live = {}, {}, {}

    def state_dict(self) -> dict[str, Any]:
        """The average, the plain weights if the model holds the average, the count."""
        return {
            "average": self._average,
            "plain": self._plain,
            "updates": self._updates,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        for name, value in state["average"].items():
            self._average[name].copy_(value)
        self._plain = _ema_copy(state["plain"])
        self._updates = state["updates"]

    def _enter(self, learner: LearnerState) -> None:
        if self._plain or not self._average:
            return
        state = learner.model.state_dict()
        self._plain = _ema_copy(state)
        _ema_write(state, self._average)

    def _leave(self, learner: LearnerState) -> None:
        if self._plain:
            _ema_write(learner.model.state_dict(), self._plain)
            self._plain = {}


def _ema_copy(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in state.items()}


def _ema_write(state: dict[str, Tensor], values: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, value in state.items():
            value.copy_(values[name])
