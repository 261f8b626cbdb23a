import functools
import gc
import weakref

import numpy as np
import pytest
import torch
from small_learner import (
    accuracy_of,
    digits,
    in_batches,
    same_weights,
    small_data,
    small_learner,
    small_net,
    weights_of,
)
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from kaggle_kit.callbacks import BatchTransform
from kaggle_kit.events import (
    Callback,
)
from kaggle_kit.learner import Learner
from kaggle_kit.loaders import Data
from kaggle_kit.losses import MixedTargetLoss
from kaggle_kit.mixing import CutMix, MixUp
from kaggle_kit.optimizers import no_decay_groups


def test_the_loop_trains_as_a_plain_torch_loop_does():
    x, y = digits(96)
    batches = in_batches(x, y, 32)
    model = small_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    torch.manual_seed(7)
    for _ in range(2):
        model.train()
        for xb, yb in batches:
            nn.functional.cross_entropy(model(xb), yb).backward()
            optimizer.step()
            optimizer.zero_grad()
    learner = small_learner(data=Data(batches), channels_last=False)
    torch.manual_seed(7)
    learner.fit(2)
    assert same_weights(weights_of(model), weights_of(learner.model))


def test_losses_and_metrics_are_not_biased_by_a_short_last_batch():
    x, y = digits(70)
    batches = in_batches(x, y, 32)  # 32, 32 and 6
    learner = small_learner(data=Data(batches, batches))
    row = learner.validate()
    preds = learner.predict(x)
    assert row["valid_loss"] == pytest.approx(
        nn.functional.cross_entropy(preds, y).item(), rel=1e-6
    )
    assert row["accuracy_of"] == pytest.approx(accuracy_of(preds, y).item())


def test_history_has_losses_metrics_seconds_and_rate():
    learner = small_learner()
    learner.fit(2)
    assert list(learner.history[1]) == [
        "epoch",
        "train_loss",
        "train_accuracy_of",
        "valid_loss",
        "accuracy_of",
        "seconds",
        "lr",
    ]
    assert learner.history[1]["lr"] == 1e-2
    assert learner.history[1]["train_loss"] < learner.history[0]["train_loss"]


def test_train_only_and_valid_only():
    learner = small_learner()
    before = weights_of(learner.model)
    learner.fit(1, train=False)
    assert same_weights(before, weights_of(learner.model))
    assert "train_loss" not in learner.history[0]
    learner.fit(1, valid=False)
    assert "valid_loss" not in learner.history[1]
    assert not same_weights(before, weights_of(learner.model))


def test_training_works_without_validation_batches():
    learner = small_learner(data=Data(small_data().train))
    learner.fit(1)
    assert "valid_loss" not in learner.history[0]
    with pytest.raises(ValueError, match="no validation batches; pass some"):
        learner.validate()


def test_a_learner_is_freed_without_the_garbage_collector():
    class Keeps(Callback):
        def after_step(self, learner):
            self.steps = getattr(self, "steps", 0) + 1

    callback = Keeps()
    learner = small_learner([callback])
    learner.fit_one_cycle(1)
    learner.get_preds()
    gone = weakref.ref(learner)
    gc.collect()
    gc.disable()
    try:
        del learner
        assert gone() is None
    finally:
        gc.enable()
    assert callback.steps == 3


def test_a_data_loader_works_in_the_same_place():
    x, y = digits(96)
    loader = DataLoader(TensorDataset(x, y), batch_size=32, shuffle=True)
    learner = small_learner(data=Data(loader, loader))
    learner.fit(3)
    assert learner.history[-1]["accuracy_of"] > 0.6


def test_set_epoch_is_called_with_a_growing_number_on_training_batches():
    class Batches(list):
        epochs = ()

        def set_epoch(self, epoch):
            self.epochs = (*self.epochs, epoch)

    train, valid = small_data()
    train, valid = Batches(train), Batches(valid)
    learner = small_learner(data=Data(train, valid))
    learner.fit(2)
    learner.fit(1)
    assert train.epochs == (0, 1, 2)
    assert valid.epochs == ()


