"""Checkpoints: weights and configuration in one file, never half-written.

A checkpoint holds tensors and plain values only, so that it can be read with
`weights_only=True`: a pickled model would run code on loading, and would not load in
the built kernel, whose classes live in another module.
"""

import errno
import pickle
import shutil
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.events import LearnerState
from kaggle_kit.paths import atomic_file
from kaggle_kit.ranks import is_main_process

_CHECKPOINT_FORMAT = 1
_WRAPPER_PREFIXES = ("_orig_mod.", "module.")
_SHOWN_PROBLEMS = 5


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be used; the message names the file and the way out."""


def save_checkpoint(
    path: str | Path,
    model_state: Mapping[str, Tensor],
    config: Mapping[str, Any] | None = None,
    **extra: object,
) -> Path:
    """Write weights, configuration and more to one file, atomically.

    Args:
        path: The file; its folder is created.
        model_state: `model.state_dict()`.
        config: What the weights belong to; compared when they are loaded again.
        extra: Further entries: tensors, numbers, strings, lists, tuples, dicts.

    Raises:
        TypeError: An entry is something `weights_only=True` would not load.
        OSError: The disk is full, or the file cannot be written for another reason.
    """
    content = {
        "format": _CHECKPOINT_FORMAT,
        "model": _without_wrapper(model_state),
        "config": dict(config or {}),
        **extra,
    }
    for name, value in content.items():
        _check_plain(value, name)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as temporary:
        try:
            torch.save(content, temporary)
        except RuntimeError as error:  # its writer has no other word for a full disk
            free = shutil.disk_usage(path.parent).free / 1e6
            first_line = str(error).partition("\n")[0]
            why = f"not written ({free:,.1f} MB free): {first_line}"
            raise OSError(errno.EIO, why) from error
    return path


def check_storable(path: str | Path, config: Mapping[str, Any] | None = None) -> None:
    """Complain before a training about what would keep it from being saved after it.

    Args:
        path: The checkpoint to be written; its folder is created.
        config: As `save_checkpoint` will get it.

    Raises:
        TypeError: An entry is something `weights_only=True` would not load.
        OSError: The path is a folder, or nothing can be written beside it.
    """
    _check_plain(dict(config or {}), "config")
    path = Path(path)
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder, not a checkpoint: name a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    probe = path.with_name(f".{path.name}.probe")
    probe.touch()
    probe.unlink(missing_ok=True)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint onto the CPU; at least "model" and "config" are in it.

    A file that holds nothing but a state_dict is taken as weights without config.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: The file is damaged or no checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no checkpoint at {path}")
    try:
        _check_bytes(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        zipfile.BadZipFile,
        RuntimeError,
        OSError,
        EOFError,
        ValueError,
        KeyError,
        AttributeError,
        IndexError,
        TypeError,
        UnicodeDecodeError,
    ) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CheckpointError(
            f"{path} cannot be read as a checkpoint ({path.stat().st_size} bytes): "
            f"{reason}. It may be damaged or incomplete; delete it, or train anew with "
            "force=True."
        ) from error
    if isinstance(content, dict) and "model" in content and "config" in content:
        return content
    if (
        isinstance(content, dict)
        and content
        and all(isinstance(value, Tensor) for value in content.values())
    ):
        return {"format": 0, "model": _without_wrapper(content), "config": {}}
    raise CheckpointError(
        f"{path} is no checkpoint: it holds a {type(content).__name__} without the "
        "entries 'model' and 'config'. Write checkpoints with save_checkpoint."
    )


def load_model_state(
    model: nn.Module, state: Mapping[str, Tensor], path: str | Path
) -> None:
    """Load weights into a model, all of them or none.

    Raises:
        CheckpointError: Names or shapes do not match; the model is left as it was.
    """
    own, given = _without_wrapper(model.state_dict()), _without_wrapper(state)
    problems = [f"the file lacks {name}" for name in own if name not in given]
    problems += [f"the model has no {name}" for name in given if name not in own]
    problems += [
        f"{name} has shape {tuple(given[name].shape)} in the file, "
        f"{tuple(value.shape)} in the model"
        for name, value in own.items()
        if name in given and given[name].shape != value.shape
    ]
    if problems:
        shown = "; ".join(problems[:_SHOWN_PROBLEMS])
        more = len(problems) - _SHOWN_PROBLEMS
        raise CheckpointError(
            f"{path} does not fit the model: {shown}"
            + (f"; and {more} more" if more > 0 else "")
            + ". Build the model the file was written for, or train anew with "
            "force=True."
        )
    with torch.no_grad():
        for name, value in own.items():
            value.copy_(given[name])


def check_config(
    stored: Mapping[str, Any], wanted: Mapping[str, Any], path: str | Path
) -> None:
    """Compare a checkpoint's configuration with the one wanted.

    Raises:
        CheckpointError: They differ; every difference is named.
    """
    absent = object()
    problems = []
    for name in sorted({*stored, *wanted}):
        old, new = stored.get(name, absent), wanted.get(name, absent)
        if old is absent:
            problems.append(f"{name} is {new!r} now, the file does not have it")
        elif new is absent:
            problems.append(f"{name} is {old!r} in the file, not asked for now")
        elif old != new:
            problems.append(f"{name} is {old!r} in the file, {new!r} now")
    if problems:
        raise CheckpointError(
            f"{path} was written for another configuration: {'; '.join(problems)}. "
            "Use that configuration, another file name, or force=True to train anew "
            "and overwrite it."
        )


def save_learner(
    learner: LearnerState, path: str | Path, config: Mapping[str, Any] | None = None
) -> Path:
    """Write a learner's weights, optimizer and history; see `save_checkpoint`."""
    return save_checkpoint(
        path,
        learner.model.state_dict(),
        config,
        optimizer=learner.optimizer.state_dict(),
        history=learner.history,
    )


