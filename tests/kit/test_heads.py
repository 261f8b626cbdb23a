"""Networks with several heads."""

import sys
import types

import pytest
import torch
import torchvision
from torch import nn

from kaggle_kit.heads import (
    MultiHeadNet,
    body_and_heads,
    count_features,
    feature_body,
    head_probabilities,
    make_multi_head,
)
from kaggle_kit.lookahead import over9000
from kaggle_kit.losses import MultiHeadLoss, split_heads
from kaggle_kit.optimizers import make_optimizer

SIZES = (168, 11, 7)


def test_the_heads_are_those_of_the_starter_and_all_of_them_learn():
    body = nn.Sequential(nn.Conv2d(1, 6, 3, 2), nn.ReLU())
    model = MultiHeadNet(body, 6, SIZES, hidden=16)
    kinds = [type(layer).__name__ for layer in model.heads[0]]
    assert kinds == [
        "AdaptiveConcatPool2d",
        *("Mish", "Flatten", "BatchNorm1d", "Dropout", "Linear"),
        *("Mish", "BatchNorm1d", "Dropout", "Linear"),
    ]
    logits = model(torch.randn(4, 1, 12, 12))
    assert [head.shape for head in split_heads(logits, SIZES)] == [
        (4, 168),
        (4, 11),
        (4, 7),
    ]
    targets = torch.tensor([[3, 1, 2], [0, 0, 0], [100, 10, 6], [5, 5, 5]])
    MultiHeadLoss(SIZES, (0.7, 0.1, 0.2))(logits, targets).backward()
    assert all(bool(p.grad.abs().sum() > 0) for p in model.heads.parameters())


@pytest.mark.parametrize(
    ("name", "n_features"),
    [
        ("densenet121", 1024),
        ("resnet18", 512),
        ("mobilenet_v3_small", 576),
        ("small_resnet", 256),
    ],
)
def test_bodies_of_torchvision_and_the_kit(name, n_features):
    model = make_multi_head(name, (4, 3), hidden=8)
    assert model.heads[0][3].num_features == 2 * n_features
    assert model.eval()(torch.randn(1, 1, 32, 48)).shape == (1, 7)
    assert not any(isinstance(m, nn.Linear) for m in model.body.modules())


def test_weights_reach_the_body(tmp_path):
    torch.manual_seed(0)
    trained = torchvision.models.resnet18()
    torch.save(trained.state_dict(), tmp_path / "resnet18.pth")
    model = make_multi_head("resnet18", (4, 3), weights=tmp_path / "resnet18.pth")
    own, state = model.body.state_dict(), trained.state_dict()
    torch.testing.assert_close(own["conv1.weight"], state["conv1.weight"].sum(1, True))
    assert torch.equal(own["layer4.1.conv2.weight"], state["layer4.1.conv2.weight"])
    assert set(own) == {key for key in state if not key.startswith("fc.")}


def test_bodies_of_timm_lose_their_classifier(monkeypatch):
    class Small(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.fc = nn.Conv2d(3, 5, 3, 4), nn.Linear(5, 1)

        def forward_features(self, x):
            return self.stem(x)

        def reset_classifier(self, n_classes):
            self.fc = nn.Identity()

    timm = types.ModuleType("timm")
    timm.list_models = lambda pattern="*": ["small"]
    timm.create_model = lambda name, **options: Small()
    monkeypatch.setitem(sys.modules, "timm", timm)
    model = make_multi_head("small", (2, 2), n_channels=2, source="timm", hidden=4)
    assert model(torch.randn(3, 2, 16, 16)).shape == (3, 4)
    assert set(model.body.state_dict()) == {"model.stem.weight", "model.stem.bias"}


def test_transformers_and_missing_sizes_are_refused():
    with pytest.raises(ValueError, match=r"not \(B, C, h, w\); choose a convolutional"):
        count_features(nn.Sequential(nn.Conv2d(1, 4, 8, 8), nn.Flatten(2)), 1)
    with pytest.raises(ValueError, match="cannot be run on a small image"):
        count_features(nn.Linear(3, 2), 1)
    with pytest.raises(ValueError, match=r"sizes are \(\); give the classes"):
        MultiHeadNet(nn.Identity(), 4, ())
    body = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 3, 5)).train()
    assert count_features(body, 1) == 3
    assert body[0].training
    assert float(body[0].running_var) == 1.0
    assert isinstance(feature_body(torchvision.models.resnet18()), nn.Sequential)


def test_any_number_of_heads_has_its_own_probabilities():
    for sizes in [(5,), (3, 2), (2, 3, 4, 5)]:
        model = MultiHeadNet(nn.Conv2d(1, 3, 3), 3, sizes, hidden=4).eval()
        logits = model(torch.randn(2, 1, 5, 5))
        heads = head_probabilities(sizes)(logits.to(torch.bfloat16))
        assert [head.shape for head in heads] == [(2, size) for size in sizes]
        for head in heads:
            assert head.dtype == torch.float32
            torch.testing.assert_close(head.sum(1), torch.ones(2))
    first = head_probabilities((3, 2))(torch.arange(5.0)[None])[0]
    torch.testing.assert_close(first, torch.softmax(torch.arange(3.0), 0)[None])


def test_body_and_heads_have_rates_and_weight_decays_of_their_own():
    model = MultiHeadNet(nn.Conv2d(1, 3, 3), 3, (4, 2), hidden=4)
    split = body_and_heads((1e-3, 1e-2))
    optimizer = make_optimizer(model, over9000, (2e-3, 1e-2), split)
    body, heads = optimizer.param_groups
    assert (body["lr"], body["weight_decay"]) == (2e-3, 1e-3)
    assert (heads["lr"], heads["weight_decay"]) == (1e-2, 1e-2)
    assert {id(p) for p in body["params"]} == {id(p) for p in model.body.parameters()}
    assert len(heads["params"]) == len(list(model.heads.parameters()))
    with pytest.raises(TypeError, match="splits a MultiHeadNet, not a Linear"):
        split(nn.Linear(2, 2))
