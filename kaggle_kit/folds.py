"""Stratified folds and splits that depend on nothing but labels and seed."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

FOLD_COLUMN = "fold"


def _folds_classes(labels: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Distinct labels, and for every row the number of its label among them."""
    column = np.asarray(labels)
    if column.ndim != 1 or len(column) == 0:
        raise ValueError(
            f"labels must be one column with at least one row, got shape {column.shape}"
        )
    missing = np.flatnonzero(pd.isna(column))
    if len(missing):
        raise ValueError(
            f"{len(missing)} labels are missing (NaN or None), first at row "
            f"{missing[0]}: fill or drop these rows first"
        )
    codes, classes = pd.factorize(column, sort=True)
    return np.asarray(classes), codes.astype(np.int64)


def _folds_require(
    classes: npt.NDArray[Any], codes: npt.NDArray[Any], needed: int, what: str
) -> None:
    """Refuse classes with fewer than `needed` rows."""
    counts = np.bincount(codes)
    rare = np.flatnonzero(counts < needed)
    if len(rare):
        named = ", ".join(f"{classes[c]!s} ({counts[c]})" for c in rare[:10])
        more = f" and {len(rare) - 10} more" if len(rare) > 10 else ""
        raise ValueError(
            f"{what} needs at least {needed} rows of every class; too few rows: "
            f"{named}{more}. Merge or drop these classes, or use fewer folds"
        )


def _folds_shuffled(codes: npt.NDArray[Any], seed: int) -> npt.NDArray[Any]:
    """All row numbers, class after class, in random order within a class."""
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    return shuffled[np.argsort(codes[shuffled], kind="stable")]


def stratified_folds(
    labels: npt.ArrayLike, n_folds: int = 5, seed: int = 42, rare: bool = False
) -> npt.NDArray[np.int64]:
    """Give every row the number of the fold in which it is validated.

    The shuffled rows of each class are dealt to the folds in turn, each class going on
    where the one before stopped: the folds differ by at most one row, in every class
    and in total. No scikit-learn, so the result is the same with every version of it.

    >>> stratified_folds(["cat", "cat", "cat", "dog", "dog", "dog"], n_folds=3).tolist()
    [2, 1, 0, 0, 2, 1]

    Args:
        labels: (N,) labels of any kind.
        n_folds: At least 2.
        seed: Same labels and seed, same folds.
        rare: Take classes with fewer rows than folds too; some folds then lack them.

    Returns:
        (N,) int64, values 0 to `n_folds - 1`.

    Raises:
        ValueError: missing labels, or a class with fewer rows than folds; fewer rows
            than folds in all.
    """
    if n_folds < 2:
        raise ValueError(f"n_folds must be at least 2, got {n_folds}")
    classes, codes = _folds_classes(labels)
    if not rare:
        _folds_require(classes, codes, n_folds, f"n_folds={n_folds}")
    if len(codes) < n_folds:
        raise ValueError(f"{len(codes)} rows are too few for n_folds={n_folds}")
    folds = np.empty(len(codes), np.int64)
    folds[_folds_shuffled(codes, seed)] = np.arange(len(codes)) % n_folds
    return folds


def add_folds(
    table: pd.DataFrame,
    label: str | Sequence[str],
    n_folds: int = 5,
    seed: int = 42,
) -> pd.DataFrame:
    """Return a copy of `table` with the column `fold` of `stratified_folds`.

    Args:
        table: One row per image.
        label: The column to stratify on; several stratify on their combinations.
        n_folds: At least 2.
        seed: Same table and seed, same folds.

    Raises:
        ValueError: a label column is absent, `fold` exists, or see `stratified_folds`.
    """
    names = [label] if isinstance(label, str) else list(label)
    absent = [name for name in names if name not in table.columns]
    if absent:
        raise ValueError(f"no column {absent[0]!r}; there are {list(table.columns)}")
    if FOLD_COLUMN in table.columns:
        raise ValueError(f"the table already has a column {FOLD_COLUMN!r}: drop it")
    if len(names) == 1:
        labels = table[names[0]].to_numpy()
    else:
        labels = table.groupby(names, dropna=False).ngroup().to_numpy()
    return table.assign(**{FOLD_COLUMN: stratified_folds(labels, n_folds, seed)})


def _folds_valid_counts(
    counts: npt.NDArray[Any], valid_fraction: float
) -> npt.NDArray[Any]:
    """Validation rows of each class: its share rounded, at least one on each side.

    The shares are rounded down, then the largest remainders get the rows still missing
    from the total.
    """
    shares = counts * valid_fraction
    chosen = np.clip(np.floor(shares).astype(np.int64), 1, counts - 1)
    missing = round(float(shares.sum())) - int(chosen.sum())
    for code in np.argsort(chosen - shares, kind="stable")[: max(missing, 0)]:
        chosen[code] = min(chosen[code] + 1, counts[code] - 1)
    return chosen


def stratified_split(
    labels: npt.ArrayLike, valid_fraction: float = 0.1, seed: int = 42
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Split the rows in two, each class in the same proportion and on both sides.

    >>> train, valid = stratified_split([0, 0, 0, 0, 1, 1], valid_fraction=0.5)
    >>> train.tolist(), valid.tolist()
    ([0, 1, 4], [2, 3, 5])

    Args:
        labels: (N,) labels of any kind.
        valid_fraction: Share of the rows for validation, above 0 and below 1.
        seed: Same labels and seed, same split.

    Returns:
        Row numbers of training and validation, both int64 and ascending; together they
        are 0 to N - 1.

    Raises:
        ValueError: missing labels, a fraction out of range, or a class with one row.
    """
    if not 0 < valid_fraction < 1:
        raise ValueError(f"valid_fraction must be between 0 and 1: {valid_fraction}")
    classes, codes = _folds_classes(labels)
    _folds_require(classes, codes, 2, "a stratified split")
    counts = np.bincount(codes)
    order = _folds_shuffled(codes, seed)
    starts = np.cumsum(counts) - counts
    rank = np.arange(len(codes)) - np.repeat(starts, counts)  # place within its class
    valid = rank < np.repeat(_folds_valid_counts(counts, valid_fraction), counts)
    return np.sort(order[~valid]), np.sort(order[valid])
