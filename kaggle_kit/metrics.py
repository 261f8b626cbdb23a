"""Metrics of predictions on a whole set: pure functions of numpy arrays or tensors.

Predictions are scores (N, C), whose largest is the predicted class, or the predicted
classes (N,) themselves. Every function returns a Python float.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

MetricArray = Tensor | np.ndarray


def metric_array(values: MetricArray) -> np.ndarray:
    """Give a tensor on any device, or anything numpy understands, as an array."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # numpy has no bfloat16.
        return (values.float() if values.dtype == torch.bfloat16 else values).numpy()
    return np.asarray(values)


def predicted_classes(preds: MetricArray) -> np.ndarray:
    """Give the classes of scores (N, C) or of classes (N,): (N,) int64."""
    array = metric_array(preds)
    if array.ndim not in (1, 2):
        raise ValueError(
            f"predictions have shape {array.shape}; give scores (N, C) or classes (N,)"
        )
    if array.ndim == 2:
        array = array.argmax(axis=1)
    return array.astype(np.int64)


def _metrics_pair(
    preds: MetricArray, targets: MetricArray
) -> tuple[np.ndarray, np.ndarray]:
    """Read predictions and targets as classes: (N,) and (N,) int64."""
    predicted = predicted_classes(preds)
    actual = metric_array(targets).astype(np.int64)
    if actual.shape != predicted.shape:
        raise ValueError(
            f"{len(predicted)} predictions, but targets have shape {actual.shape}; "
            f"give ({len(predicted)},)"
        )
    if not len(actual):
        raise ValueError("no predictions: a metric of an empty set is undefined")
    return predicted, actual


def confusion_counts(
    preds: MetricArray, targets: MetricArray, n_classes: int | None = None
) -> np.ndarray:
    """Count the images of every (actual, predicted) pair of classes.

    Returns:
        (C, C) int64, rows are actual classes, columns predicted ones.

    >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 0, 1])).tolist()
    [[1, 1], [0, 1]]
    """
    predicted, actual = _metrics_pair(preds, targets)
    largest = int(max(predicted.max(), actual.max()))
    if min(predicted.min(), actual.min()) < 0:
        raise ValueError("classes are numbered from 0, there is a negative one")
    n = largest + 1 if n_classes is None else n_classes
    if largest >= n:
        raise ValueError(f"class {largest} is outside 0..{n - 1} (n_classes is {n})")
    return np.bincount(actual * n + predicted, minlength=n * n).reshape(n, n)


def accuracy(preds: MetricArray, targets: MetricArray) -> float:
    """Share of images whose predicted class is the actual one.

    >>> accuracy(np.array([0, 1, 1, 2]), np.array([0, 1, 2, 2]))
    0.75
    """
    predicted, actual = _metrics_pair(preds, targets)
    return float(np.mean(predicted == actual))


def top_k_accuracy(preds: MetricArray, targets: MetricArray, k: int = 5) -> float:
    """Share of images whose actual class is among the k highest scores (N, C).

    >>> scores = np.array([[0.1, 0.3, 0.6], [0.5, 0.3, 0.2]])
    >>> top_k_accuracy(scores, np.array([1, 2]), k=2)
    0.5
    """
    scores, actual = metric_array(preds), metric_array(targets)
    if scores.ndim != 2 or not 1 <= k <= scores.shape[1]:
        raise ValueError(f"top {k} of scores of shape {scores.shape} is undefined")
    own = np.take_along_axis(scores, actual.astype(np.int64)[:, None], axis=1)
    return float(np.mean((scores > own).sum(axis=1) < k))


def macro_recall(
    preds: MetricArray, targets: MetricArray, n_classes: int | None = None
) -> float:
    """Mean over the classes of the share of each that is recognised.

    Without `n_classes` the classes are those that occur among targets or predictions,
    as in scikit-learn: a class that is predicted but never occurs counts as 0. With it
    all classes 0..n_classes-1 count, those that never occur as 0.

    >>> macro_recall(np.array([0, 0, 1]), np.array([0, 0, 0]))  # 2/3 and 0
    0.3333333333333333
    """
    counts = _metrics_counts(preds, targets, n_classes)
    return float(np.mean(_metrics_share(counts.diagonal(), counts.sum(axis=1))))