def test_one_cycle_agrees_with_torch():
    rates, momenta = [], []

    class Look(Callback):
        def after_step(self, learner):
            group = learner.optimizer.param_groups[0]
            rates.append(group["lr"])
            momenta.append(group["betas"][0])

    learner = small_learner([Look()])
    learner.fit_one_cycle(4, 3e-3, pct_start=0.25, div_factor=10)
    model = small_net()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    oracle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, 3e-3, total_steps=12, pct_start=0.25, div_factor=10
    )
    expected_rates, expected_momenta = [], []
    for _ in range(12):
        expected_rates.append(optimizer.param_groups[0]["lr"])
        expected_momenta.append(optimizer.param_groups[0]["betas"][0])
        optimizer.step()
        oracle.step()
    np.testing.assert_allclose(rates, expected_rates, rtol=0, atol=1e-12)
    np.testing.assert_allclose(momenta, expected_momenta, rtol=0, atol=1e-12)


def test_schedules_hold_for_one_fit():
    learner = small_learner()
    before = dict(learner.optimizer.param_groups[0])
    learner.fit_one_cycle(1, 0.05, weight_decay=0.3)
    after = learner.optimizer.param_groups[0]
    assert {k: after[k] for k in ("lr", "betas", "weight_decay")} == {
        k: before[k] for k in ("lr", "betas", "weight_decay")
    }


def test_weight_decay_of_a_fit_spares_groups_without_decay():
    seen = []

    class Look(Callback):
        def after_step(self, learner):
            seen.append([g["weight_decay"] for g in learner.optimizer.param_groups])

    learner = small_learner([Look()], splitter=no_decay_groups)
    learner.fit_one_cycle(1, weight_decay=0.25)
    assert seen == [[0.0, 0.25]] * 3


def test_slices_spread_the_rate_over_the_groups_of_a_splitter():
    seen = []

    class Look(Callback):
        def before_step(self, learner):
            seen.append([g["lr"] for g in learner.optimizer.param_groups])

    def layers(model):
        return [model[:2].parameters(), model[2:].parameters()]

    learner = small_learner([Look()], splitter=layers)
    learner.fit(1, slice(1e-4, 1e-2))
    assert seen[0] == [1e-4, 1e-2]


def test_any_torch_optimizer_and_a_ready_one():
    sgd = functools.partial(torch.optim.SGD, momentum=0.9)
    assert small_learner(optimizer=sgd).optimizer.param_groups[0]["momentum"] == 0.9
    model = small_net()
    ready = torch.optim.RMSprop(model.parameters(), lr=0.02)
    rates = []

    class Look(Callback):
        def before_step(self, learner):
            rates.append(learner.optimizer.param_groups[0]["lr"])

    learner = small_learner([Look()], model=model, optimizer=ready, lr=None)
    learner.fit(1)
    assert learner.optimizer is ready
    assert set(rates) == {0.02}
    with pytest.raises(ValueError, match="no parameter of this model"):
        small_learner(model=small_net(), optimizer=ready)


def test_training_without_targets_is_an_error():
    learner = small_learner(data=Data(list(digits(50)[0].split(20))))
    with pytest.raises(ValueError, match=r"needs batches \(x, y\), these are x alone"):
        learner.fit(1)


def test_a_model_that_views_is_trained_in_standard_memory_order():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(1, 4, 3), nn.Linear(4 * 36, 10)

        def forward(self, x):
            return self.head(self.conv(x).view(len(x), -1))

    learner = small_learner(model=Views())
    assert learner.placement.memory_format is torch.channels_last
    learner.fit(1)
    assert learner.placement.memory_format is torch.contiguous_format
    assert learner.history[0]["train_loss"] < 2.4
    with pytest.raises(RuntimeError, match="view size is not compatible"):
        small_learner(model=Views(), channels_last=True).fit(1)


