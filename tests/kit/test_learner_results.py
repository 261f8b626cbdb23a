"""What a Learner tells: predictions, losses, saved weights."""

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

from kaggle_kit.learner import Learner


def test_preds_come_in_order_with_targets_and_losses():
    learner = small_learner()
    learner.fit(1)
    x, y = digits(70)
    batches = in_batches(x, y, 32)
    preds, targets, losses = learner.get_preds(
        batches, with_targets=True, with_loss=True, activation=None
    )
    torch.testing.assert_close(preds, learner.predict(x))
    assert torch.equal(targets, y)
    expected = nn.functional.cross_entropy(preds, y, reduction="none")
    torch.testing.assert_close(losses, expected)
    assert learner.loss_fn.reduction == "mean"
    probabilities = learner.get_preds(batches)
    torch.testing.assert_close(probabilities, preds.softmax(1))


def test_preds_from_batches_without_targets():
    learner = small_learner()
    x, _ = digits(50)
    plain = learner.get_preds(list(x.split(20)))
    tuples = learner.get_preds([(part,) for part in x.split(20)])
    assert torch.equal(plain, tuples)
    assert plain.shape == (50, 10)
    with pytest.raises(ValueError, match="batches have none"):
        learner.get_preds(list(x.split(20)), with_targets=True)


def test_a_loss_per_item_is_refused():
    learner = Learner(
        small_net(),
        small_data(),
        nn.CrossEntropyLoss(reduction="none"),
        device="cpu",
        log=lambda line: None,
    )
    with pytest.raises(ValueError, match=r"one number, .* it has shape \(32,\)"):
        learner.fit(1)


def test_predict_keeps_no_gradient_and_uses_eval_mode():
    learner = small_learner()
    x, _ = digits(8)
    first = learner.predict(x)
    assert not first.requires_grad
    assert torch.equal(first, learner.predict(x))


def test_save_and_load_give_back_weights_optimizer_and_history(tmp_path):
    learner = small_learner()
    learner.fit(2)
    learner.save(tmp_path / "digits.pt", {"epochs": 2})
    other = small_learner(model=small_net(seed=9))
    assert other.load(tmp_path / "digits.pt") == {"epochs": 2}
    assert same_weights(weights_of(learner.model), weights_of(other.model))
    assert other.history == learner.history
    torch.manual_seed(3)
    learner.fit(1)
    torch.manual_seed(3)
    other.fit(1)
    assert same_weights(weights_of(learner.model), weights_of(other.model))
    assert other.history[-1]["epoch"] == 3.0
