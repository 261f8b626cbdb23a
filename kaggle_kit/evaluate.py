"""How good are the predictions: scores, confusions, the worst images, folds."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from kaggle_kit.metrics import (
    MetricArray,
    accuracy,
    confusion_counts,
    metric_array,
)
from kaggle_kit.paths import atomic_file

# Probabilities in half precision sum to 1 only this well.
_EVALUATE_TOLERANCE = 0.01


class ConfusedPair(NamedTuple):
    """How often images of one class were taken for another."""

    actual: int
    predicted: int
    n_images: int


class FoldScores(NamedTuple):
    """A metric on out-of-fold predictions.

    Attributes:
        score: on all rows together, "the CV".
        per_fold: of each fold, in the order of the fold numbers.
        mean: of the folds.
        std: of the folds, with n - 1.
    """

    score: float
    per_fold: tuple[float, ...]
    mean: float
    std: float


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Predictions beside the truth; make one with `evaluate_predictions`.

    Attributes:
        probabilities: (N, C) float64, rows sum to 1.
        targets: (N,) int64 actual classes.
        predictions: (N,) int64 predicted classes.
        losses: (N,) float64, -log of the probability of the actual class.
        confusion: (C, C) int64 counts, rows actual, columns predicted.
        class_names: C names for tables and plots.
        accuracy: share of right predictions.
        loss: mean of the losses (the log loss).
    """

    probabilities: np.ndarray
    targets: np.ndarray
    predictions: np.ndarray
    losses: np.ndarray
    confusion: np.ndarray
    class_names: tuple[str, ...]
    accuracy: float
    loss: float

    @property
    def recalls(self) -> np.ndarray:
        """Share of each class that is recognised: (C,), NaN where none occurs."""
        totals = self.confusion.sum(axis=1)
        shares = np.full(len(totals), np.nan)
        np.divide(self.confusion.diagonal(), totals, out=shares, where=totals > 0)
        return shares

    def most_confused(self, n: int = 10) -> list[ConfusedPair]:
        """List the n pairs of classes confused most often, most first.

        Equal counts come in the order of the class numbers; pairs that never occur are
        left out.
        """
        errors = self.confusion.copy()
        np.fill_diagonal(errors, 0)
        order = np.argsort(-errors, axis=None, kind="stable")[:n]
        rows, columns = np.unravel_index(order, errors.shape)
        pairs = zip(rows.tolist(), columns.tolist(), strict=True)
        found = [ConfusedPair(a, p, int(errors[a, p])) for a, p in pairs]
        return [pair for pair in found if pair.n_images]

    def top_losses(self, n: int = 16) -> np.ndarray:
        """Give the indices of the n images with the largest loss: (n,) int64."""
        return np.argsort(-self.losses, kind="stable")[:n]

    def describe(self, n: int = 5) -> str:
        """Say the scores and the n most confused pairs in a few lines of text."""
        wrong = int((self.predictions != self.targets).sum())
        lines = [
            f"accuracy {self.accuracy:.4f}, loss {self.loss:.4f} "
            f"({wrong} of {len(self.targets)} wrong)"
        ]
        names = self.class_names
        lines += [
            f"  {names[pair.actual]} taken for {names[pair.predicted]}: {pair.n_images}"
            for pair in self.most_confused(n)
        ]
        return "\n".join(lines)


def evaluate_predictions(
    preds: MetricArray,
    targets: MetricArray,
    *,
    logits: bool = False,
    class_names: Sequence[str] | None = None,
) -> Evaluation:
    """Compare predictions with the actual classes.

    Args:
        preds: (N, C) probabilities, or logits when `logits` is set.
        targets: (N,) actual classes in 0..C-1.
        logits: whether the predictions still need a softmax.
        class_names: C names; the class numbers without.

    Raises:
        ValueError: shapes do not fit, values are not finite, or the predictions are no
            probabilities.
    """
    scores = torch.from_numpy(metric_array(preds).astype(np.float64))
    actual = metric_array(targets).astype(np.int64)
    _evaluate_check(scores, actual, class_names)
    logs = torch.log_softmax(scores, 1) if logits else _evaluate_logs(scores)
    n_classes = scores.shape[1]
    probabilities = logs.exp().numpy()
    losses = -logs.numpy()[np.arange(len(actual)), actual]
    names = class_names if class_names is not None else range(n_classes)
    # From the scores as given: taking logarithms must not decide a tie.
    predictions = scores.numpy().argmax(axis=1).astype(np.int64)
    return Evaluation(
        probabilities=probabilities,
        targets=actual,
        predictions=predictions,
        losses=losses,
        confusion=confusion_counts(predictions, actual, n_classes),
        class_names=tuple(str(name) for name in names),
        accuracy=accuracy(predictions, actual),
        loss=float(losses.mean()),
    )


