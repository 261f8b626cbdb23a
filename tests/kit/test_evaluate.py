"""Evaluation of predictions and of folds."""

import json

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
import torch

from kaggle_kit.evaluate import evaluate_predictions, fold_scores, write_scores
from kaggle_kit.metrics import macro_recall

PROBABILITIES = np.array(
    [
        [0.7, 0.2, 0.1],
        [0.1, 0.8, 0.1],
        [0.5, 0.4, 0.1],
        [0.3, 0.4, 0.3],
        [0.2, 0.7, 0.1],
    ]
)
TARGETS = np.array([0, 1, 1, 2, 2])


def test_scores_agree_with_scikit_learn():
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(200, 6))
    targets = generator.integers(0, 6, 200)
    evaluation = evaluate_predictions(scores, targets, logits=True)
    probabilities = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    np.testing.assert_allclose(evaluation.probabilities, probabilities)
    assert evaluation.loss == pytest.approx(
        sklearn.metrics.log_loss(targets, probabilities, labels=range(6))
    )
    assert evaluation.accuracy == sklearn.metrics.accuracy_score(
        targets, scores.argmax(1)
    )
    np.testing.assert_array_equal(
        evaluation.confusion,
        sklearn.metrics.confusion_matrix(targets, scores.argmax(1)),
    )
    np.testing.assert_allclose(
        evaluation.recalls,
        sklearn.metrics.recall_score(targets, scores.argmax(1), average=None),
    )
    again = evaluate_predictions(probabilities, targets)
    assert again.loss == pytest.approx(evaluation.loss)


def test_confused_pairs_and_top_losses_come_worst_first():
    evaluation = evaluate_predictions(PROBABILITIES, TARGETS, class_names="abc")
    assert evaluation.most_confused() == [(2, 1, 2), (1, 0, 1)]
    assert evaluation.most_confused(1) == [(2, 1, 2)]
    assert evaluation.top_losses(3).tolist() == [4, 3, 2]
    assert evaluation.losses[4] == pytest.approx(-np.log(0.1))
    assert evaluation.describe() == (
        f"accuracy 0.4000, loss {evaluation.loss:.4f} (3 of 5 wrong)\n"
        "  c taken for b: 2\n"
        "  b taken for a: 1"
    )


def test_tensors_in_half_precision_and_classes_that_never_occur():
    evaluation = evaluate_predictions(
        torch.tensor(PROBABILITIES[:3]).half(), torch.tensor(TARGETS[:3])
    )
    assert evaluation.accuracy == pytest.approx(2 / 3)
    assert np.isnan(evaluation.recalls[2])
    assert evaluation.recalls[:2].tolist() == [1.0, 0.5]


def test_columns_of_a_data_frame_are_understood():
    frame = pd.DataFrame(
        {"label": TARGETS, "fold": [0, 0, 1, 1, 1]}, index=range(5, 10)
    )
    evaluation = evaluate_predictions(PROBABILITIES, frame["label"])
    assert evaluation.accuracy == 0.4
    scores = fold_scores(PROBABILITIES, frame["label"], frame["fold"])
    assert scores.per_fold == (1.0, 0.0)


def test_a_probability_of_zero_costs_much_but_not_infinity():
    evaluation = evaluate_predictions(np.eye(2)[[0, 0]], np.array([0, 1]))
    assert 80 < evaluation.losses[1] < 90
    assert np.isfinite(evaluation.loss)


@pytest.mark.parametrize(
    ("preds", "targets", "options", "message"),
    [
        (PROBABILITIES * 3, TARGETS, {}, "pass logits=True"),
        (PROBABILITIES - 0.5, TARGETS, {}, "no probabilities"),
        (PROBABILITIES, TARGETS[:4], {}, r"shape \(5, 3\) and targets \(4,\)"),
        (PROBABILITIES, TARGETS + 1, {}, "target 3 of row 3 is outside 0..2"),
        (PROBABILITIES[:0], TARGETS[:0], {}, "at least one row"),
        (PROBABILITIES, TARGETS, {"class_names": "ab"}, "2 class names for 3 classes"),
        (
            PROBABILITIES * np.nan,
            TARGETS,
            {},
            "5 rows are not finite, the first is row 0",
        ),
    ],
)
def test_what_is_no_prediction_is_refused(preds, targets, options, message):
    with pytest.raises(ValueError, match=message):
        evaluate_predictions(preds, targets, **options)


def test_fold_scores_are_of_all_rows_and_of_each_fold():
    folds = np.array([0, 0, 1, 1, -1])
    scores = fold_scores(PROBABILITIES, TARGETS, folds)
    assert scores.per_fold == (1.0, 0.0)
    assert (scores.score, scores.mean) == (0.5, 0.5)
    assert scores.std == pytest.approx(np.sqrt(0.5))
    recall = fold_scores(PROBABILITIES, TARGETS, folds, macro_recall)
    assert recall.score == macro_recall(PROBABILITIES[:4], TARGETS[:4])
    with pytest.raises(ValueError, match="5 predictions, 5 targets and 3 fold numbers"):
        fold_scores(PROBABILITIES, TARGETS, folds[:3])
    with pytest.raises(ValueError, match="no row has a fold number"):
        fold_scores(PROBABILITIES, TARGETS, np.full(5, -1))


def test_scores_are_written_as_json_and_refused_when_not_finite(tmp_path):
    path = write_scores({"valid_accuracy": np.float64(0.5), "n": 3}, tmp_path)
    assert path == tmp_path / "scores.json"
    assert json.loads(path.read_text()) == {"valid_accuracy": 0.5, "n": 3.0}
    with pytest.raises(ValueError, match="not finite numbers: valid_loss"):
        write_scores({"valid_accuracy": 1.0, "valid_loss": float("nan")}, tmp_path)
    assert json.loads(path.read_text())["n"] == 3.0  # what was there is kept
