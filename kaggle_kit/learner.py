"""The Learner: one training loop, and callbacks for everything else."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.device import Placement, choose_device
from kaggle_kit.events import (
    Callback,
    CancelBatch,
    CancelEpoch,
    CancelFit,
    CancelPass,
    CancelStep,
    ordered_callbacks,
)
from kaggle_kit.learner_results import LearnerResults
from kaggle_kit.loaders import (
    Data,
    as_data,
    batch_count,
    no_batches,
    set_batch_epoch,
    split_batch,
    step_count,
)
from kaggle_kit.lr_finder import FoundRates, LearnerSnapshot, RateSweep
from kaggle_kit.meters import Metric, PassMeter, metric_names
from kaggle_kit.optimizers import (
    LearningRate,
    left_out_parameters,
    make_optimizer,
    set_hyper,
    spread_over_groups,
)
from kaggle_kit.plots import plot_lr_find
from kaggle_kit.progress import Progress
from kaggle_kit.schedules import one_cycle_callbacks
from kaggle_kit.trees import TensorTree


class Learner(LearnerResults):
    """Trains a model on batches, validates every epoch, predicts.

    What it tells (`validate`, `get_preds`, `tta`, `summary`, `save` and others) is in
    `LearnerResults`.

    Args:
        model: Any module.
        data: Training and validation batches, `(x, y)` each; see `Data`.
        loss: Called as `loss(preds, y)`; the mean over the batch.
        metrics: Each called as `metric(preds, targets)` on a whole pass, or an
            `AverageMetric`.
        optimizer: Called as `optimizer(groups, lr=lr)`, for example
            `partial(torch.optim.SGD, momentum=0.9)`; or an optimizer already made.
        lr: One rate, one per parameter group, or a slice(first, last) that is spread
            over the groups by equal ratios. 1e-3, or what a ready optimizer has.
        callbacks: Objects that see every event; see `Callback`.
        splitter: Called with the model, returns the parameter groups: lists of
            parameters, or dicts as torch.optim takes them.
        device: "auto" or a device.
        channels_last: Memory format of images; None takes it on the CPU, where it is
            faster, for models that can compute with it.
        log: Takes one line of text; an epoch gives one line.
    """

    def __init__(
        self,
        model: nn.Module,
        data: Data | Sequence[Iterable[Any] | None],
        loss: Callable[[Any, Any], Tensor],
        metrics: Sequence[Metric] = (),
        optimizer: Callable[..., torch.optim.Optimizer]
        | torch.optim.Optimizer = torch.optim.AdamW,
        lr: LearningRate | None = None,
        callbacks: Iterable[Callback] = (),
        splitter: Callable[[nn.Module], Sequence[Any]] | None = None,
        device: str | torch.device = "auto",
        channels_last: bool | None = None,
        log: Callable[[str], None] = print,
    ) -> None:
        self.log = log
        self.device = choose_device(device, log)
        self.data = as_data(data)
        self.loss_fn = loss.to(self.device) if isinstance(loss, nn.Module) else loss
        self.metrics = tuple(metrics)
        metric_names(self.metrics)
        self.placement = Placement(self.device, channels_last)
        self.model = self.placement.place_model(model)
        self.optimizer = make_optimizer(self.model, optimizer, lr, splitter)
        self.lr: LearningRate = [g["lr"] for g in self.optimizer.param_groups]
        given = ordered_callbacks(callbacks)
        shown = any(isinstance(callback, Progress) for callback in given)
        default = () if shown else (Progress(),)
        self.base_callbacks = ordered_callbacks([*given, *default])
        self.history: list[dict[str, float]] = []
        self.losses: list[Tensor] = []
        self.loss = torch.zeros((), device=self.device)
        self._placed: TensorTree = None
        self._bind(self.base_callbacks)

    # The five words of training.

    def predict(self, x: TensorTree) -> TensorTree:
        """Output of the model for one batch; gradients only in a training pass."""
        if self.model.training != self.training:
            self.model.train(self.training)
        if x is not self._placed:  # the loop's own are, unless a callback changed them
            x = self.placement.place_inputs(self.model, x)
        with torch.set_grad_enabled(self.training):
            forward = (self.training and self.forward) or self.model
            return forward(*x) if isinstance(x, tuple) else forward(x)

    def get_loss(self, preds: TensorTree, y: TensorTree) -> Tensor:
        """Mean loss of one batch."""
        if y is None:
            raise ValueError("training needs batches (x, y), these are x alone")
        return self.loss_fn(preds, y)

    def backward(self) -> None:
        """Gradients of the loss."""
        torch.autograd.backward(self.loss)

    def take_step(self) -> None:
        """One step of the optimizer."""
        (self.stepper or self.optimizer.step)()

    def zero_grad(self) -> None:
        """Forget the gradients."""
        self.optimizer.zero_grad()

    # The loop.

    def _one_batch(self) -> None:
        self._call("before_predict")
        self.preds = self.predict(self.x)
        self._call("after_predict")
        if self.y is None and not self.training:
            return
        self._call("before_loss")
        self.loss = self.get_loss(self.preds, self.y)
        self._call("after_loss")
        self.meter.add(self.loss, self.preds, self.target, self.y is self.target)
        if not self.training:
            return
        try:
            self._call("before_backward")
            self.backward()
            self._call("after_backward")
            self._call("before_step")
            self.take_step()
            self._call("after_step")
        except CancelStep:
            return
        self.zero_grad()

    def _one_pass(self, name: str, batches: Iterable[Any]) -> None:
        self._start_pass(name, batches)
        with self._stage(name, CancelPass):
            self._call(f"before_{name}")
            self.batch_index = -1
            for self.batch_index, batch in enumerate(batches):
                x, y = split_batch(batch)
                self.x = self._placed = self.placement.place_inputs(self.model, x)
                self.y = self.target = self.placement.place(y)
                try:
                    with self._stage("batch", CancelBatch):
                        self._call("before_batch")
                        self._one_batch()
                finally:  # it counts even where it ends the pass
                    self.step += self.training
            if self.batch_index < 0:
                raise no_batches(name)

    def _one_epoch(self, train: bool, valid: bool) -> None:
        with self._stage("epoch", CancelEpoch):
            self._call("before_epoch")
            start, row = time.perf_counter(), {"epoch": self.epochs_done + 1.0}
            if train:
                self._one_pass("train", self.data.train)
                row |= self._pass_row("train_")
            if valid and self.data.valid is not None:
                self._one_pass("validate", self.data.valid)
                row |= self._pass_row("")
            row["seconds"] = time.perf_counter() - start
            row["lr"] = float(self.optimizer.param_groups[-1]["lr"])
            self.history.append(row)
            self.epochs_done += 1

    def _all_epochs(self, train: bool, valid: bool) -> None:
        with self._stage("fit", CancelFit):
            self._call("before_fit")
            while self.epoch < self.epochs:
                self._one_epoch(train, valid)
                self.epoch += 1

    def fit(
        self,
        epochs: int,
        lr: LearningRate | None = None,
        callbacks: Iterable[Callback] = (),
        train: bool = True,
        valid: bool = True,
    ) -> None:
        """Train for some epochs, validating after each.

        Args:
            epochs: How many; a later fit goes on from where this one ended.
            lr: Learning rate of this fit, the Learner's own by default.
            callbacks: For this fit only.
            train: Whether to train, or validate only.
            valid: Whether to validate.
        """
        with self._fitting(epochs, self.lr if lr is None else lr, callbacks):
            self._all_epochs(train, valid)

    def fit_one_cycle(
        self,
        epochs: int,
        max_lr: LearningRate | None = None,
        pct_start: float = 0.3,
        div_factor: float = 25.0,
        weight_decay: float | None = None,
        final_div_factor: float = 1e4,
        momenta: tuple[float, float, float] | None = (0.95, 0.85, 0.95),
        callbacks: Iterable[Callback] = (),
    ) -> None:
        """Train with the 1cycle policy: the rate up and down, the momentum against it.

        Args:
            epochs: Length of the cycle.
            max_lr: Highest learning rate, the Learner's own by default.
            pct_start: Share of the steps in which the rate rises.
            div_factor: It starts at max_lr / div_factor.
            weight_decay: For this fit; groups set to 0 beside others keep theirs.
            final_div_factor: It ends at max_lr / (div_factor * final_div_factor).
            momenta: Momentum (or Adam's first beta) at the start, at the highest rate
                and at the end; None leaves it alone.
            callbacks: For this fit only.
        """
        extra = one_cycle_callbacks(
            self.optimizer,
            step_count(self.data.train, epochs),
            pct_start,
            div_factor,
            final_div_factor,
            weight_decay,
            momenta,
        )
        self.fit(epochs, max_lr, [*extra, *callbacks])

    def lr_find(
        self,
        start: float = 1e-6,
        end: float = 10.0,
        steps: int = 100,
        plot: bool = True,
        folder: str | Path = "",
    ) -> FoundRates:
        """Try rising learning rates; model, optimizer and random state are put back.

        Only callbacks that change the computation of a step take part.

        Args:
            start: First learning rate.
            end: Last learning rate; the search ends earlier when the loss blows up.
            steps: Number of steps.
            plot: Draw the loss over the rate as `lr_find.png`.
            folder: Where the plot goes; the output directory by default.

        Raises:
            ValueError: The loss never fell, so that nothing can be suggested.
        """
        sweep, snapshot = RateSweep(start, end, steps), LearnerSnapshot(self)
        base = [callback for callback in self.base_callbacks if callback.alters_step]
        try:
            with self._fitting(steps, self.lr, [sweep], base):
                self._all_epochs(train=True, valid=False)
        finally:
            snapshot.restore(self)
        found = sweep.found()
        self.log(f"learning rate: {found.suggestion:.2g} where the loss falls fastest")
        if plot:
            plot_lr_find(*found, folder=folder)
        return found

    # Machinery.

    @contextmanager
    def _fitting(
        self,
        epochs: int,
        lr: LearningRate,
        callbacks: Iterable[Callback],
        base: Iterable[Callback] | None = None,
    ) -> Iterator[None]:
        if epochs < 1:
            raise ValueError(f"epochs must be 1 or more, got {epochs}")
        groups = self.optimizer.param_groups
        kept = [{k: v for k, v in g.items() if k != "params"} for g in groups]
        self.epoch, self.epochs, self.step = 0, epochs, 0
        self.n_steps = step_count(self.data.train, epochs)
        set_hyper(self.optimizer, "lr", spread_over_groups(lr, len(groups)))
        if left := left_out_parameters(self.model, self.optimizer):
            some = ", ".join(left[:3]) + ", ..." * (len(left) > 3)
            self.log(
                f"{len(left)} parameters will not change ({some}): the optimizer does "
                "not have them; unfreeze before making the Learner"
            )
        try:
            with self._with_callbacks(callbacks, base):
                yield
        finally:
            # Schedules hold for one fit. A resume may have replaced the groups.
            for group, values in zip(self.optimizer.param_groups, kept, strict=False):
                for key in set(group) - set(values) - {"params"}:
                    del group[key]
                group.update(values)
            self.stepper = None
            self.optimizer.zero_grad()
            self.training = False
            self.model.eval()

    def _start_pass(self, name: str, batches: Iterable[Any]) -> None:
        self.training, self.broken_off = name == "train", False
        self.model.train(self.training)
        self.meter = PassMeter(self.metrics)
        self.losses = self.meter.losses
        self.n_batches = batch_count(batches)
        if self.training:
            set_batch_epoch(batches, self.epochs_done)
