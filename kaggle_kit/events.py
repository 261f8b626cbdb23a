"""Callbacks: the events of a training run, the state they see, how they cancel.

A callback is a small object with one duty. It gets the learner as an argument of every
event and keeps no reference to it, so there is no reference cycle, and it knows no
other callback: all that callbacks share is the state below.

The events of one fit, in order:

    before_fit
        before_epoch
            before_train
                before_batch
                    before_predict, after_predict, before_loss, after_loss
                    before_backward, after_backward, before_step, after_step
                after_batch, cleanup_batch
            after_train, cleanup_train
            before_validate
                before_batch
                    before_predict, after_predict, before_loss, after_loss
                after_batch, cleanup_batch
            after_validate, cleanup_validate
        after_epoch, cleanup_epoch
    after_fit, cleanup_fit

An `after_` event is left out when its stage was cancelled; a `cleanup_` event always
comes, after an error and after Ctrl-C too.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.loaders import Data
from kaggle_kit.meters import PassMeter
from kaggle_kit.trees import TensorTree

RUN_EVENTS = (
    "before_fit",
    "before_epoch",
    "after_epoch",
    "cleanup_epoch",
    "after_fit",
    "cleanup_fit",
)
PASS_EVENTS = (
    "before_train",
    "after_train",
    "cleanup_train",
    "before_validate",
    "after_validate",
    "cleanup_validate",
    "before_batch",
    "after_batch",
    "cleanup_batch",
    "before_predict",
    "after_predict",
    "before_loss",
    "after_loss",
    "before_backward",
    "after_backward",
    "before_step",
    "after_step",
)


class CancelStep(Exception):
    """Keep the gradients: no optimizer step and no zero_grad for this batch."""


class CancelBatch(Exception):
    """Skip the rest of this batch; gradients that are already there stay."""


class CancelPass(Exception):
    """Skip the rest of this pass, training or validation; the epoch goes on."""


class CancelEpoch(Exception):
    """Skip the rest of this epoch; it leaves no row in the history."""


class CancelFit(Exception):
    """End the fit now."""


class LearnerState:
    """What a callback may read and change while a learner runs.

    Attributes:
        model: The network, on `device`.
        data: Training and validation batches.
        optimizer: The optimizer; its groups' values may be changed.
        forward: Called in place of the model in training, where it is set.
        stepper: Called in place of `optimizer.step` where it is set.
        callbacks: Those of the present fit, in the order of their calls.
        device: Where the model and the batches are.
        log: Takes one line of text.
        epoch: Index of the epoch in this fit, from 0.
        epochs: Number of epochs in this fit.
        epochs_done: Complete epochs in the learner's life; names the batch order.
        batch_index: Index of the batch in its pass, from 0.
        n_batches: Batches in this pass, None if the iterable does not say.
        step: Index of the training batch in this fit, from 0.
        n_steps: Training batches in this fit, None if unknown.
        training: Whether this is a training pass.
        broken_off: Whether the stage ends by an error, or with the one around it.
        x: Input of the model; a tuple is given as several arguments.
        target: The targets as the batches gave them, None without.
        y: The targets as the loss sees them.
        preds: Output of the model.
        loss: Loss of this batch, a scalar tensor.
        losses: Loss of each batch of this pass, scalars on the device.
        meter: What has been collected in this pass.
        history: One row per complete epoch.
    """

    model: nn.Module
    data: Data
    optimizer: torch.optim.Optimizer
    forward: Callable[..., TensorTree] | None = None
    stepper: Callable[[], object] | None = None
    callbacks: "tuple[Callback, ...]"
    device: torch.device
    log: Callable[[str], None]
    epoch: int = 0
    epochs: int = 0
    epochs_done: int = 0
    batch_index: int = 0
    n_batches: int | None = None
    step: int = 0
    n_steps: int | None = None
    training: bool = False
    broken_off: bool = False
    x: TensorTree = None
    target: TensorTree = None
    y: TensorTree = None
    preds: TensorTree = None
    loss: Tensor
    losses: list[Tensor]
    meter: PassMeter
    history: list[dict[str, float]]


class Callback:
    """Base of all callbacks: every event does nothing.

    Class attributes:
        order: Callbacks are called by rising order, equal ones as they were given.
            One that cancels an epoch or a fit in `after_epoch` comes late: those
            after it do not see that event.
        in_train: Whether events of training passes are sent.
        in_valid: Whether events of validation and prediction passes are sent.
        alters_step: True for what changes the computation of a step (precision,
            mixing, clipping): it also takes part in `lr_find`.
    """

    order: int = 0
    in_train: bool = True
    in_valid: bool = True
    alters_step: bool = False

    def before_fit(self, learner: LearnerState) -> None:
        """Start of a fit, before its first epoch."""

    def before_epoch(self, learner: LearnerState) -> None:
        """Start of an epoch."""

    def before_train(self, learner: LearnerState) -> None:
        """Start of a training pass; the model is in training mode."""

    def before_validate(self, learner: LearnerState) -> None:
        """Start of a validation or prediction pass; the model is in eval mode."""

    def before_batch(self, learner: LearnerState) -> None:
        """`x` and `y` are on the device and may be replaced."""

    def before_predict(self, learner: LearnerState) -> None:
        """Just before the model computes."""

    def after_predict(self, learner: LearnerState) -> None:
        """`preds` are known and may be replaced."""

    def before_loss(self, learner: LearnerState) -> None:
        """Just before the loss; left out where there are no targets."""

    def after_loss(self, learner: LearnerState) -> None:
        """`loss` is known; what is added to it here is reported and trained."""

    def before_backward(self, learner: LearnerState) -> None:
        """The loss is on record; scaling it now changes the gradients only."""

    def after_backward(self, learner: LearnerState) -> None:
        """Gradients are known."""

    def before_step(self, learner: LearnerState) -> None:
        """Just before the optimizer's step."""

    def after_step(self, learner: LearnerState) -> None:
        """Weights have changed; gradients are still there."""

    def after_batch(self, learner: LearnerState) -> None:
        """End of a batch that was not cancelled."""

    def cleanup_batch(self, learner: LearnerState) -> None:
        """End of a batch, in any case."""

    def after_train(self, learner: LearnerState) -> None:
        """End of a training pass."""

    def cleanup_train(self, learner: LearnerState) -> None:
        """End of a training pass, in any case."""

    def after_validate(self, learner: LearnerState) -> None:
        """End of a validation or prediction pass."""

    def cleanup_validate(self, learner: LearnerState) -> None:
        """End of a validation or prediction pass, in any case."""

    def after_epoch(self, learner: LearnerState) -> None:
        """End of an epoch; its row is the last of `history`."""

    def cleanup_epoch(self, learner: LearnerState) -> None:
        """End of an epoch, in any case."""

    def after_fit(self, learner: LearnerState) -> None:
        """End of a fit that went through all its epochs."""

    def cleanup_fit(self, learner: LearnerState) -> None:
        """End of a fit, in any case."""

    def state_dict(self) -> dict[str, Any]:
        """What an exact resume needs: tensors and plain values only."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""


CallbackEvent = Callable[[LearnerState], None]


def callback_table(
    callbacks: Sequence[Callback], training: bool
) -> dict[str, tuple[CallbackEvent, ...]]:
    """For each event the bound methods to call: only those a callback defines.

    Looking them up once keeps an event without listeners at the cost of one dictionary
    access per batch.
    """
    table: dict[str, tuple[CallbackEvent, ...]] = {}
    for event in RUN_EVENTS + PASS_EVENTS:
        default = getattr(Callback, event)
        table[event] = tuple(
            getattr(callback, event)
            for callback in callbacks
            if getattr(type(callback), event) is not default
            and (
                event in RUN_EVENTS
                or (callback.in_train if training else callback.in_valid)
            )
        )
    return table


def ordered_callbacks(callbacks: Iterable[Callback]) -> tuple[Callback, ...]:
    """Sort by `order`, equal ones as given.

    Raises:
        TypeError: An entry is no callback, or a class where an object is meant.
    """
    given = tuple(callbacks)
    for callback in given:
        if isinstance(callback, type):
            raise TypeError(
                f"callbacks must be objects: write {callback.__name__}() instead of "
                f"{callback.__name__}"
            )
        if not isinstance(callback, Callback):
            raise TypeError(
                f"{callback!r} is no callback: derive its class from Callback"
            )
    return tuple(sorted(given, key=lambda callback: callback.order))


class EventSender(LearnerState):
    """Sends events to callbacks; the part of a learner that knows how."""

    base_callbacks: tuple[Callback, ...]
    _handlers: dict[bool, dict[str, tuple[CallbackEvent, ...]]]

    def _bind(self, callbacks: tuple[Callback, ...]) -> None:
        self.callbacks = callbacks
        self._handlers = {
            training: callback_table(callbacks, training) for training in (True, False)
        }

    def _call(self, event: str) -> None:
        for handler in self._handlers[self.training][event]:
            handler(self)

    @contextmanager
    def _stage(self, name: str, cancel: type[Exception]) -> Iterator[None]:
        """Send the events that end a stage, which the exception `cancel` cancels.

        The stage itself begins with its `before_` event: sent from here, one that
        cancels could not keep the stage from running.
        """
        try:
            yield
            self._call(f"after_{name}")
        except cancel:
            self.broken_off = False
        except BaseException:
            self.broken_off = True
            raise
        finally:
            self._call(f"cleanup_{name}")

    @contextmanager
    def _with_callbacks(
        self, extra: Iterable[Callback], base: Iterable[Callback] | None = None
    ) -> Iterator[None]:
        """Let more callbacks take part for a while, or others than the usual ones."""
        before = self.callbacks
        usual = self.base_callbacks if base is None else base
        self._bind(ordered_callbacks([*usual, *extra]))
        try:
            yield
        finally:
            self._bind(before)
