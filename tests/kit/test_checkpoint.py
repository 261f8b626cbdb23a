import enum
import os

import numpy as np
import pytest
import torch
from full_disk import full_disk
from small_learner import same_weights, small_learner, small_net, weights_of
from torch import nn

from kaggle_kit.checkpoint import (
    CheckpointError,
    load_checkpoint,
    load_model_state,
    save_checkpoint,
    train_or_load,
)


def names_in(folder):
    return [path.name for path in folder.iterdir()]


class Colour(enum.IntEnum):
    RED = 1


def test_weights_config_and_extras_come_back(tmp_path):
    model = small_net()
    config = {"epochs": 3, "sizes": (8, 16), "name": "digits", "lr": 0.1, "fold": None}
    path = save_checkpoint(
        tmp_path / "a" / "m.pt", model.state_dict(), config, oof=torch.arange(3)
    )
    content = load_checkpoint(path)
    assert same_weights(content["model"], weights_of(model))
    assert content["config"] == config
    assert torch.equal(content["oof"], torch.arange(3))
    assert names_in(path.parent) == ["m.pt"]


def test_an_interrupted_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = save_checkpoint(tmp_path / "m.pt", small_net().state_dict(), {"run": 1})
    old = path.read_bytes()

    def broken(content, file):
        file.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, small_net().state_dict(), {"run": 2})
    assert path.read_bytes() == old
    assert names_in(tmp_path) == ["m.pt"]


def test_a_full_disk_is_named_and_the_old_file_kept(tmp_path):
    path = save_checkpoint(tmp_path / "m.pt", small_net().state_dict(), {"run": 1})
    message = r"not written \([\d,.]+ MB free\): .*: '.*/m.pt'"
    with pytest.raises(OSError, match=message), full_disk():
        save_checkpoint(path, small_net().state_dict(), {"run": 2})
    assert load_checkpoint(path)["config"] == {"run": 1}
    assert names_in(tmp_path) == ["m.pt"]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"rate": np.float64(0.1)}, r"config\['rate'\] is a numpy.float64: a checkp"),
        ({"colour": Colour.RED}, r"config\['colour'\] is a .*Colour"),
        ({"path": [os.curdir, {1, 2}]}, r"config\['path'\]\[1\] is a builtins.set"),
    ],
)
def test_what_would_not_load_is_not_written(tmp_path, config, message):
    with pytest.raises(TypeError, match=message):
        save_checkpoint(tmp_path / "m.pt", {}, config)
    assert names_in(tmp_path) == []


@pytest.mark.parametrize("kept", [0, 1, 100, -1])
def test_a_damaged_file_is_named(tmp_path, kept):
    path = save_checkpoint(tmp_path / "m.pt", small_net().state_dict())
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"m\.pt cannot be read as a checkpoint"):
        load_checkpoint(path)


def test_changed_bytes_give_no_other_error(tmp_path):
    path = save_checkpoint(tmp_path / "m.pt", small_net().state_dict())
    good = path.read_bytes()
    found = 0
    for position in range(0, len(good), len(good) // 40):
        bad = bytearray(good)
        bad[position] ^= 0xFF
        path.write_bytes(bytes(bad))
        try:
            load_checkpoint(path)
        except CheckpointError:
            found += 1
    assert found


def test_a_changed_weight_is_found(tmp_path):
    weights = torch.rand(1000)
    path = save_checkpoint(tmp_path / "m.pt", {"w": weights})
    content = path.read_bytes()
    start = content.index(weights.numpy().tobytes())
    path.write_bytes(content[: start + 9] + b"!" + content[start + 10 :])
    with pytest.raises(CheckpointError, match=r"the bytes of .* have changed"):
        load_checkpoint(path)


def test_a_pickled_model_is_not_executed(tmp_path):
    path = tmp_path / "m.pt"
    torch.save(small_net(), path)
    with pytest.raises(CheckpointError, match=r"m\.pt cannot be read"):
        load_checkpoint(path)


def test_other_content_is_refused_and_a_bare_state_dict_taken(tmp_path):
    path = tmp_path / "m.pt"
    torch.save([1, 2], path)
    with pytest.raises(CheckpointError, match=r"m\.pt is no checkpoint: it holds a li"):
        load_checkpoint(path)
    torch.save(small_net().state_dict(), path)
    content = load_checkpoint(path)
    assert content["config"] == {}
    load_model_state(small_net(4), content["model"], path)
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*absent\.pt"):
        load_checkpoint(tmp_path / "absent.pt")


def test_weights_of_another_shape_are_explained_and_nothing_is_loaded():
    model = small_net()
    before = weights_of(model)
    other = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8))
    with pytest.raises(
        CheckpointError,
        match=r"x\.pt does not fit the model: the file lacks 5\.weight.*"
        r"0\.weight has shape \(8, 1, 3, 3\) in the file, \(4, 1, 3, 3\) in the model",
    ):
        load_model_state(model, other.state_dict(), "x.pt")
    assert same_weights(before, weights_of(model))


