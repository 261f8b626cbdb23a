"""The parts of the several-headed recipe at work together, on invented images."""

import csv

import numpy as np
import torch
from torch import nn

from kaggle_kit.batches import DeviceBatches
from kaggle_kit.callbacks import BatchTransform, GradientClip
from kaggle_kit.checkpoint import load_checkpoint
from kaggle_kit.events import Callback
from kaggle_kit.heads import MultiHeadNet, body_and_heads, head_probabilities
from kaggle_kit.inference import get_preds
from kaggle_kit.learner import Learner
from kaggle_kit.lookahead import over9000
from kaggle_kit.losses import MixedTargetLoss, MultiHeadLoss
from kaggle_kit.metrics import MultiHeadRecall, hierarchical_macro_recall
from kaggle_kit.mixing import CutMix, MixEither, MixUp
from kaggle_kit.records import CSVLogger
from kaggle_kit.stopping import SaveBest

SIZES = (4, 3, 2)
EPOCHS = 6


class Watch(Callback):
    """Keeps what the optimizer gets: rates, decays and the length of the gradient."""

    order = 5  # after the clipping, before the step

    def __init__(self):
        self.rates, self.decays, self.norms = [], [], []

    def before_step(self, learner):
        groups = learner.optimizer.param_groups
        self.rates.append([group["lr"] for group in groups])
        self.decays.append([group["weight_decay"] for group in groups])
        grads = [p.grad for g in groups for p in g["params"] if p.grad is not None]
        self.norms.append(float(torch.stack([g.norm() for g in grads]).norm()))


def squares(n, seed):
    """A bright square: its corner is the first label, its size and shade the others."""
    generator = np.random.default_rng(seed)
    labels = np.stack([generator.integers(0, size, n) for size in SIZES], axis=1)
    images = generator.integers(0, 30, (n, 16, 16)).astype(np.uint8)
    for image, (corner, side, shade) in zip(images, labels, strict=True):
        y, x, length = 8 * (corner // 2), 8 * (corner % 2), 2 + 2 * side
        image[y : y + length, x : x + length] = 120 + 130 * shade
    return images, labels


def test_everything_together_learns_and_keeps_its_best_epoch(tmp_path):
    torch.manual_seed(0)
    images, labels = squares(256, 0)
    new_images, new_labels = squares(128, 1)
    options = {"batch_size": 32, "device": "cpu", "mean": 0.2, "std": 0.2}
    train = DeviceBatches(images, labels, shuffle=True, **options)
    valid = DeviceBatches(new_images, new_labels, **options)
    body = nn.Sequential(
        nn.Conv2d(1, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU()
    )
    watch = Watch()
    loss = MultiHeadLoss(SIZES, (0.7, 0.1, 0.2), reduction="none")
    learner = Learner(
        MultiHeadNet(body, 32, SIZES, hidden=64, dropout=0.1),
        (train, valid),
        MixedTargetLoss(loss),
        metrics=[MultiHeadRecall(SIZES)],
        optimizer=over9000,
        lr=(1e-2, 4e-2),
        splitter=body_and_heads((1e-3, 1e-2)),
        callbacks=[
            BatchTransform(MixEither(MixUp(0.4), CutMix(1.0))),
            GradientClip(1.0),
            SaveBest(tmp_path / "best.pth", monitor="recall"),
            CSVLogger(tmp_path / "log.csv"),
            watch,
        ],
        device="cpu",
        log=lambda line: None,
    )
    learner.fit_one_cycle(EPOCHS, pct_start=0.0, div_factor=100)

    rates, decays = np.array(watch.rates), np.array(watch.decays)
    assert rates.shape == (EPOCHS * 8, 2)
    np.testing.assert_allclose(rates[:, 1] / rates[:, 0], 4.0)
    np.testing.assert_allclose(rates[0], [1e-2, 4e-2])
    assert (np.diff(rates[:, 0]) < 0).all()
    assert np.unique(decays, axis=0).tolist() == [[1e-3, 1e-2]]
    assert max(watch.norms) <= 1.0 + 1e-4
    assert max(watch.norms) > 0.99

    with (tmp_path / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    recalls = [float(row["recall"]) for row in rows]
    assert len(recalls) == EPOCHS
    content = load_checkpoint(tmp_path / "best.pth")
    assert len(content["history"]) == recalls.index(max(recalls)) + 1
    learner.model.load_state_dict(content["model"])
    device = torch.device("cpu")
    heads = get_preds(learner.model, valid, device, head_probabilities(SIZES))
    score = hierarchical_macro_recall(heads, new_labels)
    assert score == max(recalls)
    assert score > 0.7  # chance is 0.33
