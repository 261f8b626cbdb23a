"""The state of every random generator, taken and put back."""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import torch

from kaggle_kit.loaders import Data, split_batch
from kaggle_kit.trees import TensorTree


def random_state() -> dict[str, Any]:
    """State of the global generators of torch, numpy and Python, as plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "numpy": (
            str(kind),
            torch.from_numpy(np.asarray(keys).astype(np.int64)),
            int(position),
            int(has_gauss),
            float(gauss),
        ),
        "python": random.getstate(),
    }


def restore_random_state(state: Mapping[str, Any]) -> None:
    """Set the global generators to what `random_state` gave."""
    torch.set_rng_state(state["torch"])
    # A run may go on with another number of GPUs; then theirs start anew.
    if len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
    kind, keys, position, has_gauss, gauss = state["numpy"]
    words = keys.numpy().astype(np.uint32)
    np.random.set_state((kind, words, position, has_gauss, gauss))
    random.setstate(state["python"])


def data_generators(data: Data) -> Iterator[tuple[str, torch.Generator]]:
    """The generators that batches (or their samplers) keep, each with a name."""
    for name, batches in (("train", data.train), ("valid", data.valid)):
        for part in ("", ".sampler", ".batch_sampler"):
            owner = getattr(batches, part[1:], None) if part else batches
            generator = getattr(owner, "generator", None)
            if isinstance(generator, torch.Generator):
                yield f"{name}{part}", generator


def peek_batch(
    batches: Iterable[Any],
    transform: Callable[[Any, Any], tuple[TensorTree, TensorTree]] | None = None,
) -> tuple[TensorTree, TensorTree]:
    """Inputs and targets of the first batch; global random generators stay put.

    Args:
        batches: `(x, y)` or x alone.
        transform: Applied to both.
    """
    before = random_state()
    try:
        x, y = split_batch(next(iter(batches)))
        return (x, y) if transform is None else transform(x, y)
    finally:
        restore_random_state(before)
