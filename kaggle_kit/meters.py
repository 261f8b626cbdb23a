"""Loss and metrics of one pass over the data, without bias from a short last batch."""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

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


class MeterParts(NamedTuple):
    """What one process has collected in a pass, one entry per batch."""

    losses: list[Tensor]
    weights: list[int]
    preds: list[Any]
    targets: list[Any]
    values: list[list[float]]
    comparable: bool


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

    def parts(self) -> MeterParts:
        """What has been collected, on the CPU: to be sent to another process."""
        return MeterParts(
            [loss.float().cpu() for loss in self.losses],
            list(self._weights),
            [map_tree(Tensor.cpu, preds) for preds in self._preds],
            [map_tree(Tensor.cpu, target) for target in self._targets],
            [[float(v) for v in values] for values in self._batch_values],
            self._comparable,
        )

    def take_parts(self, ranks: Sequence[MeterParts]) -> None:
        """Take the place of the meters that several processes had, batch by batch.

        Args:
            ranks: Parts of each; a batch of weight 0 was another one's.
        """
        weights = torch.tensor([part.weights for part in ranks]).double()  # (R, B)
        total = weights.sum(0)
        share = weights / total

        def mean(values: Sequence[Sequence[Any]]) -> list[Tensor]:
            column = torch.tensor([[float(v) for v in row] for row in values])
            return list((column.double() * share).sum(0).float())

        self.losses[:] = mean([part.losses for part in ranks])
        self._weights = [int(weight) for weight in total]
        self._comparable = all(part.comparable for part in ranks)
        kept = [
            (part, batch)
            for part in ranks
            for batch, weight in enumerate(part.weights)
            if weight
        ]
        if self._comparable and self._whole:
            self._preds = [part.preds[batch] for part, batch in kept]
            self._targets = [part.targets[batch] for part, batch in kept]
        self._batch_values = [
            list(mean([part.values[i] for part in ranks]))
            for i in range(len(self._average) if self._comparable else 0)
        ]

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


def _weighted_mean(values: Sequence[Any], weights: Sequence[int]) -> float:
    if not values:
        return math.nan
    column = torch.stack([torch.as_tensor(value).float() for value in values])
    # float64 on the CPU: 10,000 float32 terms added one by one would lose digits.
    weight = torch.tensor(weights, dtype=torch.float64)
    return float((column.cpu().double() * weight).sum() / weight.sum())