def test_wrappers_of_compile_and_data_parallel_are_seen_through(tmp_path):
    model = small_net()
    wrapped = {f"module._orig_mod.{k}": v for k, v in model.state_dict().items()}
    path = save_checkpoint(tmp_path / "m.pt", wrapped)
    other = small_net(5)
    load_model_state(other, load_checkpoint(path)["model"], path)
    assert same_weights(weights_of(other), weights_of(model))


class Trains:
    def __init__(self, learner):
        self.learner, self.times = learner, 0

    def __call__(self):
        self.times += 1
        self.learner.fit(1)


def test_train_or_load_trains_once(tmp_path):
    path, config = tmp_path / "m.pt", {"epochs": 1}
    first = small_learner()
    train = Trains(first)
    assert train_or_load(first, path, train, config) is True
    log = []
    second = small_learner(model=small_net(3), log=log)
    unused = Trains(second)
    assert train_or_load(second, path, unused, config) is False
    assert (train.times, unused.times) == (1, 0)
    assert same_weights(weights_of(first.model), weights_of(second.model))
    assert second.history == first.history
    assert log == [f"loaded {path} (1 epochs), not trained again"]


def test_what_could_not_be_saved_is_said_before_the_training(tmp_path):
    learner = small_learner()
    train = Trains(learner)
    with pytest.raises(TypeError, match=r"config\['rate'\] is a numpy.float64"):
        train_or_load(learner, tmp_path / "m.pt", train, {"rate": np.float64(0.1)})
    with pytest.raises(IsADirectoryError, match="is a folder, not a checkpoint: name"):
        train_or_load(learner, tmp_path, train)
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        train_or_load(learner, tmp_path / "file/m.pt", train)
    assert train.times == 0
    assert names_in(tmp_path) == ["file"]


def test_force_trains_again_and_replaces_the_file(tmp_path):
    path = tmp_path / "m.pt"
    learner = small_learner()
    train_or_load(learner, path, Trains(learner), {"epochs": 1})
    again = small_learner(model=small_net(3))
    assert train_or_load(again, path, Trains(again), {"epochs": 2}, force=True)
    content = load_checkpoint(path)
    assert content["config"] == {"epochs": 2}
    assert same_weights(content["model"], weights_of(again.model))


def test_a_file_for_another_config_or_model_is_reported_and_kept(tmp_path):
    path = tmp_path / "m.pt"
    learner = small_learner()
    train_or_load(learner, path, Trains(learner), {"epochs": 1, "seed": 0})
    good = path.read_bytes()
    train = Trains(learner)
    with pytest.raises(
        CheckpointError,
        match=r"m\.pt was written for another configuration: epochs is 1 in the file, "
        r"2 now; seed is 0 in the file, not asked for now",
    ):
        train_or_load(learner, path, train, {"epochs": 2})
    bigger = small_learner(model=nn.Sequential(nn.Flatten(), nn.Linear(64, 10)))
    with pytest.raises(CheckpointError, match=r"m\.pt does not fit the model"):
        train_or_load(bigger, path, train, {"epochs": 1, "seed": 0})
    path.write_bytes(good[:-50])
    with pytest.raises(CheckpointError, match=r"train anew with force=True"):
        train_or_load(learner, path, train, {"epochs": 1, "seed": 0})
    assert path.read_bytes() == good[:-50]
    assert train.times == 0
