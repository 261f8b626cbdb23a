"""Post-processing by class prior: the known trick for macro recall."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kaggle_kit.metrics import (
    MetricArray,
    macro_recall,
    metric_array,
    predicted_classes,
)

PRIOR_POWERS = tuple(round(0.1 * step, 1) for step in range(21))


def apply_prior_power(
    probabilities: MetricArray,
    power: float = 1.2,
    counts: MetricArray | None = None,
) -> np.ndarray:
    """Divide the probability of every class by its frequency to a power.

    Macro recall weighs rare classes like frequent ones, but a model prefers frequent
    ones in doubt; dividing by (how often the class is predicted)^1.2 brought +0.024 on
    Bengali.AI's private board (14th place).

    Args:
        probabilities: (N, C).
        power: 0 changes nothing; larger favours rare classes more.
        counts: (C,) images per class; by default as often as each is predicted here.

    Returns:
        (N, C) float64, rows sum to 1.

    >>> apply_prior_power(np.array([[0.6, 0.4]]), 1.0, counts=np.array([2, 1])).round(3)
    array([[0.429, 0.571]])
    """
    shares = metric_array(probabilities).astype(np.float64)
    if shares.ndim != 2:
        raise ValueError(f"probabilities have shape {shares.shape}; give (N, C)")
    if counts is None:
        numbers = np.bincount(shares.argmax(axis=1), minlength=shares.shape[1])
    else:
        numbers = metric_array(counts)
        if numbers.shape != (shares.shape[1],):
            raise ValueError(
                f"counts have shape {numbers.shape}; give ({shares.shape[1]},)"
            )
    # A class that is never predicted must not get an infinite weight.
    weighted = shares * np.maximum(numbers, 1).astype(np.float64) ** -power
    scaled: np.ndarray = weighted / weighted.sum(axis=1, keepdims=True)
    return scaled


def fit_prior_power(
    probabilities: MetricArray,
    targets: MetricArray,
    metric: Callable[[np.ndarray, MetricArray], float] = macro_recall,
    powers: Sequence[float] = PRIOR_POWERS,
) -> float:
    """Choose the power with the best metric, on out-of-fold predictions.

    Never on predictions of images that the model was trained on, nor on the test set.
    Of equally good powers the smallest is taken.

    Args:
        probabilities: (N, C) out-of-fold.
        targets: (N,) actual classes.
        metric: `(preds, targets) -> float`, larger is better.
        powers: to choose from.
    """
    scores = [
        metric(apply_prior_power(probabilities, power), targets) for power in powers
    ]
    return float(powers[int(np.argmax(scores))])


@dataclass(frozen=True)
class PriorCorrection:
    """Powers and class counts of several heads, as `fit_prior_correction` found them.

    With the counts fixed, an image's answer does not depend on which other images are
    predicted with it.

    Attributes:
        powers: one per head; 0 leaves a head as it is.
        counts: for each head how often each class was predicted out of fold.
    """

    powers: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]

    def apply(self, heads: Sequence[MetricArray]) -> tuple[np.ndarray, ...]:
        """Correct probabilities, one (N, C) array per head.

        Raises:
            ValueError: Another number of heads or classes than were fitted.
        """
        if len(heads) != len(self.powers):
            raise ValueError(
                f"{len(heads)} heads of predictions, but the correction was fitted on "
                f"{len(self.powers)}"
            )
        return tuple(
            apply_prior_power(head, power, np.array(counts))
            for head, power, counts in zip(heads, self.powers, self.counts, strict=True)
        )


def fit_prior_correction(
    heads: Sequence[MetricArray],
    targets: MetricArray,
    powers: Sequence[float] = PRIOR_POWERS,
) -> PriorCorrection:
    """Fit the power of every head on out-of-fold predictions.

    A head keeps power 0 unless its macro recall gains on rows that the power was not
    fitted on: see `cross_fit_priors`.

    Args:
        heads: (N, C) out-of-fold probabilities of each head.
        targets: (N, heads) actual classes.
        powers: to choose from.

    Raises:
        ValueError: A row has no prediction (NaN): a fold that was not run.
    """
    actual = _priors_targets(heads, targets)
    crossed = cross_fit_priors(heads, targets, powers)
    chosen, counts = [], []
    for i, head in enumerate(heads):
        plain = macro_recall(head, actual[:, i])
        gains = macro_recall(crossed[i], actual[:, i]) > plain
        power = fit_prior_power(head, actual[:, i], powers=powers) if gains else 0.0
        chosen.append(power)
        counts.append(_priors_counts(head))
    return PriorCorrection(tuple(chosen), tuple(counts))


def cross_fit_priors(
    heads: Sequence[MetricArray],
    targets: MetricArray,
    powers: Sequence[float] = PRIOR_POWERS,
) -> tuple[np.ndarray, ...]:
    """Correct each half of the rows by what was fitted on the other half.

    Scores of the result say honestly what the correction brings: the power that is
    best on some rows flatters itself on the very same ones.

    Args:
        heads: (N, C) out-of-fold probabilities of each head, at least two rows.
        targets: (N, heads) actual classes.
        powers: to choose from.

    Returns:
        (N, C) float64 for each head.
    """
    actual = _priors_targets(heads, targets)
    odd = np.arange(len(actual)) % 2 == 1
    corrected = []
    for i, head in enumerate(map(metric_array, heads)):
        whole = np.empty(head.shape)
        for rows in (odd, ~odd):
            power = fit_prior_power(head[~rows], actual[~rows, i], powers=powers)
            counts = np.array(_priors_counts(head[~rows]))
            whole[rows] = apply_prior_power(head[rows], power, counts)
        corrected.append(whole)
    return tuple(corrected)


def _priors_targets(heads: Sequence[MetricArray], targets: MetricArray) -> np.ndarray:
    actual = metric_array(targets)
    if actual.ndim != 2 or actual.shape[1] != len(heads) or len(actual) < 2:
        raise ValueError(
            f"{len(heads)} heads of predictions, but targets have shape "
            f"{actual.shape}; give (N, {len(heads)}) with at least two rows"
        )
    for head in map(metric_array, heads):
        empty = np.flatnonzero(~np.isfinite(head).all(axis=1))
        if len(empty):
            raise ValueError(
                f"{len(empty)} rows have no out-of-fold prediction, the first is row "
                f"{empty[0]}: leave out the rows of folds that were not run"
            )
    return actual


def _priors_counts(head: MetricArray) -> tuple[int, ...]:
    """How often each class is predicted."""
    n_classes = metric_array(head).shape[1]
    counts = np.bincount(predicted_classes(head), minlength=n_classes)
    return tuple(int(count) for count in counts)
