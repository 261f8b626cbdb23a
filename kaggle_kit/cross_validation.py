"""Cross-validation: folds one by one, each kept as soon as it ends."""

import csv
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from kaggle_kit.checkpoint import (
    check_config,
    check_storable,
    load_checkpoint,
    save_checkpoint,
)
from kaggle_kit.inference import mean_outputs
from kaggle_kit.paths import atomic_file
from kaggle_kit.ranks import any_process, is_main_process
from kaggle_kit.trees import TensorTree, count_items, map_tree

_FOLD_TIME_MARGIN = 1.2


class FoldPredictions(NamedTuple):
    """What a fold leaves behind.

    Attributes:
        valid: Predictions for its validation rows, in the order of `valid_rows`:
            (n_valid, C), or a tuple of such for several heads.
        test: Predictions for the test rows, (n_test, C) or a tuple; None without.
        weights: `model.state_dict()`; may be empty.
        history: `learner.history`; may be empty.
    """

    valid: TensorTree
    test: TensorTree = None
    weights: Mapping[str, Tensor] = {}
    history: Sequence[dict[str, float]] = ()


# Called with the fold's number, its training rows and its validation rows.
FoldRunner = Callable[[int, np.ndarray, np.ndarray], FoldPredictions]


@dataclass(frozen=True)
class CrossValidation:
    """Result over the folds that have been run.

    Attributes:
        folds: Their numbers.
        oof: Out-of-fold prediction of every row, (N, C) float32 on the CPU, or a tuple
            of such; NaN in rows of folds that have not been run.
        test: Mean of the folds' test predictions, or None.
        fold_scores: The metric on each fold's validation rows.
        score: The metric on all out-of-fold rows together: the CV score.
    """

    folds: tuple[int, ...]
    oof: TensorTree
    test: TensorTree
    fold_scores: tuple[float, ...]
    score: float

    def describe(self) -> str:
        """Score, mean and spread of the folds in one line."""
        spread = np.std(self.fold_scores, ddof=1) if len(self.folds) > 1 else 0.0
        return (
            f"CV {self.score:.5f} over {len(self.folds)} folds "
            f"(mean {np.mean(self.fold_scores):.5f}, spread {spread:.5f})"
        )


def cross_validate(
    run_fold: FoldRunner,
    fold_column: np.ndarray,
    targets: np.ndarray,
    metric: Callable[[Any, Any], float],
    folder: str | Path,
    name: str = "model",
    config: Mapping[str, Any] | None = None,
    folds: Iterable[int] | None = None,
    force: bool = False,
    seconds: float | None = None,
    log: Callable[[str], None] = print,
) -> CrossValidation:
    """Run the folds that are not yet there, then put all together.

    Each fold leaves `<name>_fold<k>.pt` with its weights, validation and test
    predictions as soon as it ends; started again, a fold whose file exists is not run
    again. `oof.npy` (for several heads `oof_<head>.npy`) and `oof.csv` (row, fold,
    target and predictions) are written after every fold. Of several processes that
    train together the first one writes.

    Args:
        run_fold: Trains one fold and returns its predictions.
        fold_column: (N,) integers, the fold in which each row validates.
        targets: (N,) or (N, heads).
        metric: Called as `metric(preds, targets)` with numpy arrays.
        folder: For the files; created.
        name: First part of the file names.
        config: What the weights depend on; a file of another configuration is refused.
        folds: Which ones, all by default.
        force: Run folds again whose files exist.
        seconds: No fold is begun that would not end within this time, measured from
            now and judged by the longest fold so far; the first is always run.
        log: Takes one line of text.

    Raises:
        ValueError: Shapes do not fit, or there is no such fold.
        CheckpointError: A fold's file is damaged or for another configuration.
        TypeError, OSError: A fold could not be kept; see `check_storable`.
    """
    fold_column, targets = np.asarray(fold_column), np.asarray(targets)
    wanted = _chosen_folds(fold_column, targets, folds)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    done: dict[int, FoldPredictions] = {}
    result: CrossValidation | None = None
    clock = _FoldClock(seconds)
    for fold in wanted:
        path = folder / f"{name}_fold{fold}.pt"
        if path.is_file() and not force:
            done[fold], origin = _load_fold(path, fold, config), "from its file"
        elif done and any_process(not clock.another_fits()):
            log(f"fold {fold} is not begun: {clock}")
            break
        else:
            clock.begin()
            done[fold] = _run_and_keep(run_fold, fold, fold_column, path, config)
            origin = f"{clock.end():.1f}s"
        result = join_folds(done, fold_column, targets, metric)
        if is_main_process():
            write_oof(result, fold_column, targets, folder)
        log(f"fold {fold}: {result.fold_scores[-1]:.5f} ({origin})")
    if result is None:
        raise ValueError("no folds were asked for")
    log(result.describe())
    return result


