"""Callbacks that watch a number of the history: stop early, keep the best."""

import copy
import math
from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn

from kaggle_kit.checkpoint import check_storable, load_model_state, save_checkpoint
from kaggle_kit.events import Callback, CancelFit, LearnerState
from kaggle_kit.ranks import is_main_process

MonitorMode = Literal["min", "max", "auto"]


class BestMonitor:
    """Compares one column of the history with its best value so far.

    Args:
        monitor: Column: "valid_loss", "train_loss" or a metric's name.
        mode: "min" or "max"; "auto" takes min for losses and errors, else max.
        min_delta: An improvement must be larger than this.
    """

    def __init__(
        self, monitor: str, mode: MonitorMode = "auto", min_delta: float = 0.0
    ) -> None:
        if mode not in ("min", "max", "auto"):
            raise ValueError(f"mode must be 'min', 'max' or 'auto', got {mode!r}")
        if min_delta < 0:
            raise ValueError(f"min_delta must be >= 0, got {min_delta}")
        if mode == "auto":
            mode = "min" if "loss" in monitor or "error" in monitor else "max"
        self.monitor = monitor
        self.sign = -1.0 if mode == "min" else 1.0
        self.min_delta = min_delta
        self.best = math.nan
        self.best_epoch = 0

    def improved(self, row: dict[str, float]) -> bool:
        """Take in a row; whether it is the best so far. NaN never is.

        Raises:
            ValueError: The history has no such column.
        """
        if self.monitor not in row:
            columns = ", ".join(name for name in row if name != "epoch")
            raise ValueError(
                f"nothing called {self.monitor!r} to monitor; the history has {columns}"
            )
        value = row[self.monitor]
        if math.isnan(value):
            return False
        gain = self.sign * (value - self.best)
        if math.isnan(self.best) or gain > self.min_delta:
            self.best, self.best_epoch = value, int(row["epoch"])
            return True
        return False


class EarlyStopping(Callback):
    """Stop when a value no longer improves, and go back to the best weights.

    The best weights are a copy: `model.state_dict()` alone refers to the tensors that
    training goes on changing. They are restored when the fit ends, however it ends:
    by the patience, after the last epoch, or by Ctrl-C.

    Args:
        patience: Epochs without improvement until it stops.
        monitor: Column of the history.
        mode: "min", "max" or "auto" (min for losses).
        min_delta: An improvement must be larger than this.
        restore_best: Whether to restore the best weights.
    """

    # Late, so that an epoch that ends the fit is still logged and saved by others.
    order = 95

    def __init__(
        self,
        patience: int = 5,
        monitor: str = "valid_loss",
        mode: MonitorMode = "auto",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"patience must be at least 1 epoch, got {patience}")
        self.patience = patience
        self.restore_best = restore_best
        self._settings = (monitor, mode, min_delta)
        self._monitor = BestMonitor(*self._settings)
        self._waited = 0
        self._best_state: dict[str, Tensor] = {}

    @property
    def best(self) -> float:
        """Best value so far, NaN before the first epoch."""
        return self._monitor.best

    @property
    def best_epoch(self) -> int:
        """Epoch of the best value, as numbered in the history; 0 before the first."""
        return self._monitor.best_epoch

    def before_fit(self, learner: LearnerState) -> None:
        """Start afresh."""
        self._monitor = BestMonitor(*self._settings)
        self._waited = 0
        self._best_state = {}

    def after_epoch(self, learner: LearnerState) -> None:
        """Keep the weights of a best epoch; stop when patience is at its end."""
        if self._monitor.improved(learner.history[-1]):
            self._waited = 0
            if self.restore_best:
                self._best_state = copy_state(learner.model)
            return
        self._waited += 1
        if self._waited >= self.patience:
            learner.log(
                f"stopped: no better {self._monitor.monitor} in {self.patience} epochs"
            )
            raise CancelFit

    def cleanup_fit(self, learner: LearnerState) -> None:
        """Put the best weights back."""
        if not self._best_state:
            return
        load_model_state(learner.model, self._best_state, "the best state")
        self._best_state = {}
        if self.best_epoch != learner.epochs_done:
            learner.log(
                f"weights of epoch {self.best_epoch} restored "
                f"({self._monitor.monitor} {self.best:.4f})"
            )

    def state_dict(self) -> dict[str, Any]:
        """Best value, its weights, and the patience used up."""
        return {
            "best": self._monitor.best,
            "best_epoch": self._monitor.best_epoch,
            "waited": self._waited,
            "best_state": self._best_state,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._monitor.best = state["best"]
        self._monitor.best_epoch = state["best_epoch"]
        self._waited = state["waited"]
        self._best_state = dict(state["best_state"])


class SaveBest(Callback):
    """Write a checkpoint whenever a value is the best so far.

    Args:
        path: The checkpoint; replaced by each better one.
        monitor: Column of the history.
        mode: "min", "max" or "auto" (min for losses).
        min_delta: An improvement must be larger than this.
        config: Stored with the weights.
    """

    order = 70

    def __init__(
        self,
        path: str | Path,
        monitor: str = "valid_loss",
        mode: MonitorMode = "auto",
        min_delta: float = 0.0,
        config: dict[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        self.config = dict(config or {})
        self._settings = (monitor, mode, min_delta)
        self._monitor = BestMonitor(*self._settings)

    def before_fit(self, learner: LearnerState) -> None:
        """Start afresh."""
        self._monitor = BestMonitor(*self._settings)
        if is_main_process():
            check_storable(self.path, self.config)

    def after_epoch(self, learner: LearnerState) -> None:
        """Write the checkpoint if this epoch is the best."""
        if self._monitor.improved(learner.history[-1]) and is_main_process():
            state = learner.model.state_dict()
            save_checkpoint(self.path, state, self.config, history=learner.history)

    def state_dict(self) -> dict[str, Any]:
        """Best value so far."""
        return {"best": self._monitor.best, "best_epoch": self._monitor.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._monitor.best = state["best"]
        self._monitor.best_epoch = state["best_epoch"]


def copy_state(model: nn.Module) -> dict[str, Tensor]:
    """A copy of all weights and buffers that further training does not change."""
    return {name: copy.deepcopy(v.detach()) for name, v in model.state_dict().items()}
