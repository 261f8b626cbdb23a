"""What training asks of batches: any iterable of `(x, y)` will do."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor
from torch.utils.data import RandomSampler, SubsetRandomSampler, WeightedRandomSampler

from kaggle_kit.trees import TensorTree

_LOADERS_RANDOM = (RandomSampler, SubsetRandomSampler, WeightedRandomSampler)


class Data(NamedTuple):
    """What to train on and what to validate on.

    Each is an iterable of batches `(x, y)`: x a tensor (or tuple of tensors) with the
    batch first, y the targets. `set_epoch(epoch)` is called on the training batches
    where it exists.
    """

    train: Iterable[Any]
    valid: Iterable[Any] | None = None


def as_data(data: Data | Sequence[Iterable[Any] | None]) -> Data:
    """Take `(train, valid)` or `(train,)` for a `Data`.

    Raises:
        ValueError: There are no training batches.
    """
    if isinstance(data, Data):
        return data
    train, valid = (*data, None, None)[:2]
    if train is None or len(data) > 2:
        raise ValueError(
            "the Learner needs Data(train, valid): training batches, and validation "
            f"batches or None; got {len(data)} entries"
        )
    return Data(train, valid)


def split_batch(batch: TensorTree) -> tuple[TensorTree, TensorTree]:
    """Input and targets of a batch; targets are None where the batch is input alone.

    Raises:
        TypeError: The batch is neither a tensor nor a tuple or list.
    """
    if isinstance(batch, Tensor):
        return batch, None
    if not isinstance(batch, (tuple, list)) or not batch:
        raise TypeError(
            f"a batch must be (x, y) or x alone, got {type(batch).__name__}; wrap the "
            "batches in a generator that yields such tuples"
        )
    if len(batch) == 1:
        return batch[0], None
    inputs = batch[:-1]
    return (inputs[0] if len(inputs) == 1 else tuple(inputs)), batch[-1]


def batch_count(batches: Iterable[Any]) -> int | None:
    """Number of batches, None where the iterable does not say."""
    try:
        return len(batches)  # type: ignore[arg-type]
    except TypeError:
        return None


def step_count(batches: Iterable[Any], epochs: int) -> int | None:
    """Number of batches in some epochs, None where the iterable does not say."""
    length = batch_count(batches)
    return None if length is None else length * epochs


def set_batch_epoch(batches: Iterable[Any], epoch: int) -> None:
    """Tell batches (or their sampler) the epoch, which names their order."""
    for owner in (batches, getattr(batches, "sampler", None)):
        set_epoch = getattr(owner, "set_epoch", None)
        if set_epoch is not None:
            set_epoch(epoch)


def no_batches(name: str) -> ValueError:
    """Make the error of a pass ("train" or "validate") that found no batches."""
    purpose = "train on" if name == "train" else "validate or predict"
    return ValueError(
        f"there were no batches to {purpose}; a generator has none after its first "
        "pass: give a list, a DataLoader or another object that can start anew"
    )


def check_in_order(batches: Iterable[Any]) -> None:
    """Refuse batches whose predictions would not be one for each row, in order.

    Of torch's loaders, and of all that say `shuffle` or `drop_last`; another iterable
    is believed.

    Raises:
        ValueError: They are shuffled, or leave the last ones out.
    """
    named = ("batch_sampler", "sampler")
    owners = [batches, *(getattr(batches, name, None) for name in named)]
    owners.append(getattr(owners[1], "sampler", None))
    advice = "predict on batches with shuffle=False and drop_last=False"
    for owner in owners:
        if (
            isinstance(owner, _LOADERS_RANDOM)
            or getattr(owner, "shuffle", False) is True
        ):
            raise ValueError(
                "these batches are shuffled, so the predictions would not stand in the "
                f"order of the rows: {advice}"
            )
        if getattr(owner, "drop_last", False) is True:
            raise ValueError(
                "these batches leave out the last, incomplete one, so rows would lack "
                f"their predictions: {advice}"
            )
