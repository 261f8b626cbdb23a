"""What is seen of a running fit: a bar where somebody watches, else plain lines."""

import os
import sys
import time
from collections.abc import Mapping

from kaggle_kit.events import Callback, LearnerState

_BAR_WIDTH = 24
_BAR_SECONDS = 0.25


class Progress(Callback):
    """One line per epoch, and between them a bar on a terminal and in a notebook.

    Lines go through the learner's `log` and are flushed at once: on Kaggle output is a
    file, and a line held back in a buffer looks like a kernel that hangs.

    Args:
        bar: Whether to draw the bar; None asks where the output goes.
    """

    order = 50

    def __init__(self, bar: bool | None = None) -> None:
        self.bar = bar
        self._draw = False
        self._drawn = 0
        self._last = 0.0
        self._start: float | None = None
        self._first_epoch = 0

    def before_fit(self, learner: LearnerState) -> None:
        """Find out who is watching."""
        self._draw = someone_watches() if self.bar is None else self.bar
        self._start = None

    def before_epoch(self, learner: LearnerState) -> None:
        """Start the clock; a resumed fit does not begin at its first epoch."""
        if self._start is None:
            self._start, self._first_epoch = time.perf_counter(), learner.epoch

    def after_batch(self, learner: LearnerState) -> None:
        """Draw the bar, a few times a second."""
        now = time.perf_counter()
        if self._draw and now - self._last >= _BAR_SECONDS:
            self._last = now
            self._write(bar_line(learner))

    def after_epoch(self, learner: LearnerState) -> None:
        """Print the epoch's line."""
        self._clear()
        done = learner.epoch + 1 - self._first_epoch
        spent = time.perf_counter() - (self._start or 0.0)
        left = spent / done * (learner.epochs - learner.epoch - 1)
        learner.log(
            epoch_line(learner.epoch, learner.epochs, learner.history[-1], left)
        )
        sys.stdout.flush()

    def cleanup_fit(self, learner: LearnerState) -> None:
        """Leave no half-drawn bar."""
        self._clear()
        self._draw = False

    def _write(self, line: str) -> None:
        sys.stdout.write("\r" + line.ljust(self._drawn))
        sys.stdout.flush()
        self._drawn = len(line)

    def _clear(self) -> None:
        if self._drawn:
            sys.stdout.write("\r" + " " * self._drawn + "\r")
            sys.stdout.flush()
            self._drawn = 0


def epoch_line(
    epoch: int, epochs: int, row: Mapping[str, float], seconds_left: float
) -> str:
    """The line of one epoch.

    >>> row = {"epoch": 1, "train_loss": 0.5, "accuracy": 0.875, "seconds": 2.0}
    >>> epoch_line(0, 5, row, 8.0)
    'epoch 1/5  train_loss 0.5000  accuracy 0.8750  2.0s  0:08 left'
    """
    width = len(str(epochs))
    parts = [f"epoch {epoch + 1:{width}d}/{epochs}"]
    hidden = ("epoch", "seconds", "lr")
    parts += [f"{key} {value:.4f}" for key, value in row.items() if key not in hidden]
    parts.append(f"{row['seconds']:.1f}s")
    if epoch + 1 < epochs:
        parts.append(f"{clock_text(seconds_left)} left")
    return "  ".join(parts)


def bar_line(learner: LearnerState) -> str:
    """The bar of the present pass."""
    done = learner.batch_index + 1
    name = "train" if learner.training else "valid"
    head = f"epoch {learner.epoch + 1}/{learner.epochs} {name} "
    if learner.n_batches is None:
        return f"{head}{done} batches  loss {learner.loss.item():.4f}"
    filled = round(_BAR_WIDTH * done / max(learner.n_batches, 1))
    bar = "#" * filled + "." * (_BAR_WIDTH - filled)
    return f"{head}[{bar}] {done}/{learner.n_batches}  loss {learner.loss.item():.4f}"


def clock_text(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss.

    >>> clock_text(75), clock_text(3700)
    ('1:15', '1:01:40')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def someone_watches() -> bool:
    """Whether output is a terminal or an interactive notebook, not a file."""
    if os.environ.get("KAGGLE_KERNEL_RUN_TYPE", "") == "Batch":
        return False
    if type(sys.stdout).__module__.startswith("ipykernel"):
        return True
    return sys.stdout.isatty()
