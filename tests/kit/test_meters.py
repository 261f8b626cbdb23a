import functools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from kaggle_kit.meters import (
    AverageMetric,
    PassMeter,
    metric_name,
    metric_names,
)


def right(preds, targets):
    return (preds.argmax(1) == targets).float().mean()


def recall_of_ones(preds, targets):
    ones = targets == 1
    return float((preds.argmax(1)[ones] == 1).float().mean()) if ones.any() else 0.0


@settings(deadline=None, max_examples=50)
@given(
    sizes=st.lists(st.integers(1, 20), min_size=1, max_size=6), seed=st.integers(0, 99)
)
def test_loss_and_metrics_are_those_of_the_whole_set(sizes, seed):
    generator = torch.Generator().manual_seed(seed)
    n = sum(sizes)
    preds = torch.randn(n, 3, generator=generator)
    targets = torch.randint(0, 3, (n,), generator=generator)
    average = AverageMetric(right, name="streamed")
    meter = PassMeter([right, recall_of_ones, average])
    for p, t in zip(preds.split(sizes), targets.split(sizes), strict=True):
        meter.add(nn.functional.cross_entropy(p, t), p, t, comparable=True)
    whole = nn.functional.cross_entropy(preds.double(), targets).item()
    assert meter.mean_loss() == pytest.approx(whole, rel=1e-5)
    result = meter.result()
    assert result["right"] == pytest.approx(right(preds, targets).item())
    assert result["streamed"] == pytest.approx(right(preds, targets).item(), rel=1e-5)
    assert result["recall_of_ones"] == pytest.approx(recall_of_ones(preds, targets))


def test_one_batch_with_other_targets_leaves_metrics_out():
    meter = PassMeter([right])
    preds, targets = torch.eye(3), torch.arange(3)
    meter.add(torch.tensor(0.5), preds, targets, comparable=True)
    meter.add(torch.tensor(1.5), preds, targets, comparable=False)
    assert meter.mean_loss() == 1.0
    assert meter.result() == {}


def test_an_empty_pass():
    meter = PassMeter([right])
    assert math.isnan(meter.mean_loss())
    assert meter.result() == {}


def test_gradients_are_not_kept_alive():
    meter = PassMeter([right])
    preds = torch.eye(3, requires_grad=True)
    meter.add(preds.sum(), preds, torch.arange(3), comparable=True)
    assert not meter.losses[0].requires_grad


class Named:
    name = "f2"

    def __call__(self, preds, targets):
        return 0.0


def test_names_of_metrics():
    assert metric_name(right) == "right"
    assert metric_name(functools.partial(right)) == "right"
    assert metric_name(Named()) == "f2"
    assert metric_name(AverageMetric(right)) == "right"
    assert metric_names([right, AverageMetric(right, "mean")]) == ("right", "mean")


def test_names_must_differ_and_metrics_must_be_callable():
    with pytest.raises(ValueError, match="metric name 'right' is taken"):
        metric_names([right, right])
    with pytest.raises(ValueError, match="metric name 'lr' is taken"):
        metric_names([AverageMetric(right, "lr")])
    with pytest.raises(TypeError, match="'accuracy' cannot be called"):
        metric_names(["accuracy"])
