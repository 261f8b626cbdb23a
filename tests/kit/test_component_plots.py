"""Histograms of components as PNG files."""

import cv2
import numpy as np
import pytest

from kaggle_kit.component_plots import plot_component_histograms


def test_every_component_gets_its_histogram(tmp_path):
    counts = {"grapheme_root": np.arange(168), "vowel_diacritic": np.array([5, 0, 9])}
    path = plot_component_histograms(counts, folder=tmp_path)
    one = plot_component_histograms(
        {"vowel_diacritic": np.array([0, 0])}, folder=tmp_path, name="one.png"
    )
    assert [p.name for p in (path, one)] == ["component_histograms.png", "one.png"]
    two_high, one_high = cv2.imread(str(path)), cv2.imread(str(one))
    assert two_high.shape == (540, 1000, 3)
    assert one_high.shape == (300, 1000, 3)
    # A bar of each component's colour; an empty component has none.
    blue, orange = (176, 108, 43), (32, 107, 221)  # as BGR
    for colour in (blue, orange):
        assert (two_high == colour).all(axis=2).sum() > 1000
    assert not (one_high == blue).all(axis=2).any()


def test_counts_of_other_shapes_are_refused(tmp_path):
    for counts in ({}, {"a": np.zeros((2, 2))}, {"a": np.zeros(0)}):
        with pytest.raises(ValueError, match=r"give \(classes,\) by component"):
            plot_component_histograms(counts, folder=tmp_path)
