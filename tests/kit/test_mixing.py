"""MixUp and CutMix: shares, partners, targets."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from kaggle_kit.losses import MixedTargetLoss, MultiHeadLoss
from kaggle_kit.mixing import CutMix, MixEither, MixUp


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def constant_images(n, size=(10, 12)):
    """Image i has the value i everywhere and the class i."""
    numbers = torch.arange(n)
    return numbers.float().view(n, 1, 1, 1).expand(n, 1, *size).contiguous(), numbers


@pytest.mark.parametrize("dominant", [True, False])
def test_mixup_blends_image_and_target_with_the_same_share(dominant):
    x, y = constant_images(64)
    mixed, targets = MixUp(alpha=0.8, dominant=dominant)(x, y, generator_of())
    expected = targets.weight * targets.first + (1 - targets.weight) * targets.second
    torch.testing.assert_close(mixed[:, 0, 3, 4], expected)
    assert torch.equal(targets.first, y)
    assert torch.equal(targets.second.sort().values, y)
    assert len(targets.weight.unique()) > 60
    assert bool((targets.weight >= 0.5).all()) is dominant


def test_shares_are_beta_distributed():
    x, y = constant_images(2000, size=(1, 1))
    _, targets = MixUp(alpha=0.4, dominant=False)(x, y, generator_of())
    test = stats.kstest(targets.weight.numpy(), stats.beta(0.4, 0.4).cdf)
    assert test.pvalue > 0.01


def test_cutmix_pastes_a_rectangle_and_counts_what_is_left():
    x, y = constant_images(200)
    mixed, targets = CutMix()(x, y, generator_of())
    for i in range(200):
        own, other = int(targets.first[i]), int(targets.second[i])
        pasted = (mixed[i, 0] == other).numpy() & (own != other)
        assert bool(((mixed[i, 0] == own) | (mixed[i, 0] == other)).all())
        if own != other:
            kept = 1 - pasted.mean()
            assert float(targets.weight[i]) == pytest.approx(kept, abs=1e-6)
            rows, columns = np.flatnonzero(pasted.any(1)), np.flatnonzero(pasted.any(0))
            assert pasted.sum() == len(rows) * len(columns)
    assert 0.4 < float(targets.weight.mean()) < 0.85
    assert len(targets.weight.unique()) > 30


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_p_leaves_the_other_images_alone(make):
    x, y = constant_images(300)
    mixed, targets = make(alpha=2.0, p=0.3)(x, y, generator_of())
    alone = targets.weight == 1
    assert 180 < int(alone.sum()) < 260
    assert torch.equal(mixed[alone], x[alone])


def test_either_takes_images_and_targets_from_the_same_mix():
    x, y = constant_images(200)
    mix = MixEither(MixUp(alpha=1.0), CutMix(), p=0.4)
    mixed, targets = mix(x, y, generator_of())
    blended = mixed.flatten(1).std(dim=1) == 0
    mean = targets.weight * targets.first + (1 - targets.weight) * targets.second
    torch.testing.assert_close(mixed.mean((1, 2, 3)), mean, rtol=1e-4, atol=1e-4)
    assert 60 < int(blended.sum()) < 130


def test_several_heads_are_mixed_together_and_the_loss_takes_them():
    x = torch.rand(8, 1, 6, 6, generator=generator_of())
    y = torch.stack((torch.arange(8) % 2, torch.arange(8) % 3), dim=1)
    for mix in (MixUp(), CutMix(), MixEither(MixUp(), CutMix())):
        _, targets = mix(x, y, generator_of(1))
        assert targets.second.shape == (8, 2)
        loss = MixedTargetLoss(MultiHeadLoss((2, 3), reduction="none"))
        logits = torch.randn(8, 5, generator=generator_of(2))
        assert float(loss(logits, targets)) > 0
    plain = MixedTargetLoss(nn.CrossEntropyLoss(reduction="none"))
    _, targets = MixUp()(x, y[:, 0], generator_of())
    assert float(plain(torch.randn(8, 2, generator=generator_of(2)), targets)) > 0


def test_the_generator_or_else_the_global_one_decides():
    x, y = constant_images(16)
    first, second = (MixUp()(x, y, generator_of(5))[0] for _ in range(2))
    assert torch.equal(first, second)
    with torch.random.fork_rng():
        torch.manual_seed(3)
        first = CutMix()(x, y)[0]
        torch.manual_seed(3)
        assert torch.equal(first, CutMix()(x, y)[0])
        assert not torch.equal(first, CutMix()(x, y)[0])


@pytest.mark.parametrize("make", [MixUp, CutMix])
def test_impossible_settings_are_refused(make):
    with pytest.raises(ValueError, match="alpha is 0; give a number above 0"):
        make(alpha=0)
    with pytest.raises(ValueError, match=r"p is 1.5; give a probability in 0..1"):
        make(p=1.5)
