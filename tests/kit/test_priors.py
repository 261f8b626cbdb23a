"""Post-processing by class prior."""

import numpy as np
import pytest
import torch

from kaggle_kit.metrics import accuracy, macro_recall
from kaggle_kit.priors import (
    PriorCorrection,
    apply_prior_power,
    cross_fit_priors,
    fit_prior_correction,
    fit_prior_power,
)


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


def two_heads(seed):
    """A head whose classes are of unequal frequency, and one of pure noise."""
    first, targets = imbalanced(seed=seed)
    generator = np.random.default_rng(seed)
    second = generator.dirichlet([1, 1], len(targets))
    return (first, second), np.stack([targets, generator.integers(0, 2, 3000)], 1)


def test_the_correction_is_fitted_on_one_set_and_helps_on_another():
    heads, targets = two_heads(0)
    correction = fit_prior_correction(heads, targets)
    assert correction.powers[0] == fit_prior_power(heads[0], targets[:, 0])
    assert correction.counts[0] == tuple(np.bincount(heads[0].argmax(1), minlength=3))
    new, new_targets = two_heads(1)
    corrected = correction.apply(new)
    gain = [
        macro_recall(corrected[i], new_targets[:, i])
        - macro_recall(new[i], new_targets[:, i])
        for i in range(2)
    ]
    assert gain[0] > 0.05
    assert abs(gain[1]) < 0.02


def test_an_answer_does_not_depend_on_its_neighbours():
    heads, targets = two_heads(0)
    correction = fit_prior_correction(heads, targets)
    whole = correction.apply(heads)
    alone = correction.apply([head[7:8] for head in heads])
    for one, all_rows in zip(alone, whole, strict=True):
        np.testing.assert_array_equal(one[0], all_rows[7])


def test_cross_fitted_rows_never_see_their_own_targets():
    heads, targets = two_heads(0)
    before = cross_fit_priors(heads, targets)
    changed = targets.copy()
    changed[1::2] = 0  # the odd rows' targets decide about the even rows only
    after = cross_fit_priors(heads, changed)
    np.testing.assert_array_equal(before[0][1::2], after[0][1::2])
    assert not np.array_equal(before[0][::2], after[0][::2])
    assert macro_recall(before[0], targets[:, 0]) > macro_recall(
        heads[0], targets[:, 0]
    )


def test_a_head_that_gains_nothing_keeps_its_probabilities():
    certain = np.eye(3)[[0, 1, 2, 2, 0, 1]]
    targets = np.array([0, 1, 2, 2, 0, 1])[:, None]
    correction = fit_prior_correction([certain], targets)
    assert correction == PriorCorrection((0.0,), ((2, 2, 2),))
    np.testing.assert_array_equal(correction.apply([certain])[0], certain)


def test_rows_that_were_not_held_out_are_refused():
    heads, targets = two_heads(0)
    heads[0][5] = np.nan
    with pytest.raises(ValueError, match=r"1 rows have no out-of-fold .* is row 5"):
        fit_prior_correction(heads, targets)
    with pytest.raises(ValueError, match=r"2 heads .* shape \(3000,\); give \(N, 2"):
        cross_fit_priors(heads, targets[:, 0])
    correction = PriorCorrection((0.0,), ((1, 2),))
    with pytest.raises(ValueError, match=r"2 heads .* fitted on 1"):
        correction.apply(heads)
