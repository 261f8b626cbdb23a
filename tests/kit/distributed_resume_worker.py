"""Trains in two processes, of which the second may be killed (see test_distributed)."""

import os
import signal
import sys
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from kaggle_kit.averaging import ModelEma
from kaggle_kit.callbacks import BatchTransform
from kaggle_kit.distributed import Distributed, launch
from kaggle_kit.events import Callback
from kaggle_kit.learner import Learner
from kaggle_kit.losses import MixedTargetLoss
from kaggle_kit.mixing import CutMix
from kaggle_kit.ranks import is_main_process, process_rank
from kaggle_kit.resume import Checkpoint


class Seen(Callback):
    """Sums of the batches before they are shared; kills the second process at one."""

    order = -300

    def __init__(self, kill_at):
        self.kill_at, self.sums = kill_at, []

    def before_batch(self, learner):
        if len(self.sums) == self.kill_at and process_rank() == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        self.sums.append(float(learner.x.sum()))


def main(folder, kill_at):
    def train():
        torch.set_num_threads(1)
        torch.manual_seed(1)
        x, y = torch.rand(99, 1, 8, 8), torch.randint(0, 10, (99,))
        # Batches of 33: shares of 17 and 16, which draw unlike numbers for mixing and
        # dropout, so that the next shuffle would differ.
        batches = DataLoader(TensorDataset(x, y), 33, shuffle=True)
        net = (nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten())
        model = nn.Sequential(*net, nn.Dropout(0.5), nn.Linear(144, 10))
        seen = Seen(kill_at)
        learner = Learner(
            model,
            (batches,),
            MixedTargetLoss(nn.CrossEntropyLoss(reduction="none")),
            callbacks=[
                seen,
                Distributed(),
                BatchTransform(CutMix()),
                ModelEma(0.9),
                Checkpoint(folder / "run.pt"),
            ],
            device="cpu",
        )
        learner.fit(3)
        (folder / f"rank{process_rank()}.txt").write_text(repr(seen.sums))
        if is_main_process():
            learner.save(folder / "model.pt")

    launch(train, 2)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
