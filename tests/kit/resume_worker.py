"""Trains in child processes that kill themselves at given moments (see test_resume)."""

import functools
import os
import random
import signal
import sys
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

sys.path.insert(0, str(Path(__file__).parents[1]))

from small_learner import accuracy_of, digits, small_net

from kaggle_kit import checkpoint, resume
from kaggle_kit.averaging import ModelEma
from kaggle_kit.callbacks import BatchTransform, GradientClip
from kaggle_kit.events import Callback
from kaggle_kit.learner import Learner
from kaggle_kit.progress import Progress
from kaggle_kit.records import Recorder
from kaggle_kit.resume import Checkpoint
from kaggle_kit.schedules import Scheduler, TorchScheduler, anneal_cosine
from kaggle_kit.stopping import EarlyStopping

EPOCHS = 5


def die():
    os.kill(os.getpid(), signal.SIGKILL)


class KillAt(Callback):
    """Kills the process at the n-th time of an event."""

    def __init__(self, event="", times=0):
        self.event, self.times = event, times

    def count(self, name):
        if name == self.event:
            self.times -= 1
            if self.times == 0:
                die()


for _event in ("after_backward", "before_validate", "after_epoch", "cleanup_fit"):
    setattr(KillAt, _event, lambda self, learner, name=_event: self.count(name))


def half_saved(content, file):
    Path(file).write_bytes(b"PK half a checkpoint")
    die()


def noisy(x, y):
    scale = random.uniform(0.9, 1.1) + np.random.normal(0, 0.01)
    return x * scale + torch.randn_like(x) * 0.01, y


def train(folder, killer):
    torch.manual_seed(1)
    np.random.seed(1)
    random.seed(1)
    x, y = digits(136)
    generator = torch.Generator()
    generator.manual_seed(5)
    batches = DataLoader(
        TensorDataset(x[:96], y[:96]), 32, shuffle=True, generator=generator
    )
    recorder = Recorder()
    learner = Learner(
        small_net(),
        (batches, [(x[96:], y[96:])]),
        nn.CrossEntropyLoss(),
        [accuracy_of],
        lr=1e-2,
        callbacks=[
            killer,
            Progress(bar=False),
            BatchTransform(noisy),
            GradientClip(1.0),
            ModelEma(0.9),
            Scheduler(anneal_cosine(1.0, 0.0)),
            TorchScheduler(
                functools.partial(torch.optim.lr_scheduler.ExponentialLR, gamma=0.99)
            ),
            EarlyStopping(patience=9),
            recorder,
            Checkpoint(folder / "run.pt", {"seed": 1}),
        ],
        device="cpu",
    )
    learner.fit(EPOCHS)
    history = [{k: v for k, v in r.items() if k != "seconds"} for r in learner.history]
    torch.save(
        {
            "weights": learner.model.state_dict(),
            "optimizer": learner.optimizer.state_dict(),
            "history": history,
            "losses": recorder.losses,
            "rates": recorder.rates,
        },
        folder / "result.pt",
    )


MOMENTS = {
    "in the first step": lambda: KillAt("after_backward", 1),
    "while the first file is written": lambda: torch_save_dies(1),
    "in a later step": lambda: KillAt("after_backward", 5),
    "before a validation": lambda: KillAt("before_validate", 1),
    "while a file replaces another": lambda: replace_dies(3),
    "at the end of an epoch": lambda: KillAt("after_epoch", 2),
    "while a later file is written": lambda: torch_save_dies(1),
    "after the last epoch": lambda: KillAt("cleanup_fit", 1),
}


def torch_save_dies(times):
    original, left = torch.save, [times]

    def wrapped(content, file):
        left[0] -= 1
        return half_saved(content, file) if left[0] == 0 else original(content, file)

    checkpoint.torch.save = wrapped
    return KillAt()


def replace_dies(times):
    original, left = Path.replace, [times]

    def wrapped(path, target):
        result = original(path, target)
        left[0] -= 1
        if left[0] == 0:
            die()
        return result

    resume.Path.replace = wrapped
    return KillAt()


def in_child(folder, make_killer):
    child = os.fork()
    if child == 0:
        train(folder, make_killer())
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return status


def main(folder):
    torch.set_num_threads(1)
    # The first optimizer imports a great deal: once here, not in every child.
    torch.optim.AdamW(small_net().parameters())
    digits(1)
    whole, broken = folder / "whole", folder / "broken"
    whole.mkdir()
    broken.mkdir()
    assert in_child(whole, KillAt) == 0
    for name, make_killer in MOMENTS.items():
        status = in_child(broken, make_killer)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(f"killed {name}: {killed}", flush=True)
    assert in_child(broken, KillAt) == 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