def test_models_with_several_inputs_and_heads():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Linear(64, 10), nn.Linear(64, 2)

        def forward(self, x, z):
            return self.a(x.flatten(1)), self.b(z.flatten(1))

    def loss(preds, y):
        first = nn.functional.cross_entropy(preds[0], y[:, 0])
        return first + nn.functional.cross_entropy(preds[1], y[:, 1])

    def second_head(preds, targets):
        return (preds[1].argmax(1) == targets[:, 1]).float().mean()

    x, y = digits(60)
    targets = torch.stack([y, y % 2], 1)
    batches = [(a, a, b) for a, b in zip(x.split(25), targets.split(25), strict=True)]
    learner = Learner(
        Two(), (batches, batches), loss, [second_head], device="cpu", log=len
    )
    learner.fit(1)
    heads = learner.get_preds()
    assert [head.shape for head in heads] == [(60, 10), (60, 2)]
    assert 0 <= learner.history[0]["second_head"] <= 1


def test_mixed_targets_leave_out_metrics_of_training_only():
    class Soften(Callback):
        in_valid = False

        def before_batch(self, learner):
            learner.y = nn.functional.one_hot(learner.y, 10).float()

    learner = small_learner([Soften()])
    learner.fit(1)
    assert "train_accuracy_of" not in learner.history[0]
    assert "accuracy_of" in learner.history[0]


def test_inputs_that_a_callback_replaces_get_the_memory_format_too():
    formats = set()

    class Replace(Callback):
        def before_batch(self, learner):
            learner.x = learner.x.expand(-1, 3, -1, -1).clone(
                memory_format=torch.contiguous_format
            )

    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 10))
    model[0].register_forward_pre_hook(
        lambda module, inputs: formats.add(
            inputs[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    small_learner([Replace()], model=model, channels_last=True).fit(1)
    assert formats == {True}


def test_mixup_and_cutmix_train_with_targets_for_both_images():
    x, y = digits(96)
    for mix in (MixUp(), CutMix()):
        learner = Learner(
            small_net(),
            (in_batches(x, y, 32), in_batches(x, y, 32)),
            MixedTargetLoss(nn.CrossEntropyLoss(reduction="none")),
            [accuracy_of],
            callbacks=[BatchTransform(mix)],
            device="cpu",
            lr=1e-2,
            log=lambda line: None,
        )
        learner.fit(4)
        assert "train_accuracy_of" not in learner.history[0]
        assert learner.history[-1]["accuracy_of"] > 0.8
        *_, losses = learner.get_preds(with_targets=True, with_loss=True)
        assert losses.mean().item() == pytest.approx(
            learner.history[-1]["valid_loss"], rel=1e-5
        )


def test_a_pass_without_batches_is_an_error():
    with pytest.raises(ValueError, match="there were no batches to train on; a gener"):
        small_learner(data=Data([])).fit(1)
    learner = small_learner(data=Data(iter(small_data().train)))
    with pytest.raises(ValueError, match="no batches to train on; a generator has no"):
        learner.fit(2)
    assert len(learner.history) == 1
    learner = small_learner(data=Data(small_data().train, iter(())))
    with pytest.raises(ValueError, match="no batches to validate or predict"):
        learner.fit(1)


def test_parameters_that_will_not_change_are_named():
    log, model = [], small_net()
    model[5].requires_grad_(False)
    learner = small_learner(model=model, log=log)
    learner.fit(1)
    assert len(log) == 1
    model[5].requires_grad_(True)
    learner.fit(1)
    assert log[1] == (
        "2 parameters will not change (5.weight, 5.bias): the optimizer does not have "
        "them; unfreeze before making the Learner"
    )


def test_impossible_fits_are_refused():
    learner = small_learner()
    with pytest.raises(ValueError, match="epochs must be 1 or more, got 0"):
        learner.fit(0)
    with pytest.raises(ValueError, match="weight_decay must be 0 or more, got -1"):
        learner.fit_one_cycle(1, weight_decay=-1.0)
