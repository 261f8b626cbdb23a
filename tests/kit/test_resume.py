import errno
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from small_learner import (
    same_weights,
    small_data,
    small_learner,
    small_net,
    weights_of,
)
from torch import nn

from kaggle_kit import resume
from kaggle_kit.callbacks import GradientAccumulation
from kaggle_kit.checkpoint import CheckpointError, save_checkpoint
from kaggle_kit.events import Callback, CancelFit
from kaggle_kit.hooks import ActivationStats, GradientNorms
from kaggle_kit.loaders import Data
from kaggle_kit.random_states import (
    data_generators,
    peek_batch,
    random_state,
    restore_random_state,
)
from kaggle_kit.resume import Checkpoint
from kaggle_kit.stopping import EarlyStopping


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the worker forks")
def test_a_run_killed_again_and_again_ends_bitwise_as_the_uninterrupted_one(tmp_path):
    worker = Path(__file__).with_name("resume_worker.py")
    done = subprocess.run(
        [sys.executable, worker, tmp_path],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    killed = [line for line in done.stdout.splitlines() if line.startswith("killed")]
    assert len(killed) == 8
    assert all(line.endswith(": True") for line in killed), killed
    whole = torch.load(tmp_path / "whole" / "result.pt")
    broken = torch.load(tmp_path / "broken" / "result.pt")
    assert same_weights(whole["weights"], broken["weights"])
    assert whole["history"] == broken["history"]
    assert whole["losses"] == broken["losses"]
    assert whole["rates"] == broken["rates"]
    for key, state in whole["optimizer"]["state"].items():
        assert same_weights(state, broken["optimizer"]["state"][key])
    left = sorted(path.name for path in (tmp_path / "broken").iterdir())
    assert left == ["result.pt", "run.pt", "run.pt.previous"]


class StopAfter(Callback):
    order = 200

    def __init__(self, epoch):
        self.epoch = epoch

    def after_epoch(self, learner):
        if learner.epoch == self.epoch:
            raise CancelFit


def interrupted(path, epochs=3, config=None, after=1, log=None):
    learner = small_learner([Checkpoint(path, config), StopAfter(after)], log=log)
    learner.fit(epochs)
    return learner


def test_a_finished_run_is_not_trained_again(tmp_path):
    first = interrupted(tmp_path / "run.pt", after=9)
    log = []
    again = small_learner([Checkpoint(tmp_path / "run.pt"), StopAfter(9)], log=log)
    again.fit(3)
    assert same_weights(weights_of(first.model), weights_of(again.model))
    assert again.history == first.history
    assert log == [f"resumed from {tmp_path / 'run.pt'} after epoch 3/3"]


def test_force_begins_anew_and_writes_over_the_file(tmp_path):
    path = tmp_path / "run.pt"
    interrupted(path, epochs=3, config={"lr": 1})
    learner = small_learner([Checkpoint(path, {"lr": 2}, force=True)])
    learner.fit(2)
    assert [row["epoch"] for row in learner.history] == [1, 2]
    content = torch.load(path)
    assert (content["epoch"], content["config"]["lr"]) == (2, 2)


def test_the_file_before_is_used_when_the_newest_is_damaged(tmp_path):
    path = tmp_path / "run.pt"
    whole = interrupted(tmp_path / "whole.pt", after=9)
    interrupted(path)
    path.write_bytes(path.read_bytes()[:-200])
    log = []
    learner = interrupted(path, after=9, log=log)
    assert "cannot be read" in log[0]
    assert log[0].endswith("Going on from " + str(path) + ".previous.")
    assert same_weights(weights_of(whole.model), weights_of(learner.model))
    path.write_bytes(b"")
    (tmp_path / "run.pt.previous").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"run\.pt cannot be read"):
        interrupted(path)
    assert path.read_bytes() == b""


def test_gradients_that_wait_for_the_next_epoch_come_back(tmp_path):
    class Endless:  # three batches without a length: the third waits
        def __iter__(self):
            return iter(small_data().train)

    def learner(*callbacks):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        nn.init.zeros_(model[1].weight)
        nn.init.zeros_(model[1].bias)
        several = GradientAccumulation(2)
        return small_learner([several, *callbacks], model, Data(Endless()))

    whole = learner()
    whole.fit(3)
    learner(Checkpoint(tmp_path / "run.pt"), StopAfter(0)).fit(3)
    resumed = learner(Checkpoint(tmp_path / "run.pt"), StopAfter(9))
    resumed.fit(3)

    assert len(resumed.history) == 3
    assert same_weights(weights_of(resumed.model), weights_of(whole.model))


