from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_learner import digits, in_batches, small_learner, small_net
from torch import nn

from kaggle_kit.inference import (
    affine_view,
    flip_view,
    get_preds,
    identity_view,
    mean_outputs,
    shift_view,
    tta,
)

CPU = torch.device("cpu")


def test_predictions_are_those_of_the_model_in_order():
    model = small_net()
    x, y = digits(50)
    preds = get_preds(model, in_batches(x, y, 20), CPU)
    with torch.no_grad():
        torch.testing.assert_close(preds, model.eval()(x).softmax(1))
    torch.testing.assert_close(preds.sum(1), torch.ones(50))
    logits = get_preds(model, x.split(20), CPU, activation=None)
    torch.testing.assert_close(logits.softmax(1), preds)
    assert not preds.requires_grad
    assert not model.training


def test_they_agree_with_the_learners():
    learner = small_learner()
    learner.fit(1)
    batches = in_batches(*digits(50), 20)
    ours = get_preds(learner.model, batches, CPU)
    theirs = learner.get_preds(batches)
    assert torch.equal(ours, theirs)


def test_a_model_that_views_is_predicted_too():
    class Views(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, x):
            return self.conv(x).view(len(x), -1)

    assert get_preds(Views(), digits(6)[0].split(4), CPU).shape == (6, 144)


def test_test_time_augmentation_is_the_mean_over_views():
    learner = small_learner()
    learner.fit(1)
    x, y = digits(30)
    views = [identity_view, flip_view, shift_view(0, 1)]
    expected = torch.stack([learner.predict(v(x)).softmax(1) for v in views]).mean(0)
    batches = in_batches(x, y, 16)
    torch.testing.assert_close(tta(learner.model, batches, CPU, views), expected)
    torch.testing.assert_close(learner.tta(views, batches), expected)
    for function in (
        lambda: tta(learner.model, batches, CPU, []),
        lambda: learner.tta([]),
    ):
        with pytest.raises(ValueError, match="at least one view"):
            function()


@settings(deadline=None, max_examples=50)
@given(rows=st.integers(-6, 6), columns=st.integers(-6, 6))
def test_shifts_repeat_the_border(rows, columns):
    x = torch.arange(40.0).reshape(1, 1, 5, 8)
    shifted = shift_view(rows, columns)(x)
    for i in range(5):
        for j in range(8):
            source = x[0, 0, min(max(i - rows, 0), 4), min(max(j - columns, 0), 7)]
            assert shifted[0, 0, i, j] == source


def test_affine_views_turn_zoom_and_lean():
    x = torch.rand(2, 3, 12, 12)
    close = partial(torch.testing.assert_close, atol=1e-5, rtol=1e-5)
    close(affine_view()(x), x)
    close(affine_view(rotate=90)(x), torch.rot90(x, 1, (-2, -1)))
    # Zoomed twice, the inner half fills the image; its rim needs pixels around it.
    larger = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
    close(affine_view(zoom=2)(x), larger[..., 6:18, 6:18])
    line = torch.zeros(1, 1, 11, 11)
    line[..., 5] = 1
    places = affine_view(shear=20)(line)[0, 0].argmax(1)
    assert places[0] > places[5] == 5 > places[10]


def test_an_affine_view_that_cannot_be_is_refused():
    for wrong in ({"zoom": 0}, {"zoom": -1.0}, {"shear": 90}):
        with pytest.raises(ValueError, match="give a zoom above 0"):
            affine_view(**wrong)


def test_flips_are_their_own_inverse():
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(flip_view(flip_view(x)), x)
    assert torch.equal(flip_view(x)[..., 0], x[..., -1])


def test_several_heads_are_kept_apart():
    class Heads(nn.Module):
        def forward(self, x):
            flat = x.flatten(1)
            return flat[:, :3], flat[:, 3:5]

    first, second = get_preds(Heads(), digits(9)[0].split(4), CPU)
    assert (first.shape, second.shape) == ((9, 3), (9, 2))
    torch.testing.assert_close(second.sum(1), torch.ones(9))
    means = mean_outputs([(first, second), (first * 3, second)])
    torch.testing.assert_close(means[0], first * 2)


def test_predictions_can_be_targets_of_a_later_training():
    x, y = digits(20)
    soft = get_preds(small_net(), in_batches(x, y, 20), CPU)
    weights = torch.ones(20, 10, requires_grad=True)
    nn.functional.cross_entropy(weights, soft).backward()
    assert weights.grad is not None


@pytest.mark.parametrize("width", [1, 0])
def test_a_softmax_over_one_output_is_refused(width):
    regression = nn.Sequential(nn.Flatten(), nn.Linear(64, 1))
    if not width:
        regression.append(nn.Flatten(0))
    x, _ = digits(9)
    with pytest.raises(ValueError, match="no logits of classes: pass activation=None"):
        get_preds(regression, [x], CPU)
    assert len(get_preds(regression, [x], CPU, activation=None)) == 9


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches to predict"):
        get_preds(small_net(), [], CPU)
    with pytest.raises(ValueError, match="no batches to validate or predict"):
        small_learner().get_preds([])
