"""Mixed precision, chosen from what the hardware computes natively."""

from contextlib import ExitStack
from typing import Any, Literal

import torch

from kaggle_kit.device import native_half_precision
from kaggle_kit.events import Callback, LearnerState

PrecisionName = Literal["auto", "bf16", "fp16", "off"]


class MixedPrecision(Callback):
    """Computes the forward pass in half precision where that is faster.

    Weights stay float32. With fp16 the loss is scaled, and a step whose gradients
    overflow is left out (Micikevicius et al., arXiv 1710.03740).

    Args:
        precision: "auto" asks `native_half_precision`; or "bf16", "fp16", "off".
    """

    # Gradients are unscaled before others look at them, the loss scaled after.
    order = -50
    alters_step = True

    def __init__(self, precision: PrecisionName = "auto") -> None:
        if precision not in ("auto", "bf16", "fp16", "off"):
            raise ValueError(
                f"precision must be 'auto', 'bf16', 'fp16' or 'off', got {precision!r}"
            )
        self.precision = precision
        self.dtype: torch.dtype | None = None
        self._scaler: torch.amp.GradScaler | None = None
        self._open = ExitStack()

    def before_fit(self, learner: LearnerState) -> None:
        """Choose the type; fp16 brings the scaler."""
        self._choose(learner)
        self._scaler = None
        if self.dtype == torch.float16:
            scaler = torch.amp.GradScaler(learner.device.type)
            optimizer = learner.optimizer
            self._scaler = scaler
            learner.stepper = lambda: _scaled_step(scaler, optimizer)

    def before_train(self, learner: LearnerState) -> None:
        """Choose the type."""
        self._choose(learner)

    def before_validate(self, learner: LearnerState) -> None:
        """Choose the type, also for predictions outside a fit."""
        self._choose(learner)

    def before_predict(self, learner: LearnerState) -> None:
        """Begin to compute in half precision."""
        if self.dtype is not None:
            self._open.enter_context(torch.autocast(learner.device.type, self.dtype))

    def before_backward(self, learner: LearnerState) -> None:
        """End it: gradients take the types of the forward pass by themselves."""
        self._open.close()
        if self._scaler is not None:
            learner.loss = self._scaler.scale(learner.loss)

    def cleanup_batch(self, learner: LearnerState) -> None:
        """End it where there was no backward pass."""
        self._open.close()

    def before_step(self, learner: LearnerState) -> None:
        """Give the gradients their true size, for clipping and for whoever looks."""
        if self._scaler is not None:
            self._scaler.unscale_(learner.optimizer)

    def state_dict(self) -> dict[str, Any]:
        """State of the scaler."""
        return {} if self._scaler is None else self._scaler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the scaler."""
        if self._scaler is not None and state:
            self._scaler.load_state_dict(state)

    def _choose(self, learner: LearnerState) -> None:
        if self.precision == "auto":
            self.dtype = native_half_precision(learner.device)
        else:
            named = {"bf16": torch.bfloat16, "fp16": torch.float16, "off": None}
            self.dtype = named[self.precision]


def _scaled_step(
    scaler: torch.amp.GradScaler, optimizer: torch.optim.Optimizer
) -> None:
    scaler.step(optimizer)
    scaler.update()
