"""A small network on real handwritten digits, for tests of training."""

from collections.abc import Iterable

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from kaggle_kit.events import Callback
from kaggle_kit.learner import Learner
from kaggle_kit.loaders import Data
from kaggle_kit.progress import Progress

# Networks this small are slower on several threads, most of all beside other tests.
torch.set_num_threads(1)


def accuracy_of(preds: Tensor, targets: Tensor) -> Tensor:
    return (preds.argmax(1) == targets).float().mean()


def digits(count: int = 200) -> tuple[Tensor, Tensor]:
    bunch = load_digits()
    images = torch.tensor(bunch.images[:count], dtype=torch.float32)[:, None] / 16
    return images, torch.tensor(bunch.target[:count])


def in_batches(x: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def small_data(train: int = 96, valid: int = 40, size: int = 32) -> Data:
    x, y = digits(train + valid)
    return Data(
        in_batches(x[:train], y[:train], size), in_batches(x[train:], y[train:], size)
    )


def small_net(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.1),
        nn.Linear(4 * 64, 10),
    )


def small_learner(
    callbacks: Iterable[Callback] = (),
    model: nn.Module | None = None,
    data: Data | None = None,
    log: list[str] | None = None,
    **options: object,
) -> Learner:
    lines = [] if log is None else log
    options = {"metrics": [accuracy_of], "lr": 1e-2, "device": "cpu", **options}
    return Learner(
        small_net() if model is None else model,
        small_data() if data is None else data,
        nn.CrossEntropyLoss(),
        callbacks=[Progress(bar=False), *callbacks],
        log=lines.append,
        **options,
    )


def weights_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same_weights(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(value, second[name]) for name, value in first.items()
    )
