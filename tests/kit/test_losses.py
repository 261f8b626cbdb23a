"""Losses for mixed targets and several heads, against the plain formulas."""

import pytest
import torch
from torch import nn

from kaggle_kit.losses import (
    MixedTargetLoss,
    MixedTargets,
    MultiHeadLoss,
    split_heads,
)


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 5, generator=generator, dtype=torch.float64)


def one_hot_mix(first, second, weight, n):
    a, b = (nn.functional.one_hot(t, n).double() for t in (first, second))
    return weight[:, None] * a + (1 - weight[:, None]) * b


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_mixed_loss_is_that_of_the_mixed_distribution(logits, smoothing):
    first, second = torch.arange(6) % 5, (torch.arange(6) + 2) % 5
    weight = torch.linspace(0, 1, 6, dtype=torch.float64)
    base = nn.CrossEntropyLoss(reduction="none", label_smoothing=smoothing)
    got = MixedTargetLoss(base)(logits, MixedTargets(first, second, weight))
    mixed = one_hot_mix(first, second, weight, 5) * (1 - smoothing) + smoothing / 5
    expected = -(mixed * logits.log_softmax(1)).sum(1).mean()
    torch.testing.assert_close(got, expected)


def test_plain_targets_go_straight_through(logits):
    targets = torch.arange(6) % 5
    base = nn.CrossEntropyLoss(reduction="none", label_smoothing=0.1)
    plain = nn.CrossEntropyLoss(label_smoothing=0.1)
    expected = plain(logits, targets)
    torch.testing.assert_close(MixedTargetLoss(base)(logits, targets), expected)
    each = MixedTargetLoss(base, "none")(logits, targets)
    assert torch.equal(each, base(logits, targets))
    unmixed = MixedTargets(targets, targets.flip(0), torch.ones(6, dtype=torch.float64))
    assert torch.equal(MixedTargetLoss(base, "none")(logits, unmixed), each)


def test_several_heads_are_weighted_and_mixed_per_image(logits):
    targets = torch.stack((torch.arange(6) % 2, torch.arange(6) % 3), dim=1)
    other = targets.flip(0)
    loss = MultiHeadLoss((2, 3), weights=(0.7, 0.3))
    ce = nn.functional.cross_entropy
    expected = 0.7 * ce(logits[:, :2], targets[:, 0]) + 0.3 * ce(
        logits[:, 2:], targets[:, 1]
    )
    torch.testing.assert_close(loss(logits, targets), expected)
    separate = loss((logits[:, :2], logits[:, 2:]), targets)
    assert torch.equal(separate, loss(logits, targets))

    per_image = MultiHeadLoss((2, 3), weights=(0.7, 0.3), reduction="none")
    weight = torch.linspace(0, 1, 6, dtype=torch.float64)
    mixed = MixedTargetLoss(per_image, "none")(
        logits, MixedTargets(targets, other, weight)
    )
    expected = weight * per_image(logits, targets)
    expected += (1 - weight) * per_image(logits, other)
    torch.testing.assert_close(mixed, expected)


def test_a_loss_that_reduces_cannot_be_mixed():
    with pytest.raises(ValueError, match="CrossEntropyLoss reduces over the batch"):
        MixedTargetLoss(nn.CrossEntropyLoss())


def test_what_does_not_fit_is_refused(logits):
    with pytest.raises(ValueError, match="reduction is 'avg'; choose mean, sum"):
        MultiHeadLoss((2, 3), reduction="avg")
    with pytest.raises(ValueError, match="2 heads but 3 weights"):
        MultiHeadLoss((2, 3), weights=(1, 1, 1))
    with pytest.raises(ValueError, match=r"5 columns, but heads of 2, 4 need 6"):
        split_heads(logits, (2, 4))
    with pytest.raises(ValueError, match=r"\[5, 5\] outputs; expected \[2, 3\]"):
        split_heads((logits, logits), (2, 3))
    with pytest.raises(ValueError, match=r"2 heads, but targets have shape \(6,\)"):
        MultiHeadLoss((2, 3))(logits, torch.arange(6) % 2)
