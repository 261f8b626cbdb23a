"""Networks by name: channels, classes, weight files, no downloads."""

import sys
import types

import pytest
import torch
import torchvision
from torch import nn

from kaggle_kit.backbones import (
    channel_weights,
    find_weight_file,
    make_backbone,
)


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("tried to download")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", refuse)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 5])
def test_a_network_takes_any_number_of_channels(n_channels):
    model = make_backbone("mobilenet_v3_small", 7, n_channels)
    x = torch.randn(2, n_channels, 32, 32)
    assert model(x).shape == (2, 7)


def test_auxiliary_outputs_are_left_out():
    with torch.device("meta"):
        model = make_backbone("googlenet", 4, 3).train()
        out = model(torch.empty(2, 3, 64, 64))
    assert out.shape == (2, 4)


def test_filters_for_other_channels_respond_the_same_to_grey_images():
    weight = torch.randn(8, 3, 5, 5)
    grey = torch.randn(2, 1, 9, 9)
    expected = nn.functional.conv2d(grey.expand(-1, 3, -1, -1), weight)
    for n_channels in (1, 2, 3, 4, 7):
        x = grey.expand(-1, n_channels, -1, -1)
        if n_channels % 3 and n_channels > 1:
            continue  # uneven repeats weigh the old channels differently
        got = nn.functional.conv2d(x, channel_weights(weight, n_channels))
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    four = channel_weights(weight, 4)
    assert torch.equal(four[:, 3], four[:, 0])


def test_a_weight_file_fills_all_but_the_new_classifier(tmp_path):
    torch.manual_seed(0)
    trained = torchvision.models.resnet18(num_classes=11)
    path = tmp_path / "resnet18.pth"
    torch.save({"state_dict": trained.state_dict()}, path)
    lines = []
    model = make_backbone("resnet18", 5, 1, weights=path, log=lines.append)
    assert lines == [
        "resnet18.pth: the classifier is new (fc.weight, fc.bias not used)"
    ]
    state, own = trained.state_dict(), model.state_dict()
    torch.testing.assert_close(own["conv1.weight"], state["conv1.weight"].sum(1, True))
    same = [key for key in own if torch.equal(own[key], state.get(key, own[key] + 1))]
    assert set(own) - set(same) == {"conv1.weight", "fc.weight", "fc.bias"}

    grey = torch.randn(2, 1, 32, 32)
    trained.fc, model.fc = nn.Identity(), nn.Identity()
    features = trained.eval()(grey.expand(-1, 3, -1, -1))
    torch.testing.assert_close(model.eval()(grey), features, rtol=1e-3, atol=1e-3)


def test_old_densenet_names_are_understood(tmp_path):
    trained = torchvision.models.densenet121(num_classes=3).state_dict()
    old = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value
        for key, value in trained.items()
        if not key.endswith("num_batches_tracked")
    }
    assert set(old) - set(trained)
    torch.save(old, tmp_path / "old.pth")
    lines = []
    path = tmp_path / "old.pth"
    model = make_backbone("densenet121", 3, weights=path, log=lines.append)
    assert lines == []
    own = model.state_dict()
    names = [key for key in trained if not key.endswith("num_batches_tracked")]
    assert all(torch.equal(own[name], trained[name]) for name in names)


def test_files_that_do_not_fit_are_refused(tmp_path):
    wrong = torchvision.models.resnet34(num_classes=5)
    torch.save(wrong.state_dict(), tmp_path / "resnet34.pth")
    with pytest.raises(ValueError, match=r"resnet34.pth does not fit ResNet: \d+ weig"):
        make_backbone("resnet18", 5, weights=tmp_path / "resnet34.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    with pytest.raises(ValueError, match=r"list.pth holds no state_dict"):
        make_backbone("resnet18", 5, weights=tmp_path / "list.pth")
    with pytest.raises(FileNotFoundError, match=r"none.pth: no such .* attach a data"):
        make_backbone("resnet18", 5, weights=tmp_path / "none.pth")


@pytest.mark.parametrize("layout", ["datasets/somebody/nets", "nets"])
def test_weight_files_come_from_attached_datasets(layout, tmp_path):
    path = tmp_path / layout / "deep" / "net.pth"
    path.parent.mkdir(parents=True)
    net = make_backbone("small_resnet", 4, 1)
    torch.save(net.state_dict(), path)
    assert find_weight_file("somebody/nets/deep/net.pth", tmp_path) == path
    assert find_weight_file(path) == path
    with pytest.raises(FileNotFoundError, match=r"none.pth: no such weight file.*owne"):
        find_weight_file("somebody/nets/none.pth", tmp_path)
    with pytest.raises(FileNotFoundError, match="'somebody/gone' to dataset_sources"):
        find_weight_file("somebody/gone/net.pth", tmp_path)


@pytest.mark.parametrize("name", ["small_resnet", "xresnet18"])
def test_the_kits_own_networks_have_names_too(name):
    for n_channels in (1, 3):
        model = make_backbone(name, 6, n_channels, source="kit").eval()
        assert model(torch.randn(1, n_channels, 48, 48)).shape == (1, 6)
    with pytest.raises(ValueError, match="the kit has no model 'resnet18'; it has sma"):
        make_backbone("resnet18", 6, source="kit")


def test_unknown_names_and_sources_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(ValueError, match=r"no model 'resnet19'; it has alexnet, "):
        make_backbone("resnet19", 5, source="torchvision")
    with pytest.raises(ValueError, match="no model 'resnet19', and timm is not inst"):
        make_backbone("resnet19", 5)
    with pytest.raises(ValueError, match="source is 'hub'; choose auto"):
        make_backbone("resnet18", 5, source="hub")


def test_timm_is_asked_for_random_weights_only(monkeypatch):
    calls = []

    def create_model(name, **options):
        calls.append((name, options))
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 6))

    timm = types.ModuleType("timm")
    timm.list_models = lambda pattern="*": ["resnet18d", "resnet50d"]
    timm.create_model = create_model
    monkeypatch.setitem(sys.modules, "timm", timm)
    model = make_backbone("resnet18d", 6, 1, drop_rate=0.1)
    assert model(torch.randn(1, 1, 8, 8)).shape == (1, 6)
    assert calls == [
        ("resnet18d", {"pretrained": False, "num_classes": 6, "drop_rate": 0.1})
    ]
    with pytest.raises(ValueError, match="no model is called 'resnet18x'; timm has"):
        make_backbone("resnet18x", 6)
