import math

import pytest
import torch
from small_learner import same_weights, small_data, small_learner, small_net, weights_of

from kaggle_kit.checkpoint import load_checkpoint
from kaggle_kit.events import Callback
from kaggle_kit.stopping import BestMonitor, EarlyStopping, SaveBest, copy_state


class Script(Callback):
    """Overwrites a column of the history with given values, keeps the weights."""

    order = 1

    def __init__(self, *values, column="valid_loss"):
        self.values, self.column, self.weights = values, column, []

    def after_epoch(self, learner):
        learner.history[-1][self.column] = self.values[learner.epoch]
        self.weights.append(weights_of(learner.model))


def test_it_stops_after_patience_and_restores_the_best_weights():
    script = Script(3.0, 1.0, 2.0, 2.0, 0.5)
    stopping = EarlyStopping(patience=2)
    log = []
    learner = small_learner([script, stopping], log=log)
    learner.fit(5)
    assert len(learner.history) == 4
    assert (stopping.best, stopping.best_epoch) == (1.0, 2)
    assert same_weights(weights_of(learner.model), script.weights[1])
    assert not same_weights(script.weights[1], script.weights[3])
    assert log[-2:] == [
        "stopped: no better valid_loss in 2 epochs",
        "weights of epoch 2 restored (valid_loss 1.0000)",
    ]


def test_a_state_dict_kept_by_reference_would_restore_nothing():
    learner = small_learner()
    kept_by_reference = learner.model.state_dict()
    copied = copy_state(learner.model)
    before = weights_of(learner.model)
    learner.fit(1)
    assert same_weights(kept_by_reference, weights_of(learner.model))
    assert not same_weights(kept_by_reference, before)
    assert same_weights(copied, before)


def test_batchnorm_statistics_are_restored_too():
    script = Script(1.0, 2.0)
    learner = small_learner([script, EarlyStopping(patience=1)])
    learner.fit(2)
    name = "1.running_mean"
    assert torch.equal(learner.model.state_dict()[name], script.weights[0][name])
    assert not torch.equal(script.weights[0][name], script.weights[1][name])


def test_the_best_weights_are_restored_after_the_last_epoch_and_after_ctrl_c():
    script = Script(1.0, 2.0, 3.0)
    learner = small_learner([script, EarlyStopping(patience=9)])
    learner.fit(3)
    assert same_weights(weights_of(learner.model), script.weights[0])

    class Interrupt(Callback):
        def after_step(self, learner):
            if learner.epoch == 2:
                raise KeyboardInterrupt

    script = Script(1.0, 2.0)
    learner = small_learner([script, EarlyStopping(patience=9), Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        learner.fit(3)
    assert same_weights(weights_of(learner.model), script.weights[0])


def test_metrics_are_maximised_and_small_gains_do_not_count():
    script = Script(0.5, 0.505, 0.6, 0.605, 0.608, column="accuracy_of")
    stopping = EarlyStopping(patience=2, monitor="accuracy_of", min_delta=0.01)
    small_learner([script, stopping]).fit(5)
    assert (stopping.best, stopping.best_epoch) == (0.6, 3)


def test_the_same_value_again_is_no_improvement():
    stopping = EarlyStopping(patience=2)
    assert (stopping.best_epoch, stopping.best != stopping.best) == (0, True)
    learner = small_learner([Script(1.0, 1.0, 1.0, 0.5), stopping])
    learner.fit(4)
    assert len(learner.history) == 3
    assert stopping.best_epoch == 1


def test_restoring_can_be_switched_off():
    script = Script(1.0, 2.0)
    learner = small_learner([script, EarlyStopping(patience=1, restore_best=False)])
    learner.fit(2)
    assert same_weights(weights_of(learner.model), script.weights[1])


def test_nan_is_never_the_best():
    script = Script(math.nan, 2.0, math.nan)
    stopping = EarlyStopping(patience=3)
    small_learner([script, stopping]).fit(3)
    assert (stopping.best, stopping.best_epoch) == (2.0, 2)


def test_an_unknown_column_is_answered_with_those_there_are():
    learner = small_learner([EarlyStopping(monitor="f1")])
    with pytest.raises(
        ValueError, match=r"'f1' to monitor; the history has train_loss"
    ):
        learner.fit(1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patience": 0}, "patience must be at least 1"),
        ({"mode": "best"}, "mode must be 'min', 'max' or 'auto', got 'best'"),
        ({"min_delta": -1}, "min_delta must be >= 0"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(**options)


@pytest.mark.parametrize(
    ("monitor", "mode", "better"),
    [
        ("valid_loss", "auto", 0.5),
        ("error_rate", "auto", 0.5),
        ("accuracy", "auto", 1.5),
        ("accuracy", "min", 0.5),
    ],
)
def test_the_direction_follows_the_name(monitor, mode, better):
    best = BestMonitor(monitor, mode)
    assert best.improved({"epoch": 1.0, monitor: 1.0})
    assert best.improved({"epoch": 2.0, monitor: better})
    assert not best.improved({"epoch": 3.0, monitor: 1.0})


def test_save_best_writes_the_best_epoch_only(tmp_path):
    script = Script(3.0, 1.0, 2.0)
    path = tmp_path / "models" / "best.pt"
    learner = small_learner([script, SaveBest(path, config={"size": 8})])
    learner.fit(3)
    content = load_checkpoint(path)
    assert same_weights(content["model"], script.weights[1])
    assert content["config"] == {"size": 8}
    assert len(content["history"]) == 2
    small_learner(model=small_net(1), data=small_data()).load(path)


def test_save_best_says_before_the_training_what_it_could_not_write(tmp_path):
    learner = small_learner([SaveBest(tmp_path / "best.pt", config={"x": {1, 2}})])
    with pytest.raises(TypeError, match=r"config\['x'\] is a builtins.set"):
        learner.fit(1)
    with pytest.raises(IsADirectoryError, match="is a folder, not a checkpoint"):
        small_learner([SaveBest(tmp_path)]).fit(1)
    assert learner.history == []
    assert list(tmp_path.iterdir()) == []
