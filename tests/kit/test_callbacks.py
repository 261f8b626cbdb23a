import math

import pytest
import torch
from small_learner import (
    digits,
    in_batches,
    same_weights,
    small_data,
    small_learner,
    small_net,
    weights_of,
)
from torch import nn

from kaggle_kit.callbacks import (
    BatchTransform,
    GradientAccumulation,
    GradientClip,
    NaNGuard,
    SingleBatch,
)
from kaggle_kit.events import Callback
from kaggle_kit.loaders import Data
from kaggle_kit.schedules import Scheduler, anneal_linear


def test_clipping_bounds_the_norm_of_all_gradients_together():
    norms = []

    class Look(Callback):
        order = 1

        def before_step(self, learner):
            grads = [p.grad.flatten() for p in learner.model.parameters()]
            norms.append(torch.cat(grads).norm().item())

    small_learner([Look()]).fit(1)
    assert min(norms) > 0.5
    norms.clear()
    small_learner([GradientClip(0.5), Look()]).fit(1)
    assert norms == pytest.approx([0.5] * 3, rel=1e-4)


class Poison(Callback):
    order = -1

    def __init__(self, batch, training=True):
        self.batch, self.training = batch, training

    def before_batch(self, learner):
        if learner.training is self.training and learner.batch_index == self.batch:
            learner.x = learner.x * math.nan


@pytest.mark.parametrize("every", [1, 50])
def test_the_guard_names_epoch_batch_and_rate(every):
    learner = small_learner([NaNGuard(every), Poison(1)])
    with pytest.raises(
        FloatingPointError,
        match=r"training loss is not finite in epoch 1, batch 2, at learning rate 0.01",
    ):
        learner.fit(1)


def test_the_guard_sees_validation_too():
    learner = small_learner([NaNGuard(1), Poison(0, training=False)])
    with pytest.raises(FloatingPointError, match="validation loss is not finite"):
        learner.fit(1)
    small_learner([NaNGuard()]).fit(1)


def flatten_net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))


@pytest.mark.parametrize("sizes", [[30, 30, 30], [30, 30, 14], [30, 30, 30, 7]])
def test_accumulated_steps_are_those_of_large_batches(sizes):
    x, y = digits(sum(sizes))
    small = list(zip(x.split(sizes), y.split(sizes), strict=True))
    sgd = torch.optim.SGD
    several = small_learner(
        [GradientAccumulation(2)],
        model=flatten_net(),
        data=Data(small),
        optimizer=sgd,
        lr=0.1,
    )
    large = small_learner(
        model=flatten_net(), data=Data(in_batches(x, y, 60)), optimizer=sgd, lr=0.1
    )
    several.fit(2)
    large.fit(2)
    for name, value in large.model.state_dict().items():
        torch.testing.assert_close(several.model.state_dict()[name], value)
    assert several.history[0]["train_loss"] > 1  # reported as it is, not its share


def test_accumulation_without_a_length_waits_for_the_next_epoch():
    steps = []

    class Look(Callback):
        def after_step(self, learner):
            steps.append((learner.epoch, learner.batch_index))

    class Endless:
        def __iter__(self):
            return iter(small_data().train)

    learner = small_learner([GradientAccumulation(2), Look()], data=Data(Endless()))
    learner.fit(2)
    assert steps == [(0, 1), (1, 0), (1, 2)]


def test_transforms_change_training_batches_only_unless_asked():
    seen = []

    def blank(x, y):
        seen.append(len(x))
        return torch.zeros_like(x), y

    class Look(Callback):
        def before_predict(self, learner):
            blanked = learner.x.abs().sum().item() == 0
            assert blanked is (learner.training in wanted)

    wanted = {True}
    small_learner([BatchTransform(blank), Look()]).fit(1)
    assert seen == [32, 32, 32]
    wanted = {True, False}
    small_learner([BatchTransform(blank, on_valid=True), Look()]).fit(1)
    wanted = {False}
    both = BatchTransform(blank, on_train=False, on_valid=True)
    small_learner([both, Look()]).fit(1)


def test_a_single_batch_of_every_pass_can_be_overfitted():
    learner = small_learner([SingleBatch()], model=small_net())
    learner.fit(30)
    assert learner.history[-1]["train_loss"] < 0.05
    assert len(learner.history) == 30
    assert learner.losses[0].ndim == 0
    assert len(learner.losses) == 1


def test_schedules_and_accumulation_know_of_the_single_batch():
    rates = []

    class Look(Callback):
        def after_step(self, learner):
            rates.append(learner.optimizer.param_groups[0]["lr"])

    learner = small_learner([SingleBatch(), GradientAccumulation(4), Look()])
    learner.fit(3, 1.0, callbacks=[Scheduler(anneal_linear(1.0, 0.0))])
    assert rates == [1.0, 0.5, 0.0]


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match="max_norm must be above 0"):
        GradientClip(0)
    with pytest.raises(ValueError, match="at least 1 batch per step"):
        GradientAccumulation(0)
    with pytest.raises(ValueError, match="at least 1 batch is needed"):
        SingleBatch(0)


def test_without_callbacks_the_weights_are_the_same_as_with_inactive_ones():
    plain = small_learner()
    idle = small_learner([GradientClip(1e9), NaNGuard(), GradientAccumulation(1)])
    for learner in (plain, idle):
        torch.manual_seed(0)
        learner.fit(2)
    assert same_weights(weights_of(plain.model), weights_of(idle.model))
