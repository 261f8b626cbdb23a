"""Starting weights: gains, variance through depth, whitening."""

import math

import pytest
import torch
from torch import nn

from kaggle_kit.initialise import PatchWhitening, activation_gain, init_weights
from kaggle_kit.layers import GeneralReLU, make_activation


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def test_gains_are_those_known_in_closed_form():
    assert activation_gain("relu") == pytest.approx(nn.init.calculate_gain("relu"))
    assert activation_gain("leaky_relu") == pytest.approx(
        nn.init.calculate_gain("leaky_relu", 0.1)
    )
    assert activation_gain("identity") == pytest.approx(1.0)
    # E[(relu(z) - s)^2] = 1/2 - 2 s / sqrt(2 pi) + s^2
    square = 0.5 - 2 * 0.4 / math.sqrt(2 * math.pi) + 0.16
    shifted = GeneralReLU(leak=0.0, sub=0.4)
    assert activation_gain(shifted) == pytest.approx(1 / math.sqrt(square))


@pytest.mark.parametrize("name", ["relu", "general_relu", "mish", "silu", "gelu"])
def test_sums_before_the_activation_keep_their_size_through_the_layers(name):
    layers = [nn.Linear(512, 512) for _ in range(8)]
    torch.manual_seed(0)
    init_weights(nn.Sequential(*layers, nn.Linear(512, 2)), name)
    sums = torch.randn(256, 512, generator=generator_of(1))
    with torch.no_grad():
        for layer in layers:
            sums = layer(make_activation(name)(sums))
            assert 0.6 < float(sums.square().mean()) < 1.7


def test_logits_start_with_the_size_of_the_features():
    model = nn.Sequential(nn.Linear(400, 400), nn.ReLU(), nn.Linear(400, 200))
    torch.manual_seed(0)
    init_weights(model)
    x = torch.randn(256, 400, generator=generator_of(1))
    assert float(model(x).detach().std()) == pytest.approx(1.0, abs=0.1)


def test_biases_become_zero_and_norms_and_frozen_layers_stay():
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 2, 3))
    nn.init.zeros_(model[1].weight)
    nn.init.ones_(model[2].weight)
    model[2].weight.requires_grad_(False)
    init_weights(model)
    assert float(model[0].bias.detach().abs().max()) == 0.0
    assert float(model[1].weight.detach().abs().max()) == 0.0
    assert bool((model[2].weight == 1).all())


def correlated_images(n=300, channels=1):
    noise = torch.randn(n, channels, 16, 16, generator=generator_of())
    return nn.functional.avg_pool2d(noise, 3, 1) * 3 + 0.5


@pytest.mark.parametrize(("channels", "kernel"), [(1, 2), (1, 3), (3, 2)])
def test_whitened_patches_are_uncorrelated_with_variance_one(channels, kernel):
    x = correlated_images(channels=channels)
    layer = PatchWhitening(channels, kernel, eps=0.0)
    layer.fit(x)
    inside = nn.functional.conv2d(x, layer.conv.weight)  # without padding
    n = layer.n_out // 2
    assert n == channels * kernel * kernel
    flat = inside[:, :n].transpose(0, 1).reshape(n, -1).double()
    torch.testing.assert_close(
        torch.cov(flat), torch.eye(n, dtype=torch.float64), rtol=0, atol=1e-3
    )
    assert torch.equal(inside[:, n:], -inside[:, :n])


def test_filters_are_frozen_saved_and_not_drawn_anew():
    layer = PatchWhitening(1, 3)
    assert [name for name, p in layer.named_parameters() if p.requires_grad] == [
        "conv.bias"
    ]
    x = correlated_images()
    unfitted = layer(x)
    torch.testing.assert_close(unfitted[:, 4], x[:, 0])  # the middle pixel
    layer.fit(x)
    fitted = layer.conv.weight.clone()
    init_weights(layer)
    assert torch.equal(layer.conv.weight, fitted)
    again = PatchWhitening(1, 3)
    again.load_state_dict(layer.state_dict())
    assert torch.equal(again(x), layer(x))
    assert not torch.equal(again(x), unfitted)


def test_whitening_refuses_images_of_another_kind():
    with pytest.raises(ValueError, match=r"shape \(5, 2, 8, 8\); give \(N, 1, H, W\)"):
        PatchWhitening(1).fit(torch.zeros(5, 2, 8, 8))
    with pytest.raises(ValueError, match="sides of 3 or more"):
        PatchWhitening(1).fit(torch.zeros(5, 1, 2, 8))
