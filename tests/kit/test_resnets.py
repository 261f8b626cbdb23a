"""The residual family: known sizes, options, training."""

import pytest
import torch
from torch import nn

from kaggle_kit.initialise import PatchWhitening
from kaggle_kit.layers import ResidualBlock
from kaggle_kit.resnets import ResNet, mini_resnet, xresnet18, xresnet34, xresnet50


def count_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def test_mini_resnet_is_the_network_of_the_course():
    model = mini_resnet()
    # The course reports 4.9 million parameters for these widths.
    assert 4.85e6 < count_parameters(model) < 4.95e6
    x = torch.randn(2, 1, 28, 28)
    assert model(x).shape == (2, 10)
    assert model.stages(x).shape == (2, 512, 1, 1)


@pytest.mark.parametrize(
    ("make", "millions"), [(xresnet18, 11.7), (xresnet34, 21.8), (xresnet50, 25.6)]
)
def test_xresnets_have_the_sizes_they_are_known_for(make, millions):
    with torch.device("meta"):
        model = make(1000)
        out = model(torch.empty(2, 3, 64, 96))
    assert out.shape == (2, 1000)
    assert count_parameters(model) / 1e6 == pytest.approx(millions, abs=0.06)


@pytest.mark.parametrize("stem", ["conv", "deep", "whiten", "none"])
@pytest.mark.parametrize("pool", ["average", "concat", "gem"])
def test_stems_and_pools_fit_together(stem, pool):
    model = ResNet(
        5,
        2,
        widths=(8, 12),
        blocks=(1, 2),
        stem=stem,
        stem_widths=(4, 4, 8),
        pool=pool,
        dropout=0.1,
        activation="silu",
    )
    x = torch.randn(3, 2, 20, 14)
    assert model(x).shape == (3, 5)
    shape = {"deep": (3, 2)}.get(stem, (10, 7))
    assert model.stages(model.stem(x)).shape == (3, 12, *shape)
    model(x).sum().backward()
    frozen = {n for n, p in model.named_parameters() if p.grad is None}
    assert frozen == ({"stem.0.conv.weight"} if stem == "whiten" else set())


def test_options_reach_every_block():
    model = ResNet(
        3,
        1,
        widths=(8, 16, 16),
        blocks=(2, 1, 1),
        strides=(1, 2, 1),
        zero_init=True,
        activation="mish",
        bottleneck=True,
        avg_pool_shortcut=False,
    )
    blocks = [m for m in model.modules() if isinstance(m, ResidualBlock)]
    assert len(blocks) == 4
    assert all(float(b.branch[-1][1].weight.abs().max().detach()) == 0 for b in blocks)
    assert not any(isinstance(m, (nn.ReLU, nn.AvgPool2d)) for m in model.modules())
    assert model.head[-1].in_features == 64
    assert model.stages(model.stem(torch.randn(1, 1, 8, 8))).shape == (1, 64, 4, 4)
    plain = ResNet(3, 1, widths=(8,), blocks=(1,), norm_logits=True)
    assert isinstance(plain.head[-1], nn.BatchNorm1d)
    assert plain.head[-2].bias is None
    assert not any(isinstance(m, PatchWhitening) for m in plain.modules())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"widths": (8, 16)}, "2 widths, 4 numbers of blocks and 2 strides"),
        ({"blocks": (1, 0, 1, 1)}, r"blocks are \(1, 0, 1, 1\)"),
        ({"stem": "wide"}, "stem is 'wide'; choose one of conv, deep"),
        ({"pool": "max"}, "pool is 'max'; choose one of average"),
    ],
)
def test_what_makes_no_network_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ResNet(3, **options)


def test_a_small_one_learns():
    torch.manual_seed(0)
    y = torch.arange(48) % 3
    x = torch.randn(48, 1, 8, 8) * 0.3
    x[torch.arange(48), 0, y + 2] += 1.0
    model = ResNet(3, 1, widths=(8, 16), blocks=(1, 1), stem_widths=(8,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert bool((model(x).argmax(1) == y).all())
