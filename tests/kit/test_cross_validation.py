import csv

import numpy as np
import pytest
import torch
from small_learner import digits, in_batches, small_learner, small_net

from kaggle_kit import cross_validation as cv_module
from kaggle_kit.checkpoint import CheckpointError, load_checkpoint
from kaggle_kit.cross_validation import FoldPredictions, cross_validate
from kaggle_kit.inference import class_probabilities
from kaggle_kit.loaders import Data
from kaggle_kit.metrics import accuracy

N = 90
X, Y = digits(N + 20)
TARGETS = Y[:N].numpy()
FOLDS = np.arange(N) % 3


class Runs:
    """Trains a small network on a fold; counts, and fails where told to."""

    def __init__(self, fails_at=-1):
        self.folds, self.fails_at = [], fails_at

    def __call__(self, fold, train_rows, valid_rows):
        if fold == self.fails_at:
            raise KeyboardInterrupt
        self.folds.append(fold)
        assert set(train_rows) | set(valid_rows) == set(range(N))
        assert set(FOLDS[valid_rows]) == {fold}
        train = in_batches(X[train_rows], Y[train_rows], 30)
        valid = in_batches(X[valid_rows], Y[valid_rows], 30)
        torch.manual_seed(fold)
        learner = small_learner(model=small_net(fold), data=Data(train, valid))
        learner.fit(3)
        test = learner.get_preds(list(X[N:].split(7)), activation=class_probabilities)
        return FoldPredictions(
            learner.get_preds(activation=class_probabilities),
            test,
            learner.model.state_dict(),
            learner.history,
        )


def run(folder, runs, **options):
    options = {"log": lambda line: None, **options}
    return cross_validate(runs, FOLDS, TARGETS, accuracy, folder, **options)


def test_every_row_is_predicted_by_the_fold_that_did_not_see_it(tmp_path):
    log = []
    result = run(tmp_path, Runs(), log=log.append)
    files = [load_checkpoint(tmp_path / f"model_fold{k}.pt") for k in range(3)]
    for fold, content in enumerate(files):
        assert torch.equal(result.oof[fold == FOLDS], content["valid"])
        assert len(content["history"]) == 3
        assert "0.weight" in content["model"]
    torch.testing.assert_close(
        result.test, torch.stack([content["test"] for content in files]).mean(0)
    )
    assert result.score == accuracy(result.oof.numpy(), TARGETS)
    assert np.mean(result.fold_scores) == pytest.approx(result.score)
    assert result.score > 0.6
    assert log[-1] == result.describe()
    assert log[-1].startswith(f"CV {result.score:.5f} over 3 folds (mean ")


def test_oof_files_hold_rows_folds_targets_and_predictions(tmp_path):
    result = run(tmp_path, Runs())
    assert np.array_equal(np.load(tmp_path / "oof.npy"), result.oof.numpy())
    with (tmp_path / "oof.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["row", "fold", "target", "pred_0"]
    assert [int(row["row"]) for row in rows] == list(range(N))
    assert [int(row["target"]) for row in rows] == TARGETS.tolist()
    assert float(rows[4]["pred_7"]) == pytest.approx(result.oof[4, 7].item(), rel=1e-5)


def test_a_run_that_was_cut_goes_on_with_the_folds_that_are_missing(tmp_path):
    whole = run(tmp_path / "whole", Runs())
    first, second = Runs(fails_at=2), Runs()
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "cut", first)
    with (tmp_path / "cut" / "oof.csv").open() as file:
        assert {row["fold"] for row in csv.DictReader(file)} == {"0", "1"}
    result = run(tmp_path / "cut", second)
    assert (first.folds, second.folds) == ([0, 1], [2])
    assert torch.equal(result.oof, whole.oof)
    assert torch.equal(result.test, whole.test)
    assert result.fold_scores == whole.fold_scores
    third = Runs()
    run(tmp_path / "cut", third, force=True, folds=[1])
    assert third.folds == [1]


def test_chosen_folds_leave_the_other_rows_open(tmp_path):
    result = run(tmp_path, Runs(), folds=[1])
    assert result.folds == (1,)
    assert torch.isnan(result.oof[FOLDS != 1]).all()
    assert result.score == result.fold_scores[0]
    assert "spread 0.00000" in result.describe()


def test_no_fold_is_begun_that_would_not_end_in_time(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(cv_module.time, "monotonic", lambda: now[0])
    runs, log = Runs(), []

    def slow(*args):
        now[0] += 100.0
        return runs(*args)

    result = run(tmp_path, slow, seconds=310.0, log=log.append)
    assert result.folds == (0, 1)
    assert log[-2] == "fold 2 is not begun: 110 s left, one took 100 s"


def test_of_several_processes_one_writes_and_all_stop_together(tmp_path, monkeypatch):
    monkeypatch.setattr(cv_module, "is_main_process", lambda: False)
    monkeypatch.setattr(cv_module, "any_process", lambda flag: True)  # another says so
    result = run(tmp_path, Runs())
    assert result.folds == (0,)
    assert list(tmp_path.iterdir()) == []


def test_files_of_another_configuration_are_refused(tmp_path):
    run(tmp_path, Runs(), folds=[0], config={"epochs": 3})
    with pytest.raises(CheckpointError, match=r"model_fold0\.pt was written for anoth"):
        run(tmp_path, Runs(), folds=[0], config={"epochs": 4})
    (tmp_path / "model_fold0.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"model_fold0\.pt cannot be read"):
        run(tmp_path, Runs(), folds=[0], config={"epochs": 3})


def test_a_configuration_that_could_not_be_kept_is_refused_first(tmp_path):
    runs = Runs()
    with pytest.raises(TypeError, match=r"config\['size'\] is a numpy.int64"):
        run(tmp_path, runs, config={"size": np.int64(8)})
    assert runs.folds == []


def test_several_heads(tmp_path):
    def heads(fold, train_rows, valid_rows):
        eye = torch.eye(10)[TARGETS[valid_rows]]
        return FoldPredictions((eye, eye[:, :2]))

    def first_head(preds, targets):
        return accuracy(preds[0], targets[:, 0])

    two = np.stack([TARGETS, TARGETS % 2], 1)
    result = cross_validate(
        heads, FOLDS, two, first_head, tmp_path, log=lambda line: None
    )
    assert [head.shape for head in result.oof] == [(N, 10), (N, 2)]
    assert result.score == 1.0
    assert result.test is None
    assert np.load(tmp_path / "oof_1.npy").shape == (N, 2)
    header = (tmp_path / "oof.csv").read_text().splitlines()[0].split(",")
    assert header[:5] == ["row", "fold", "target", "target_1", "pred_0_0"]
    assert header[-1] == "pred_1_1"


def test_what_does_not_fit_is_explained(tmp_path):
    with pytest.raises(ValueError, match=r"no fold 7; the fold column has \[0, 1, 2\]"):
        run(tmp_path, Runs(), folds=[7])
    with pytest.raises(ValueError, match="one fold for each row is needed"):
        cross_validate(Runs(), FOLDS[:-1], TARGETS, accuracy, tmp_path)
    with pytest.raises(ValueError, match="fold 0 returned 2 predictions for its 30"):
        run(tmp_path, lambda *args: FoldPredictions(torch.zeros(2, 10)))
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no folds were asked for"):
        run(tmp_path, Runs(), folds=[])
