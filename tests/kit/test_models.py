"""Networks: shapes, sizes of the published ones, training moves them."""

import pytest
import torch
from torch import nn

from kaggle_kit.models import DigitNet, DigitResNet
from kaggle_kit.summary import summarise_model


def count_parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize("make", [DigitNet, DigitResNet])
@pytest.mark.parametrize(
    ("image_size", "shape"),
    [(28, (28, 28)), (8, (8, 8)), ((12, 9), (12, 9)), ((31, 45), (31, 45))],
)
def test_digit_networks_take_any_image_size(make, image_size, shape):
    model = make(n_classes=7, image_size=image_size, n_channels=2)
    assert model(torch.randn(3, 2, *shape)).shape == (3, 7)


@pytest.mark.parametrize("make", [DigitNet, DigitResNet])
def test_digit_networks_train_on_a_batch_of_one(make):
    model = make(image_size=28).train()
    model(torch.randn(1, 1, 28, 28)).sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())


def test_digit_net_is_the_known_network():
    model = DigitNet()
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    linears = [m for m in model.modules() if isinstance(m, nn.Linear)]
    drops = [m.p for m in model.modules() if isinstance(m, nn.Dropout)]
    assert [conv.out_channels for conv in convs] == [32, 32, 64, 64]
    assert {conv.kernel_size for conv in convs} == {(3, 3)}
    assert [linear.out_features for linear in linears] == [512, 512, 10]
    assert drops == [0.5, 0.5, 0.5]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in model.modules()) == 4
    assert sum(isinstance(m, nn.MaxPool2d) for m in model.modules()) == 2
    assert count_parameters(model) == 1_939_114


def test_digit_networks_refuse_images_that_pool_to_nothing():
    with pytest.raises(ValueError, match=r"image_size is 3; .* at least 4 x 4"):
        DigitNet(image_size=3)
    with pytest.raises(ValueError, match=r"\(28, 7\); .* at least 8 x 8"):
        DigitResNet(image_size=(28, 7))


def test_digit_resnet_learns_to_tell_two_strokes_apart():
    torch.manual_seed(0)
    x = torch.zeros(32, 1, 8, 8)
    x[:16, :, 4, :], x[16:, :, :, 4] = 1.0, 1.0
    x += 0.1 * torch.randn(x.shape)
    y = torch.arange(32) // 16
    model = DigitResNet(n_classes=2, image_size=8)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    assert float(loss.detach()) < 0.05
    assert bool((model.eval()(x).argmax(1) == y).all())


@pytest.mark.parametrize(("make", "millions"), [(DigitNet, 20.2), (DigitResNet, 10.0)])
def test_digit_networks_cost_what_they_say(make, millions):
    summary = summarise_model(make(), torch.zeros(1, 1, 28, 28))
    assert summary.multiply_adds / 1e6 == pytest.approx(millions, abs=0.06)