def _evaluate_check(
    scores: Tensor, actual: np.ndarray, class_names: Sequence[str] | None
) -> None:
    if scores.ndim != 2 or actual.shape != (len(scores),) or not len(scores):
        raise ValueError(
            f"predictions have shape {tuple(scores.shape)} and targets {actual.shape}; "
            "give (N, C) and (N,) with at least one row"
        )
    bad = (~scores.isfinite()).any(dim=1).nonzero().flatten()
    if len(bad):
        raise ValueError(
            f"predictions of {len(bad)} rows are not finite, the first is row "
            f"{int(bad[0])}"
        )
    n_classes = scores.shape[1]
    outside = np.flatnonzero((actual < 0) | (actual >= n_classes))
    if len(outside):
        raise ValueError(
            f"target {actual[outside[0]]} of row {outside[0]} is outside "
            f"0..{n_classes - 1}"
        )
    if class_names is not None and len(class_names) != n_classes:
        raise ValueError(f"{len(class_names)} class names for {n_classes} classes")


def _evaluate_logs(probabilities: Tensor) -> Tensor:
    """Take logarithms of probabilities (N, C), refusing what are none."""
    sums = probabilities.sum(dim=1)
    if bool((probabilities < 0).any()) or bool(
        ((sums - 1).abs() > _EVALUATE_TOLERANCE).any()
    ):
        raise ValueError(
            "predictions are no probabilities: some are negative, or rows do not sum "
            "to 1; pass logits=True for a model's raw outputs"
        )
    # The smallest normal float32: a probability of 0 costs 87, not infinity.
    floor = torch.finfo(torch.float32).tiny
    return (probabilities / sums[:, None]).clamp(min=floor).log()


def fold_scores(
    preds: MetricArray,
    targets: MetricArray,
    folds: MetricArray,
    metric: Callable[[np.ndarray, np.ndarray], float] = accuracy,
) -> FoldScores:
    """Score out-of-fold predictions, on all rows and fold by fold.

    Args:
        preds: (N, C) scores, each row predicted by the model that never saw it.
        targets: (N,) actual classes.
        folds: (N,) fold numbers; rows of a negative fold were never held out and are
            left out.
        metric: `(preds, targets) -> float`.
    """
    scores, actual, fold = (metric_array(part) for part in (preds, targets, folds))
    if not len(scores) == len(actual) == len(fold):
        raise ValueError(
            f"{len(scores)} predictions, {len(actual)} targets and {len(fold)} fold "
            "numbers; give as many of each"
        )
    held_out = fold >= 0
    numbers = np.unique(fold[held_out])
    if not len(numbers):
        raise ValueError("no row has a fold number of 0 or more")
    parts = [fold == number for number in numbers]
    each = tuple(float(metric(scores[part], actual[part])) for part in parts)
    return FoldScores(
        score=float(metric(scores[held_out], actual[held_out])),
        per_fold=each,
        mean=float(np.mean(each)),
        std=float(np.std(each, ddof=1)) if len(each) > 1 else 0.0,
    )


def write_scores(
    scores: Mapping[str, float], folder: str | Path, name: str = "scores.json"
) -> Path:
    """Write a run's scores beside its outputs, atomically.

    The build tool reads this file, so that each push's record carries them.

    Args:
        scores: By name, for example {"valid_accuracy": 0.9961}.
        folder: Where the file goes.
        name: Of the file.

    Raises:
        ValueError: A score is NaN or infinite, which JSON cannot hold.
    """
    bad = [key for key, value in scores.items() if not np.isfinite(value)]
    if bad:
        raise ValueError(f"scores that are not finite numbers: {', '.join(bad)}")
    plain = {key: float(value) for key, value in scores.items()}
    path = Path(folder) / name
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    return path
