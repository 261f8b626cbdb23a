"""A kernel that trains in two processes, as one built file in the sandbox."""

import json

from kernel_builder.cli import main

CODE = """
import torch
from torch import nn

from kaggle_kit.checkpoint import train_or_load
from kaggle_kit.distributed import Distributed, launch
from kaggle_kit.learner import Learner
from kaggle_kit.metrics import accuracy
from kaggle_kit.ranks import process_count
from kaggle_kit.seeding import seed_everything

seed_everything(1)
x = torch.rand(64, 8)
y = (x.sum(1) * 2.4 % 3).long()
batches = list(zip(x.split(16), y.split(16), strict=True))
learner = Learner(
    nn.Linear(8, 3),
    (batches, batches),
    nn.CrossEntropyLoss(),
    [accuracy],
    callbacks=[Distributed()],
    device="cpu",
)


def train():
    train_or_load(learner, "model.pt", lambda: learner.fit(2))
    print("processes:", process_count())


launch(train, 2)
learner.load("model.pt")
print("accuracy:", learner.validate()["accuracy"])
"""


def test_two_processes_find_each_other_in_the_built_file(tmp_path, capsys):
    kernel = tmp_path / "kernel"
    kernel.mkdir()
    (kernel / "kernel.py").write_text(CODE)
    metadata = {"id": "me/two-processes", "title": "Two processes"}
    metadata |= {"code_file": "kernel.py", "language": "python"}
    metadata |= {"kernel_type": "script", "enable_internet": False}
    (kernel / "kernel-metadata.json").write_text(json.dumps(metadata))

    code = main(["rehearse", str(kernel), "--form", "flat", "--out", str(tmp_path)])

    shown = capsys.readouterr().out
    assert code == 0, shown
    assert "training in 2 processes\n" in shown
    assert shown.count("processes: 2\n") == 1
    assert shown.count("epoch 2/2") == 1
    assert shown.count("accuracy: ") == 1
