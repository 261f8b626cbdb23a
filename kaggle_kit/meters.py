"""Loss and metrics of one pass over the data, without bias from a short last batch."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.trees import TensorTree, count_items, join_tree, map_tree

Metric = Callable[[Any, Any], Any]  # (preds, targets) -> number or scalar tensor


class AverageMetric:
    """A metric computed per batch and averaged, weighted by batch size.

    For outputs too large to keep for a whole pass (segmentation masks). Not for
    metrics that are no averages over items, such as recall.

    Args:
        metric: Called with predictions and targets of one batch; returns a number or
            a scalar tensor (which stays on the device until the pass ends).
        name: Column in the history, the function's name by default.
    """

    def __init__(self, metric: Metric, name: str = "") -> None:
        self.metric = metric
        self.name = name or metric_name(metric)

    def __call__(self, preds: TensorTree, targets: TensorTree) -> Tensor | float:
        """Value on one batch."""
        value: Tensor | float = self.metric(preds, targets)
        return value


def metric_name(metric: Metric) -> str:
    """Name of a metric in the history: its `name`, its function's or class's name."""
    if isinstance(metric, functools.partial):
        return metric_name(metric.func)
    name = getattr(metric, "name", None) or getattr(metric, "__name__", None)
    return str(name or type(metric).__name__)


def metric_names(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Names of the metrics in order.

    Raises:
        TypeError: A metric cannot be called.
        ValueError: Two metrics share a name, or one takes a column of the history.
    """
    for metric in metrics:
        if not callable(metric):
            raise TypeError(f"metric {metric!r} cannot be called with (preds, targets)")
    names = tuple(metric_name(metric) for metric in metrics)
    taken = {"epoch", "train_loss", "valid_loss", "seconds", "lr"}
    for index, name in enumerate(names):
        if name in taken:
            raise ValueError(
                f"metric name {name!r} is taken: two metrics of one name, or a column "
                f"of the history ({', '.join(sorted(taken - set(names[:index])))}); "
                "give one a name: AverageMetric(metric, name='...') or a `name` "
                "attribute"
            )
        taken.add(name)
    return names


class PassMeter:
    """Collects a pass and computes loss and metrics at its end.

    Losses stay on the device as scalars, so that no batch waits for a transfer. Metrics
    are computed once, on the predictions and targets of the whole pass.
    """

    def __init__(self, metrics: Sequence[Metric]) -> None:
        self.losses: list[Tensor] = []
        self._weights: list[int] = []
        self._average = [m for m in metrics if isinstance(m, AverageMetric)]
        self._whole = [m for m in metrics if not isinstance(m, AverageMetric)]
        self._batch_values: list[list[Any]] = [[] for _ in self._average]
        self._preds: list[Any] = []
        self._targets: list[Any] = []
        self._comparable = True

    def add(
        self, loss: Tensor, preds: TensorTree, target: TensorTree, comparable: bool
    ) -> None:
        """Record one batch.

        Args:
            loss: Mean loss of the batch, a scalar.
            preds: Output of the model; (B, ...) or a tuple of such.
            target: Targets as the batches gave them; (B, ...) or a tuple of such.
            comparable: False when the loss saw other targets (mixed ones): metrics
                against the plain targets would then mean nothing.

        Raises:
            ValueError: The loss is not one number.
        """
        if loss.ndim:
            raise ValueError(
                f"the loss must be one number, the mean over the batch; it has shape "
                f"{tuple(loss.shape)}: use reduction='mean'"
            )
        self.losses.append(loss.detach())
        self._weights.append(count_items(target))
        self._comparable = self._comparable and comparable
        if not self._comparable:
            return
        if self._whole:
            self._preds.append(map_tree(Tensor.detach, preds))
            self._targets.append(target)
        for values, metric in zip(self._batch_values, self._average, strict=True):
            values.append(metric(map_tree(Tensor.detach, preds), target))

    def mean_loss(self) -> float:
        """Mean over items; NaN where no batch had a loss."""
        return _weighted_mean(self.losses, self._weights)

    def result(self) -> dict[str, float]:
        """Metrics by name; empty where the targets were not comparable."""
        values: dict[str, float] = {}
        if not self._comparable or not self.losses:
            return values
        if self._whole:
            preds, targets = join_tree(self._preds), join_tree(self._targets)
            for metric in self._whole:
                values[metric_name(metric)] = float(metric(preds, targets))
        for metric, batch_values in zip(self._average, self._batch_values, strict=True):
            values[metric.name] = _weighted_mean(batch_values, self._weights)
        return values


class InputView(Callback):
    """Shows the model another view of each input.

    Args:
        view: Called with x, returns the same shape.
    """

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        self.view = view

    def before_predict(self, learner: LearnerState) -> None:
        """Replace the input."""
        learner.x = self.view(learner.x)


class PredictionCollector(Callback):
    """Keeps what the model predicts in a pass, on the CPU.

    Args:
        activation: Applied to the outputs of each batch.
        item_loss: Loss function to be computed for each item: a module or function
            that takes `reduction="none"`.
    """

    order = 90

    def __init__(
        self,
        activation: Callable[[TensorTree], TensorTree] | None = None,
        item_loss: Callable[[Any, Any], Tensor] | None = None,
    ) -> None:
        self.activation = activation
        self.item_loss = item_loss
        self._preds: list[Any] = []
        self._targets: list[Any] = []
        self._losses: list[Tensor] = []

    def after_predict(self, learner: LearnerState) -> None:
        """Keep this batch."""
        preds = map_tree(Tensor.detach, learner.preds)
        kept = preds if self.activation is None else self.activation(preds)
        self._preds.append(map_tree(Tensor.cpu, kept))
        if learner.target is None:
            return
        self._targets.append(map_tree(Tensor.cpu, learner.target))
        if self.item_loss is not None:
            losses = loss_per_item(self.item_loss, preds, learner.target)
            self._losses.append(losses.detach().cpu())

    def joined(self) -> tuple[Any, Any, Any]:
        """Predictions, targets and losses of the pass, None for what there was not.

        Raises:
            ValueError: The batches were empty.
        """
        if not self._preds:
            raise ValueError("there were no batches to predict")
        parts = (self._preds, self._targets, self._losses)
        preds, targets, losses = (join_tree(part) if part else None for part in parts)
        return preds, targets, losses


def loss_per_item(
    loss: Callable[..., Tensor], preds: TensorTree, targets: TensorTree
) -> Tensor:
    """Loss of each item, (B,).

    Raises:
        TypeError: The loss has no `reduction` to switch off.
    """
    if hasattr(loss, "reduction"):
        kept, loss.reduction = loss.reduction, "none"
        try:
            values = loss(preds, targets)
        finally:
            loss.reduction = kept
    else:
        try:
            values = loss(preds, targets, reduction="none")
        except TypeError as error:
            raise TypeError(
                f"{loss!r} gives no loss per item: it has no `reduction`; call "
                "get_preds(with_targets=True) and compute the losses yourself"
            ) from error
    return values.flatten(1).mean(1) if values.ndim > 1 else values


def _weighted_mean(values: Sequence[Any], weights: Sequence[int]) -> float:
    if not values:
        return math.nan
    column = torch.stack([torch.as_tensor(value).float() for value in values])
    # float64 on the CPU: 10,000 float32 terms added one by one would lose digits.
    weight = torch.tensor(weights, dtype=torch.float64)
    return float((column.cpu().double() * weight).sum() / weight.sum())
