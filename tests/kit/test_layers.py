"""Layers and blocks against their formulas."""

import pytest
import torch
from torch import nn

from kaggle_kit.layers import (
    AdaptiveConcatPool2d,
    GeM,
    GeneralReLU,
    ResidualBlock,
    conv_norm,
    make_activation,
)

ACTIVATIONS = ("relu", "leaky_relu", "general_relu", "mish", "silu", "gelu", "identity")


def test_general_relu_leaks_shifts_and_cuts():
    x = torch.tensor([-2.0, 0.0, 0.5, 9.0])
    got = GeneralReLU(leak=0.1, sub=0.4, maximum=6.0)(x)
    torch.testing.assert_close(got, torch.tensor([-0.6, -0.4, 0.1, 6.0]))
    plain = GeneralReLU(leak=0.0, sub=0.0)(x)
    assert torch.equal(plain, nn.functional.relu(x))
    assert "leak=0.1, sub=0.4, maximum=None" in repr(GeneralReLU())


def test_general_relu_keeps_the_mean_near_zero():
    x = torch.randn(10_000, generator=torch.Generator().manual_seed(0))
    assert abs(float(GeneralReLU()(x).mean())) < 0.06


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_by_name(name):
    x = torch.linspace(-1, 1, 5)
    assert make_activation(name)(x.clone()).shape == x.shape
    with pytest.raises(ValueError, match=r"'tanh'; choose one of relu, .* identity"):
        make_activation("tanh")


def test_conv_norm_keeps_the_size_and_can_start_at_zero():
    x = torch.randn(2, 3, 9, 7)
    assert conv_norm(3, 8)(x).shape == (2, 8, 9, 7)
    assert conv_norm(3, 8, 5, 2)(x).shape == (2, 8, 5, 4)
    assert conv_norm(3, 8, padding=0)(x).shape == (2, 8, 7, 5)
    assert len(conv_norm(3, 8, activation="identity")) == 2
    assert float(conv_norm(3, 8, zero_init=True)(x).detach().abs().max()) == 0.0


@pytest.mark.parametrize("bottleneck", [False, True])
@pytest.mark.parametrize("average", [False, True])
@pytest.mark.parametrize("size", [1, 7, 8])
def test_blocks_shrink_and_widen_any_size(bottleneck, average, size):
    block = ResidualBlock(
        8, 16, 2, bottleneck=bottleneck, avg_pool_shortcut=average, activation="mish"
    )
    assert block(torch.randn(2, 8, size, size)).shape == (2, 16, *[-(-size // 2)] * 2)


def test_a_block_that_starts_at_zero_is_its_shortcut():
    block = ResidualBlock(4, 4, zero_init=True, activation="identity")
    x = torch.randn(2, 4, 5, 5)
    assert torch.equal(block(x), x)
    assert len(block.shortcut) == 0
    halving = ResidualBlock(4, 4, 2, zero_init=True, activation="identity")
    pooled = nn.functional.avg_pool2d(x, 2, ceil_mode=True, count_include_pad=False)
    torch.testing.assert_close(halving(x), pooled)
    assert float(halving(torch.ones(1, 4, 5, 5)).detach().min()) == 1.0


def test_pools():
    x = torch.rand(2, 3, 4, 5)
    both = AdaptiveConcatPool2d()(x)
    assert both.shape == (2, 6, 1, 1)
    torch.testing.assert_close(both[:, :3, 0, 0], x.mean((2, 3)))
    torch.testing.assert_close(both[:, 3:, 0, 0], x.amax((2, 3)))
    torch.testing.assert_close(GeM(1.0)(x)[..., 0, 0], x.mean((2, 3)))
    torch.testing.assert_close(
        GeM(200.0)(x)[..., 0, 0], x.amax((2, 3)), rtol=0.02, atol=0.0
    )
    gem = GeM()
    gem(x).sum().backward()
    assert float(gem.power.grad) > 0
