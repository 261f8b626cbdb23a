"""Exact resume: a run that was killed goes on as if nothing had happened."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kaggle_kit.checkpoint import (
    CheckpointError,
    check_config,
    check_storable,
    load_checkpoint,
    load_model_state,
    save_checkpoint,
)
from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.random_states import (
    data_generators,
    random_state,
    restore_random_state,
)
from kaggle_kit.ranks import is_main_process


class Checkpoint(Callback):
    """Saves everything after each epoch, and goes on from there when started again.

    Killed at any moment and started again, a fit ends with the weights and the history
    of the uninterrupted one, bit for bit on a CPU: weights, optimizer, schedules, the
    state of every callback, random numbers and the order of the batches are all kept.
    The last two files are kept, so that one good file is there at every moment. A file
    that cannot be written (a full disk) is reported in the log, and training goes on.

    Each fit needs a Checkpoint with a path of its own. Batches must draw from torch's,
    numpy's or Python's global generators, from a `generator` of their own, or be a
    function of `set_epoch`; persistent worker processes do not qualify.

    Args:
        path: The file; the one before it is kept as `<name>.previous`.
        config: What the run depends on (plain values); a file of a run with another
            configuration is refused.
        every: Epochs between two files.
        force: Begin anew, and write over the file of an earlier run.
    """

    order = 100

    def __init__(
        self,
        path: str | Path,
        config: Mapping[str, Any] | None = None,
        every: int = 1,
        force: bool = False,
    ) -> None:
        if every < 1:
            raise ValueError(f"every must be at least 1 epoch, got {every}")
        self.path = Path(path)
        self.previous = self.path.with_name(f"{self.path.name}.previous")
        self.config = dict(config or {})
        self.every = every
        self.force = force
        self._first_epoch = 0

    def before_fit(self, learner: LearnerState) -> None:
        """Go on from the newest good file, if there is one."""
        self._first_epoch = learner.epochs_done
        for leftover in self.path.parent.glob(f".{self.path.name}.*"):
            # Half-written when the run was killed; another process may be faster.
            leftover.unlink(missing_ok=True)
        content = None if self.force else self._newest(learner)
        if content is None:
            if is_main_process():
                check_storable(self.path, self.config)
            return
        check_config(content["config"], self._identity(learner), self.path)
        load_model_state(learner.model, content["model"], self.path)
        learner.optimizer.load_state_dict(content["optimizer"])
        learner.history[:] = content["history"]
        learner.epoch = content["epoch"]
        learner.step = content["step"]
        learner.epochs_done = content["epochs_done"]
        for name, callback in _named_callbacks(learner):
            callback.load_state_dict(content["callbacks"][name])
        restore_random_state(content["random"])
        for name, generator in data_generators(learner.data):
            generator.set_state(content["generators"][name])
        learner.log(
            f"resumed from {self.path} after epoch {learner.epoch}/{learner.epochs}"
        )

    def after_epoch(self, learner: LearnerState) -> None:
        """Save this epoch."""
        done = learner.epoch + 1
        if (done % self.every and done != learner.epochs) or not is_main_process():
            return
        try:
            self._write(learner, done)
        except OSError as error:  # a net that tears is no reason to let go
            learner.log(
                f"epoch {done} is not in {self.path}: {error}; training goes on, and "
                "the files of the epochs before are kept"
            )

    def _write(self, learner: LearnerState, done: int) -> None:
        new = self.path.with_name(f"{self.path.name}.new")
        save_checkpoint(
            new,
            learner.model.state_dict(),
            self._identity(learner),
            optimizer=learner.optimizer.state_dict(),
            history=learner.history,
            epoch=done,
            step=learner.step,
            epochs_done=learner.epochs_done,
            callbacks={n: c.state_dict() for n, c in _named_callbacks(learner)},
            random=random_state(),
            generators={n: g.get_state() for n, g in data_generators(learner.data)},
        )
        if self.path.exists():
            self.path.replace(self.previous)
        new.replace(self.path)

    def _identity(self, learner: LearnerState) -> dict[str, Any]:
        names = [name for name, _ in _named_callbacks(learner)]
        return {
            **self.config,
            "epochs of the fit": learner.epochs,
            "steps of the fit": learner.n_steps,
            "epochs before the fit": self._first_epoch,
            "callbacks": names,
        }

    def _newest(self, learner: LearnerState) -> dict[str, Any] | None:
        problems: list[CheckpointError] = []
        for path in (self.path, self.previous):
            if not path.is_file():
                continue
            try:
                content = load_checkpoint(path)
            except CheckpointError as error:
                problems.append(error)
                continue
            if problems:
                learner.log(f"{problems[0]} Going on from {path}.")
            return content
        if problems:
            raise problems[0]
        return None


def _named_callbacks(learner: LearnerState) -> list[tuple[str, Callback]]:
    return [
        (f"{index} {type(callback).__name__}", callback)
        for index, callback in enumerate(learner.callbacks)
    ]
