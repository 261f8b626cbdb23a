"""Post-processing by class prior."""

import numpy as np
import pytest
import torch

from kaggle_kit.metrics import accuracy, macro_recall
from kaggle_kit.priors import apply_prior_power, fit_prior_power


def imbalanced(n=3000, seed=0):
    """Probabilities of a model that prefers the frequent classes in doubt."""
    generator = np.random.default_rng(seed)
    prior = np.array([0.85, 0.1, 0.05])
    targets = generator.choice(3, n, p=prior)
    evidence = generator.normal(size=(n, 3))
    evidence[np.arange(n), targets] += 1.5
    scores = np.exp(1.5 * evidence) * prior
    return scores / scores.sum(1, keepdims=True), targets


def test_probabilities_are_divided_by_the_predicted_frequency():
    probabilities = np.array([[0.6, 0.4, 0.0], [0.9, 0.1, 0.0], [0.2, 0.8, 0.0]])
    got = apply_prior_power(torch.from_numpy(probabilities), power=1.0)
    expected = probabilities / [2, 1, 1]
    np.testing.assert_allclose(got, expected / expected.sum(1, keepdims=True))
    np.testing.assert_allclose(apply_prior_power(probabilities, 0.0), probabilities)
    given = apply_prior_power(probabilities, 1.0, counts=np.array([4, 1, 9]))
    expected = probabilities / [4, 1, 9]
    np.testing.assert_allclose(given, expected / expected.sum(1, keepdims=True))


def test_macro_recall_of_other_rows_gains_from_the_fitted_power():
    probabilities, targets = imbalanced(seed=0)
    power = fit_prior_power(probabilities, targets)
    assert 0.3 < power <= 2.0
    new, new_targets = imbalanced(seed=1)
    before = macro_recall(new, new_targets)
    after = macro_recall(apply_prior_power(new, power), new_targets)
    assert after > before + 0.05


def test_the_smallest_of_equally_good_powers_is_taken():
    certain = np.eye(3)[[0, 1, 2, 2]]
    assert fit_prior_power(certain, np.array([0, 1, 2, 2]), accuracy) == 0.0


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\); give \(N, C\)"):
        apply_prior_power(np.ones(3))
    with pytest.raises(ValueError, match=r"counts have shape \(2,\); give \(3,\)"):
        apply_prior_power(np.ones((4, 3)) / 3, counts=np.ones(2))