def join_folds(
    done: Mapping[int, FoldPredictions],
    fold_column: np.ndarray,
    targets: np.ndarray,
    metric: Callable[[Any, Any], float],
) -> CrossValidation:
    """Out-of-fold predictions, mean test predictions and scores of some folds."""
    first = next(iter(done.values())).valid
    oof = map_tree(lambda t: torch.full((len(targets), *t.shape[1:]), torch.nan), first)
    scores = []
    for fold, predictions in done.items():
        rows = fold_column == fold
        _check_fold(fold, predictions, int(rows.sum()))
        for whole, part in zip(_heads(oof), _heads(predictions.valid), strict=True):
            whole[torch.from_numpy(rows)] = part.float().cpu()
        scores.append(float(metric(_as_arrays(predictions.valid), targets[rows])))
    known = np.isin(fold_column, list(done))
    known_oof = map_tree(lambda t: t[torch.from_numpy(known)], oof)
    tests = [p.test for p in done.values() if p.test is not None]
    return CrossValidation(
        folds=tuple(done),
        oof=oof,
        test=mean_outputs(tests) if tests else None,
        fold_scores=tuple(scores),
        score=float(metric(_as_arrays(known_oof), targets[known])),
    )


def write_oof(
    result: CrossValidation, fold_column: np.ndarray, targets: np.ndarray, folder: Path
) -> None:
    """Write `oof.csv` and `oof.npy` (or one .npy for each head), atomically."""
    heads = [head.numpy().reshape(len(targets), -1) for head in _heads(result.oof)]
    for index, head in enumerate(heads):
        file_name = "oof.npy" if len(heads) == 1 else f"oof_{index}.npy"
        with atomic_file(folder / file_name) as temporary:
            np.save(temporary, head)
    labels = targets.reshape(len(targets), -1)
    names = [
        f"pred_{i}_{c}" if len(heads) > 1 else f"pred_{c}"
        for i, head in enumerate(heads)
        for c in range(head.shape[1])
    ]
    target_names = ["target", *[f"target_{i}" for i in range(1, labels.shape[1])]]
    table = np.concatenate(heads, axis=1)
    known = np.isin(fold_column, result.folds)
    with (
        atomic_file(folder / "oof.csv") as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "fold", *target_names, *names])
        for row in np.flatnonzero(known):
            values = (f"{value:.6g}" for value in table[row])
            writer.writerow([row, fold_column[row], *labels[row], *values])


class _FoldClock:
    """Judges by the longest fold so far whether another one fits."""

    def __init__(self, seconds: float | None) -> None:
        self.end_time = np.inf if seconds is None else time.monotonic() + seconds
        self.longest = self.began = 0.0

    def __str__(self) -> str:
        left = self.end_time - time.monotonic()
        return f"{left:.0f} s left, one took {self.longest:.0f} s"

    def another_fits(self) -> bool:
        wanted = self.longest * _FOLD_TIME_MARGIN
        return bool(time.monotonic() + wanted <= self.end_time)

    def begin(self) -> None:
        self.began = time.monotonic()

    def end(self) -> float:
        taken = time.monotonic() - self.began
        self.longest = max(self.longest, taken)
        return taken


def _chosen_folds(
    fold_column: np.ndarray, targets: np.ndarray, folds: Iterable[int] | None
) -> list[int]:
    if fold_column.ndim != 1 or len(fold_column) != len(targets):
        raise ValueError(
            f"the fold column has shape {fold_column.shape}, the targets "
            f"{targets.shape}: one fold for each row is needed"
        )
    there = [int(fold) for fold in np.unique(fold_column)]
    wanted = there if folds is None else list(folds)
    unknown = [fold for fold in wanted if fold not in there]
    if unknown:
        raise ValueError(f"there is no fold {unknown[0]}; the fold column has {there}")
    return wanted


def _run_and_keep(
    run_fold: FoldRunner,
    fold: int,
    fold_column: np.ndarray,
    path: Path,
    config: Mapping[str, Any] | None,
) -> FoldPredictions:
    train_rows = np.flatnonzero(fold_column != fold)
    valid_rows = np.flatnonzero(fold_column == fold)
    if is_main_process():
        check_storable(path, config)
    given = run_fold(fold, train_rows, valid_rows)
    _check_fold(fold, given, len(valid_rows))
    valid, test = map_tree(Tensor.cpu, given.valid), map_tree(Tensor.cpu, given.test)
    if is_main_process():
        save_checkpoint(
            path,
            given.weights,
            {**(config or {}), "fold": fold},
            valid=valid,
            test=test,
            history=list(given.history),
        )
    return FoldPredictions(valid, test, given.weights, given.history)


def _check_fold(fold: int, predictions: FoldPredictions, rows: int) -> None:
    given = count_items(predictions.valid)
    if given != rows:
        raise ValueError(
            f"fold {fold} returned {given} predictions for its {rows} validation rows"
        )


def _load_fold(
    path: Path, fold: int, config: Mapping[str, Any] | None
) -> FoldPredictions:
    content = load_checkpoint(path)
    check_config(content["config"], {**(config or {}), "fold": fold}, path)
    return FoldPredictions(
        content["valid"], content["test"], content["model"], content["history"]
    )


def _heads(tree: TensorTree) -> tuple[Tensor, ...]:
    return tuple(tree) if isinstance(tree, (tuple, list)) else (tree,)


def _as_arrays(tree: TensorTree) -> Any:  # noqa: ANN401 - arrays, as the tensors were
    if isinstance(tree, (tuple, list)):
        return tuple(_as_arrays(head) for head in tree)
    return tree.float().cpu().numpy()
