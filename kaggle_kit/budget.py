"""A limit on time that leaves enough of it to predict and to write the submission."""

import time

from kaggle_kit.events import Callback, CancelFit, LearnerState
from kaggle_kit.ranks import any_process, process_count
from kaggle_kit.trees import count_items


class TimeBudget(Callback):
    """Ends the fit in time, from measured epoch and prediction times.

    After each epoch the fit ends if another epoch of the measured length, the
    predictions still to be made and the reserve would not fit; within an epoch it ends
    as soon as the predictions and the reserve would no longer fit.

    Args:
        seconds: For everything, counted from `started`.
        predict_items: How many items will be predicted after the fit, views of
            test-time augmentation counted.
        reserve: Seconds for everything else after the fit.
        margin: Share by which an epoch or a prediction may take longer than measured.
        started: `time.monotonic()` at the start; None counts from the start of the fit.
    """

    # Last of all: an epoch that ends the fit is still logged, and saved for a resume.
    order = 110

    def __init__(
        self,
        seconds: float,
        predict_items: int = 0,
        reserve: float = 60.0,
        margin: float = 0.2,
        started: float | None = None,
    ) -> None:
        if seconds <= reserve:
            raise ValueError(
                f"a budget of {seconds} s leaves nothing beside the reserve of "
                f"{reserve} s"
            )
        self.seconds = seconds
        self.predict_items = predict_items
        self.reserve = reserve
        self.margin = margin
        self.started = started
        self._start = 0.0
        self._epoch_start = 0.0
        self._pass_start = self._first_end = 0.0
        self._first_items = self._more_items = 0
        self._seconds_per_item = 0.0
        self._validated = False

    def before_fit(self, learner: LearnerState) -> None:
        """Start the clock."""
        self._start = time.monotonic() if self.started is None else self.started

    def before_epoch(self, learner: LearnerState) -> None:
        """Measure the epoch."""
        self._epoch_start = time.monotonic()

    def before_train(self, learner: LearnerState) -> None:
        """Measure training, until there is a validation to measure."""
        self._pass_start = self._first_end = time.monotonic()
        self._first_items = self._more_items = 0

    def before_validate(self, learner: LearnerState) -> None:
        """Measure validation: what a prediction takes."""
        self.before_train(learner)

    def after_batch(self, learner: LearnerState) -> None:
        """End the fit in the middle of an epoch if it must be."""
        now, items = time.monotonic(), count_items(learner.x)
        if learner.batch_index == 0:  # it may compile, or choose its algorithms
            self._first_end, self._first_items = now, items
        else:
            self._more_items += items
        telling = not (learner.training and self._validated)
        if telling and learner.batch_index >= 2 and self._more_items:
            self._seconds_per_item = (now - self._first_end) / self._more_items
        # Several processes could not agree on it without waiting at every batch.
        alone = learner.training and process_count() == 1
        if alone and self.seconds_left() < self.seconds_after():
            self._end(learner, "in the middle of an epoch")

    def after_train(self, learner: LearnerState) -> None:
        """Measure a short pass whole."""
        if learner.batch_index < 2 and not self._validated:
            self._measure_all()

    def after_validate(self, learner: LearnerState) -> None:
        """Measure a short pass whole."""
        self._validated = True
        if learner.batch_index < 2:
            self._measure_all()

    def after_epoch(self, learner: LearnerState) -> None:
        """End the fit if another epoch would take too long."""
        epoch = (time.monotonic() - self._epoch_start) * (1 + self.margin)
        more = learner.epoch + 1 < learner.epochs
        if any_process(more and self.seconds_left() < epoch + self.seconds_after()):
            self._end(learner, f"after epoch {learner.epoch + 1}/{learner.epochs}")

    def seconds_left(self) -> float:
        """Seconds until the budget ends."""
        return self._start + self.seconds - time.monotonic()

    def seconds_after(self) -> float:
        """Seconds wanted after the fit: predictions with their margin, and reserve."""
        predict = self.predict_items * self._seconds_per_item
        return predict * (1 + self.margin) + self.reserve

    def _measure_all(self) -> None:
        items = self._first_items + self._more_items
        if items:
            self._seconds_per_item = (time.monotonic() - self._pass_start) / items

    def _end(self, learner: LearnerState, when: str) -> None:
        learner.log(
            f"time budget of {self.seconds:.0f} s: stopped {when}, "
            f"{self.seconds_left():.0f} s left, {self.seconds_after():.0f} s kept for "
            "predictions and writing"
        )
        raise CancelFit