def load_learner(learner: LearnerState, path: str | Path) -> dict[str, Any]:
    """Load weights, and where they are there optimizer and history.

    Returns:
        The configuration in the file.

    Raises:
        CheckpointError: The file is damaged or does not fit the model.
    """
    content = load_checkpoint(path)
    load_model_state(learner.model, content["model"], path)
    if "optimizer" in content:
        learner.optimizer.load_state_dict(content["optimizer"])
    learner.history[:] = content.get("history", [])
    learner.epochs_done = len(learner.history)
    config: dict[str, Any] = content["config"]
    return config


def train_or_load(
    learner: LearnerState,
    path: str | Path,
    train: Callable[[], object],
    config: Mapping[str, Any] | None = None,
    force: bool = False,
) -> bool:
    """Load the learner's weights from a file, or train and write it.

    An existing file is either used or complained about: it is never silently trained
    over, and it is replaced only with `force`.

    Args:
        learner: Gets the weights and the history.
        path: The checkpoint.
        train: Trains the learner, for example `lambda: learner.fit_one_cycle(10)`.
        config: What the weights depend on (model, epochs, seed, ...); plain values.
        force: Train even where the file exists, and replace it at the end.

    Returns:
        True when it trained, False when it loaded.

    Raises:
        CheckpointError: The file is damaged, or for another config or model.
        TypeError, OSError: It could not be written; see `check_storable`.
    """
    path = Path(path)
    if path.is_file() and not force:
        content = load_checkpoint(path)
        check_config(content["config"], config or {}, path)
        load_model_state(learner.model, content["model"], path)
        learner.history[:] = content.get("history", [])
        learner.epochs_done = len(learner.history)
        learner.log(f"loaded {path} ({len(learner.history)} epochs), not trained again")
        return False
    if is_main_process():
        check_storable(path, config)
    train()
    if is_main_process():
        save_checkpoint(
            path, learner.model.state_dict(), config, history=learner.history
        )
    return True


def _check_bytes(path: Path) -> None:
    # torch writes checksums, but does not look at them when it loads.
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if damaged is not None:
            raise zipfile.BadZipFile(f"the bytes of {damaged} have changed")


def _without_wrapper(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    # torch.compile and DistributedDataParallel put a word before every name.
    for prefix in _WRAPPER_PREFIXES:
        if state and all(name.startswith(prefix) for name in state):
            return _without_wrapper(
                {name.removeprefix(prefix): value for name, value in state.items()}
            )
    return dict(state)


def _check_plain(value: object, name: str) -> None:
    # By exact type: an enum or a numpy float pickles by its class, and is not loaded.
    if value is None or isinstance(value, Tensor):
        return
    if type(value) in (bool, int, float, str, bytes):
        return
    if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
        for index, item in enumerate(value):
            _check_plain(item, f"{name}[{index}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            _check_plain(key, f"key of {name}")
            _check_plain(item, f"{name}[{key!r}]")
        return
    raise TypeError(
        f"{name} is a {type(value).__module__}.{type(value).__qualname__}: a "
        "checkpoint holds tensors, numbers, strings, lists, tuples and dicts only. "
        "Convert it, for example with float(), str() or torch.from_numpy()."
    )
