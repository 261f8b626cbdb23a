"""Folds and splits."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold

from kaggle_kit.folds import add_folds, stratified_folds, stratified_split

# Counts of up to eight classes, then rows in any order.
class_counts = st.lists(st.integers(0, 40), min_size=1, max_size=8)
seeds = st.integers(0, 2**32 - 1)


def shuffled_labels(counts, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).permutation(labels)


@given(counts=class_counts, n_folds=st.integers(2, 7), seed=seeds)
def test_folds_differ_by_at_most_one_row_in_every_class_and_in_total(
    counts, n_folds, seed
):
    labels = shuffled_labels([c + n_folds for c in counts], seed)
    folds = stratified_folds(labels, n_folds, seed)
    assert folds.dtype == np.int64
    assert folds.shape == labels.shape
    assert set(folds.tolist()) == set(range(n_folds))
    table = pd.crosstab(labels, folds).to_numpy()
    assert (table.max(axis=1) - table.min(axis=1)).max() <= 1
    assert table.min() >= 1
    assert np.ptp(table.sum(axis=0)) <= 1


@given(
    counts=class_counts.filter(lambda counts: sum(counts) >= 7),
    n_folds=st.integers(2, 7),
    seed=seeds,
)
def test_rare_classes_are_dealt_out_where_that_is_asked_for(counts, n_folds, seed):
    labels = shuffled_labels(counts, seed)
    folds = stratified_folds(labels, n_folds, seed, rare=True)
    assert set(folds.tolist()) == set(range(n_folds))
    table = pd.crosstab(labels, folds).to_numpy()
    assert (table.max(axis=1) - table.min(axis=1)).max() <= 1
    assert np.ptp(table.sum(axis=0)) <= 1
    with pytest.raises(ValueError, match="3 rows are too few for n_folds=4"):
        stratified_folds([0, 1, 2], 4, rare=True)


@given(counts=class_counts, n_folds=st.integers(2, 5), seed=seeds)
def test_folds_stratify_as_scikit_learn_does(counts, n_folds, seed):
    labels = shuffled_labels([c + n_folds for c in counts], seed)
    table = pd.crosstab(labels, stratified_folds(labels, n_folds, seed)).to_numpy()
    oracle = StratifiedKFold(n_folds, shuffle=True, random_state=0)
    for _, valid in oracle.split(labels, labels):
        counted = np.bincount(labels[valid], minlength=table.shape[0])
        assert (abs(counted[:, None] - table) <= 1).all()


def test_folds_depend_on_labels_and_seed_alone():
    labels = np.arange(100) % 5
    first = stratified_folds(labels, 5, seed=1)
    np.random.seed(0)
    np.testing.assert_array_equal(first, stratified_folds(labels, 5, seed=1))
    assert (first != stratified_folds(labels, 5, seed=2)).any()
    # A pinned result: a change here changes everybody's cross-validation.
    pinned = stratified_folds([0, 0, 0, 1, 1, 1], 3, seed=42)
    assert pinned.tolist() == [2, 1, 0, 0, 2, 1]


def test_rows_of_a_class_are_shuffled():
    folds = stratified_folds(np.zeros(100), 2, seed=0)
    assert folds.tolist() != [0, 1] * 50


@pytest.mark.parametrize(
    "labels",
    [
        ["cat", "dog"] * 4,
        np.array(["cat", "dog"] * 4),
        pd.Series(["cat", "dog"] * 4),
        pd.Series(["cat", "dog"] * 4, dtype="category"),
        np.array([1.5, 2.5] * 4),
        [True, False] * 4,
    ],
)
def test_labels_may_be_of_any_kind(labels):
    expected = stratified_folds([0, 1] * 4, 2)
    folds = stratified_folds(labels, 2)
    assert pd.crosstab(np.asarray(labels), folds).to_numpy().tolist() == [[2, 2]] * 2
    assert folds.shape == expected.shape


def test_a_class_with_fewer_rows_than_folds_is_named():
    labels = ["cat"] * 9 + ["dog"] * 2 + ["emu"]
    with pytest.raises(ValueError, match=r"n_folds=3 needs at least 3 rows of every"):
        stratified_folds(labels, 3)
    with pytest.raises(ValueError, match=r"too few rows: dog \(2\), emu \(1\)\. Mer"):
        stratified_folds(labels, 3)


def test_many_rare_classes_are_cut_short():
    with pytest.raises(ValueError, match=r"9 \(1\) and 990 more\. Merge or"):
        stratified_folds(np.arange(1000), 2)


@pytest.mark.parametrize("n_folds", [1, 0, -3])
def test_one_fold_is_none(n_folds):
    with pytest.raises(ValueError, match=f"n_folds must be at least 2, got {n_folds}"):
        stratified_folds([0, 0, 1, 1], n_folds)


@pytest.mark.parametrize("split", [stratified_folds, stratified_split])
def test_bad_labels_are_refused(split):
    with pytest.raises(ValueError, match=r"1 labels are missing .* first at row 2"):
        split([0.0, 1.0, np.nan, 1.0, 0.0])
    with pytest.raises(ValueError, match=r"2 labels are missing .* first at row 1"):
        split(["a", None, None])
    with pytest.raises(ValueError, match=r"got shape \(0,\)"):
        split([])
    with pytest.raises(ValueError, match=r"got shape \(2, 2\)"):
        split([[0, 1], [1, 0]])


def test_add_folds_returns_a_copy_with_the_column():
    table = pd.DataFrame({"id": range(20), "label": [0, 1] * 10}, index=range(5, 25))
    with_folds = add_folds(table, "label", 4, seed=3)
    assert "fold" not in table
    assert list(with_folds.columns) == ["id", "label", "fold"]
    expected = stratified_folds(table["label"], 4, seed=3)
    assert with_folds["fold"].tolist() == expected.tolist()
    assert with_folds.index.equals(table.index)


def test_several_columns_stratify_on_their_combinations():
    table = pd.DataFrame({"a": [0, 0, 1, 1] * 6, "b": list("xyxy") * 6})
    folds = add_folds(table, ["a", "b"], 3)["fold"]
    counts = pd.crosstab([table["a"], table["b"]], folds).to_numpy()
    assert counts.tolist() == [[2, 2, 2]] * 4


def test_add_folds_checks_the_columns():
    table = pd.DataFrame({"label": [0, 1] * 5})
    with pytest.raises(ValueError, match=r"no column 'labels'; there are \['label'\]"):
        add_folds(table, "labels")
    with pytest.raises(ValueError, match="already has a column 'fold'"):
        add_folds(add_folds(table, "label", 2), "label", 2)


@given(counts=class_counts, fraction=st.floats(0.01, 0.99), seed=seeds)
def test_a_split_partitions_the_rows_and_keeps_proportions(counts, fraction, seed):
    counts = np.array([c + 2 for c in counts])
    labels = shuffled_labels(counts, seed)
    train, valid = stratified_split(labels, fraction, seed)
    assert sorted([*train, *valid]) == list(range(len(labels)))
    assert (np.diff(train) > 0).all()
    assert (np.diff(valid) > 0).all()
    held = np.bincount(labels[valid], minlength=len(counts))
    assert (held >= 1).all()
    assert (held < counts).all()
    assert (abs(held - counts * fraction) <= 1 + 1e-9).all()


def test_a_split_has_the_size_asked_for():
    labels = np.arange(42_000) % 10
    train, valid = stratified_split(labels, 0.1, seed=0)
    assert (len(train), len(valid)) == (37_800, 4_200)
    # Uneven classes: the total is still the rounded share.
    labels = np.repeat(np.arange(7), [3, 5, 8, 13, 21, 34, 55])
    assert len(stratified_split(labels, 0.3)[1]) == round(0.3 * len(labels))


def test_a_split_depends_on_the_seed():
    labels = np.arange(100) % 5
    first = stratified_split(labels, 0.2, seed=1)[1]
    np.testing.assert_array_equal(first, stratified_split(labels, 0.2, seed=1)[1])
    assert first.tolist() != stratified_split(labels, 0.2, seed=2)[1].tolist()


@pytest.mark.parametrize("fraction", [0, 1, -0.1, 1.5, float("nan")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="valid_fraction must be between 0 and 1"):
        stratified_split([0, 0, 1, 1], fraction)


def test_a_class_with_one_row_cannot_be_split():
    with pytest.raises(ValueError, match=r"needs at least 2 rows.* few rows: 7 \(1\)"):
        stratified_split([3, 3, 7])