def macro_precision(
    preds: MetricArray, targets: MetricArray, n_classes: int | None = None
) -> float:
    """Mean over the classes of the share of each one's predictions that is right.

    Classes as in `macro_recall`; one that is never predicted counts as 0.
    """
    counts = _metrics_counts(preds, targets, n_classes)
    return float(np.mean(_metrics_share(counts.diagonal(), counts.sum(axis=0))))


def macro_f1(
    preds: MetricArray, targets: MetricArray, n_classes: int | None = None
) -> float:
    """Mean over the classes of the F1 score; classes as in `macro_recall`."""
    counts = _metrics_counts(preds, targets, n_classes)
    either = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(_metrics_share(2 * counts.diagonal(), either)))


def quadratic_weighted_kappa(preds: MetricArray, targets: MetricArray) -> float:
    """Agreement of ordered classes beyond chance, errors weighted by distance squared.

    1 is full agreement, 0 that of chance (Cohen 1968).

    >>> quadratic_weighted_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 1]))
    0.8
    """
    counts = confusion_counts(preds, targets).astype(np.float64)
    grades = np.arange(len(counts))
    weights = np.subtract.outer(grades, grades) ** 2
    by_chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    expected = float((weights * by_chance).sum())
    if expected == 0:
        raise ValueError("only one class occurs: the kappa is undefined")
    return 1.0 - float((weights * counts).sum()) / expected


def hierarchical_macro_recall(
    preds: Sequence[MetricArray],
    targets: MetricArray,
    weights: Sequence[float] = (2, 1, 1),
) -> float:
    """Weighted mean of the macro recalls of several heads (Bengali.AI's metric).

    Args:
        preds: one array per head, scores (N, C_head) or classes (N,).
        targets: (N, heads) actual classes, heads in the same order.
        weights: one per head; Bengali.AI weighs the grapheme root twice.
    """
    actual = metric_array(targets)
    if actual.ndim != 2 or not len(preds) == actual.shape[1] == len(weights):
        raise ValueError(
            f"{len(preds)} heads of predictions and {len(weights)} weights, but "
            f"targets have shape {actual.shape}; give (N, {len(preds)})"
        )
    recalls = [macro_recall(head, actual[:, i]) for i, head in enumerate(preds)]
    return float(np.average(recalls, weights=weights))


@dataclass(frozen=True)
class MultiHeadRecall:
    """`hierarchical_macro_recall` as a metric of outputs that come as one array.

    Attributes:
        sizes: classes of each head.
        weights: of each head; Bengali.AI weighs the grapheme root twice.
        name: column in the history.
    """

    sizes: tuple[int, ...]
    weights: tuple[float, ...] = (2, 1, 1)
    name: str = "recall"

    def __call__(self, preds: MetricArray, targets: MetricArray) -> float:
        """Score logits preds: (N, sum of sizes) against targets: (N, heads)."""
        scores = metric_array(preds)
        if scores.ndim != 2 or scores.shape[1] != sum(self.sizes):
            raise ValueError(
                f"predictions have shape {scores.shape}; heads of "
                f"{', '.join(map(str, self.sizes))} need (N, {sum(self.sizes)})"
            )
        heads = np.split(scores, np.cumsum(self.sizes)[:-1], axis=1)
        return hierarchical_macro_recall(heads, targets, self.weights)


def _metrics_counts(
    preds: MetricArray, targets: MetricArray, n_classes: int | None
) -> np.ndarray:
    counts = confusion_counts(preds, targets, n_classes)
    if n_classes is not None:
        return counts
    occurs = (counts.sum(axis=0) + counts.sum(axis=1)) > 0
    return counts[np.ix_(occurs, occurs)]


def _metrics_share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide elementwise, 0 where the whole is 0: (C,) float64."""
    shares = np.zeros(len(whole))
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares
