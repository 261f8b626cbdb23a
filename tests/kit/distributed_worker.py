"""Trains in two processes (see test_distributed)."""

import sys
from pathlib import Path

import torch
from torch import nn

from kaggle_kit.callbacks import GradientAccumulation, GradientClip, SingleBatch
from kaggle_kit.checkpoint import train_or_load
from kaggle_kit.distributed import Distributed, launch
from kaggle_kit.learner import Learner
from kaggle_kit.meters import AverageMetric
from kaggle_kit.ranks import process_count, process_rank
from kaggle_kit.records import CSVLogger, Recorder
from kaggle_kit.stopping import EarlyStopping


def right(preds, targets):
    return (preds.argmax(1) == targets).float().mean()


def make_learner(folder, recorder):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    x = torch.rand(137, 1, 8, 8)
    y = (x.flatten(1) @ torch.randn(64, 10)).argmax(1)
    # batches of 32, 32, 32 and 1: the last is too small to be shared
    train = list(zip(x[:97].split(32), y[:97].split(32), strict=True))
    return Learner(
        nn.Sequential(nn.Flatten(), nn.Linear(64, 24), nn.Tanh(), nn.Linear(24, 10)),
        (train, [(x[97:], y[97:])]),
        nn.CrossEntropyLoss(),
        [right, AverageMetric(right, "streamed")],
        optimizer=torch.optim.SGD,
        lr=0.5,
        callbacks=[
            Distributed(),
            GradientAccumulation(2),
            GradientClip(1.0),
            recorder,
            EarlyStopping(patience=4),
            CSVLogger(folder / "log.csv"),
        ],
        device="cpu",
    )


def fits(learner):
    learner.lr_find(1e-3, 100.0, plot=False)  # all must end it together
    learner.fit(4)
    learner.fit(1, callbacks=[SingleBatch(3)])  # ends the pass early


def main(folder):
    recorder = Recorder()
    learner = make_learner(folder, recorder)

    def train():
        train_or_load(learner, folder / "model.pt", lambda: fits(learner))
        lines = [f"{process_count()} processes", str(recorder.losses)]
        (folder / f"rank{process_rank()}.txt").write_text("\n".join(lines))

    launch(train, 2)
    print("below")
    learner.load(folder / "model.pt")
    print(learner.validate()["right"])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
