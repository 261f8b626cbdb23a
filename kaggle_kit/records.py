"""Callbacks that keep a record: rows as CSV, rate and loss of every step."""

import csv
import io
from pathlib import Path

import torch

from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.paths import atomic_file
from kaggle_kit.ranks import is_main_process


class CSVLogger(Callback):
    """Writes the history as CSV after every epoch, always a complete file.

    Args:
        path: The file; its folder is created.
    """

    order = 75

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def after_epoch(self, learner: LearnerState) -> None:
        """Write all rows so far."""
        if is_main_process():
            write_history(learner.history, self.path)


class Recorder(Callback):
    """Keeps learning rate and loss of every training step.

    Attributes:
        rates: Learning rate of each step (that of the last parameter group).
        losses: Training loss of each step.
    """

    order = 75
    in_valid = False

    def __init__(self) -> None:
        self.rates: list[float] = []
        self.losses: list[float] = []

    def before_step(self, learner: LearnerState) -> None:
        """Keep the rate; the losses are fetched once per pass."""
        self.rates.append(float(learner.optimizer.param_groups[-1]["lr"]))

    def cleanup_train(self, learner: LearnerState) -> None:
        """Fetch the losses of the pass from the device."""
        if learner.losses:
            self.losses += torch.stack(learner.losses).float().tolist()

    def state_dict(self) -> dict[str, list[float]]:
        """Both records."""
        return {"rates": self.rates, "losses": self.losses}

    def load_state_dict(self, state: dict[str, list[float]]) -> None:
        """Take both records back."""
        self.rates, self.losses = list(state["rates"]), list(state["losses"])


def write_history(history: list[dict[str, float]], path: Path) -> None:
    """Write rows of numbers as CSV, atomically; a column for every name that occurs.

    Args:
        history: Rows, not necessarily with the same names.
        path: The file; its folder is created.
    """
    names = list(dict.fromkeys(name for row in history for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
    writer.writeheader()
    for row in history:
        writer.writerow({k: int(v) if k == "epoch" else v for k, v in row.items()})
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")