def test_what_callbacks_have_on_record_goes_on(tmp_path):
    def learner(*callbacks):
        watch = [ActivationStats(bins=3), GradientNorms()]
        return watch, small_learner([*watch, *callbacks], small_net(1))

    (stats, norms), whole = learner()
    whole.fit(3)
    learner(Checkpoint(tmp_path / "run.pt"), StopAfter(0))[1].fit(3)
    watch, resumed = learner(Checkpoint(tmp_path / "run.pt"), StopAfter(9))
    resumed.fit(3)

    assert len(norms.norms) == 9
    assert watch[1].norms == norms.norms
    assert len(stats.stats["0"].means) == 9
    assert watch[0].stats == stats.stats


def test_a_file_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.pt"
    interrupted(path, config={"seed": 1})
    with pytest.raises(CheckpointError, match="seed is 1 in the file, 2 now"):
        interrupted(path, config={"seed": 2})
    with pytest.raises(CheckpointError, match="epochs of the fit is 3 in the file, 4"):
        interrupted(path, epochs=4, config={"seed": 1})
    learner = small_learner([EarlyStopping(), Checkpoint(path, {"seed": 1})])
    with pytest.raises(CheckpointError, match=r"callbacks is .*EarlyStopping"):
        learner.fit(3)


def test_what_could_not_be_saved_is_said_before_the_training(tmp_path):
    learner = small_learner([Checkpoint(tmp_path / "run.pt", {"lr": np.float32(1)})])
    with pytest.raises(TypeError, match=r"config\['lr'\] is a numpy.float32"):
        learner.fit(1)
    with pytest.raises(IsADirectoryError, match="is a folder, not a checkpoint"):
        small_learner([Checkpoint(tmp_path)]).fit(1)
    assert learner.history == []
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_does_not_end_the_training(tmp_path, monkeypatch):
    def save(path, *args, **entries):
        if entries["epoch"] == 2:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return save_checkpoint(path, *args, **entries)

    monkeypatch.setattr(resume, "save_checkpoint", save)
    log, path = [], tmp_path / "run.pt"
    learner = interrupted(path, log=log)
    assert len(learner.history) == 2
    assert log[-1] == (
        f"epoch 2 is not in {path}: [Errno {errno.ENOSPC}] No space left on device: "
        f"'{path}.new'; training goes on, and the files of the epochs before are kept"
    )
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]
    log.clear()
    interrupted(path, log=log, after=2)
    assert log[0] == f"resumed from {path} after epoch 1/3"


def test_a_second_fit_is_told_to_use_another_path(tmp_path):
    learner = small_learner([Checkpoint(tmp_path / "run.pt")])
    learner.fit(1)
    with pytest.raises(CheckpointError, match="epochs before the fit is 0 in the fil"):
        learner.fit(1)


def test_every_few_epochs_and_always_the_last(tmp_path):
    written = []

    class Look(Callback):
        order = 300

        def after_epoch(self, learner):
            written.append((tmp_path / "run.pt").stat().st_mtime_ns)

    learner = small_learner([Checkpoint(tmp_path / "run.pt", every=2), Look()])
    with pytest.raises(FileNotFoundError):
        learner.fit(3)
    learner = small_learner([Checkpoint(tmp_path / "run.pt", every=2)])
    learner.fit(3)
    assert torch.load(tmp_path / "run.pt")["epoch"] == 3
    with pytest.raises(ValueError, match="every must be at least 1"):
        Checkpoint(tmp_path / "run.pt", every=0)


def test_random_states_come_back():
    def draw():
        return torch.rand(2).tolist(), np.random.rand(2).tolist(), random.random()

    before = random_state()
    np.random.normal()  # leaves half a pair in the generator
    middle = random_state()
    first = draw()
    draw()
    restore_random_state(middle)
    assert draw() == first
    restore_random_state(before)


def test_peeking_at_a_shuffled_loader_draws_nothing():
    x = torch.arange(20.0)[:, None]
    loader = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(x), 5, shuffle=True
    )
    before = torch.get_rng_state()
    assert peek_batch(loader)[0].shape == (5, 1)
    assert torch.equal(before, torch.get_rng_state())


def test_generators_of_loaders_and_samplers_are_found():
    loader = torch.utils.data.DataLoader(
        [1, 2, 3], shuffle=True, generator=torch.Generator()
    )
    names = [name for name, _ in data_generators(Data(loader, [1]))]
    assert names == ["train", "train.sampler"]
