"""Metrics against scikit-learn: equal to the last bit."""

import numpy as np
import pytest
import sklearn.metrics
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_kit.metrics import (
    MultiHeadRecall,
    accuracy,
    confusion_counts,
    hierarchical_macro_recall,
    macro_f1,
    macro_precision,
    macro_recall,
    predicted_classes,
    quadratic_weighted_kappa,
    top_k_accuracy,
)

CLASSES = st.integers(0, 6)
PAIRS = st.lists(st.tuples(CLASSES, CLASSES), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_metrics_equal_those_of_scikit_learn(pairs):
    predicted, actual = (np.array(column) for column in zip(*pairs, strict=True))
    options = {"average": "macro", "zero_division": 0}
    oracle = sklearn.metrics
    assert accuracy(predicted, actual) == oracle.accuracy_score(actual, predicted)
    assert macro_recall(predicted, actual) == oracle.recall_score(
        actual, predicted, **options
    )
    assert macro_precision(predicted, actual) == oracle.precision_score(
        actual, predicted, **options
    )
    assert macro_f1(predicted, actual) == oracle.f1_score(actual, predicted, **options)
    np.testing.assert_array_equal(
        confusion_counts(predicted, actual, 7),
        oracle.confusion_matrix(actual, predicted, labels=range(7)),
    )


@settings(max_examples=40, deadline=None)
@given(PAIRS.filter(lambda pairs: len({c for pair in pairs for c in pair}) > 1))
def test_kappa_agrees_with_scikit_learn(pairs):
    predicted, actual = (np.array(column) for column in zip(*pairs, strict=True))
    expected = sklearn.metrics.cohen_kappa_score(
        actual, predicted, weights="quadratic", labels=range(7)
    )
    assert quadratic_weighted_kappa(predicted, actual) == pytest.approx(expected)


def test_top_k_accuracy_agrees_with_scikit_learn():
    generator = np.random.default_rng(0)
    scores, actual = generator.random((60, 8)), generator.integers(0, 8, 60)
    for k in (1, 3, 7):
        expected = sklearn.metrics.top_k_accuracy_score(
            actual, scores, k=k, labels=range(8)
        )
        assert top_k_accuracy(scores, actual, k) == expected
    assert top_k_accuracy(scores, actual, 1) == accuracy(scores, actual)
    with pytest.raises(ValueError, match=r"top 9 of scores of shape \(60, 8\)"):
        top_k_accuracy(scores, actual, 9)


def test_hierarchical_recall_is_the_weighted_mean_over_the_heads():
    generator = np.random.default_rng(1)
    sizes = (168, 11, 7)
    targets = np.stack([generator.integers(0, n, 500) for n in sizes], axis=1)
    heads = [generator.random((500, n)) for n in sizes]
    recalls = [
        sklearn.metrics.recall_score(
            targets[:, i], head.argmax(1), average="macro", zero_division=0
        )
        for i, head in enumerate(heads)
    ]
    expected = np.average(recalls, weights=[2, 1, 1])
    assert hierarchical_macro_recall(heads, targets) == expected
    with pytest.raises(ValueError, match=r"2 heads .* targets have shape \(500, 3\)"):
        hierarchical_macro_recall(heads[:2], targets)


@pytest.mark.parametrize("rows", [40, 200_840])
def test_hierarchical_recall_is_that_of_the_competition_to_the_last_bit(rows):
    generator = np.random.default_rng(rows)
    sizes = (168, 11, 7)
    # Some classes never occur, others are never predicted, few rows miss most of them.
    targets = np.stack([generator.integers(0, n - 1, rows) for n in sizes], axis=1)
    preds = np.where(generator.random((rows, 3)) < 0.8, targets, targets * 0 + 3)
    preds[0] = [n - 1 for n in sizes]
    scores = [
        sklearn.metrics.recall_score(
            targets[:, i], preds[:, i], average="macro", zero_division=0
        )
        for i in range(3)
    ]
    expected = np.average(scores, weights=[2, 1, 1])
    assert hierarchical_macro_recall(list(preds.T), targets) == expected
    one_hot = [np.eye(n, dtype=np.float32)[preds[:, i]] for i, n in enumerate(sizes)]
    assert hierarchical_macro_recall(one_hot, targets) == expected


def test_recall_of_several_heads_in_one_array():
    generator = np.random.default_rng(1)
    sizes = (5, 3, 2)
    targets = np.stack([generator.integers(0, n, 80) for n in sizes], axis=1)
    logits = torch.from_numpy(generator.normal(size=(80, 10)))
    metric = MultiHeadRecall(sizes)
    heads = torch.split(logits, sizes, dim=1)
    expected = hierarchical_macro_recall(heads, targets)
    assert metric(logits, torch.from_numpy(targets)) == expected
    assert metric.name == "recall"
    with pytest.raises(ValueError, match=r"heads of 5, 3, 2 need \(N, 10\)"):
        metric(logits[:, :9], targets)


def test_scores_of_any_kind_give_the_classes():
    scores = torch.tensor([[0.1, 0.9], [0.8, 0.2]], requires_grad=True)
    for preds in (scores, scores.bfloat16(), scores.detach().numpy()):
        assert predicted_classes(preds).tolist() == [1, 0]
    assert accuracy(scores, torch.tensor([1, 1])) == 0.5


def test_classes_that_never_occur_count_as_zero_only_when_asked_for():
    predicted, actual = np.array([0, 1, 1]), np.array([0, 1, 1])
    assert macro_recall(predicted, actual) == 1.0
    assert macro_recall(predicted, actual, n_classes=4) == 0.5


@pytest.mark.parametrize(
    ("predicted", "actual", "message"),
    [
        ([0, 1], [0], r"2 predictions, but targets have shape \(1,\)"),
        ([], [], "no predictions"),
        ([0, -1], [0, 1], "there is a negative one"),
        ([[[0.0]]], [0], r"shape \(1, 1, 1\); give scores"),
        ([0, 5], [0, 1], r"class 5 is outside 0..3"),
    ],
)
def test_what_cannot_be_counted_is_refused(predicted, actual, message):
    with pytest.raises(ValueError, match=message):
        confusion_counts(np.array(predicted), np.array(actual), n_classes=4)


def test_kappa_of_a_single_class_is_refused():
    with pytest.raises(ValueError, match="only one class occurs"):
        quadratic_weighted_kappa(np.zeros(3, int), np.zeros(3, int))
