"""Long submissions: every row gets the answer it asks for, whatever the order."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_kit.asked_rows import AskedRowsError, read_asked_rows

COMPONENTS = ("grapheme_root", "vowel_diacritic", "consonant_diacritic")


def write_test(folder, images, components=COMPONENTS, order=None):
    """test.csv and a sample submission whose rows stand in the given order."""
    rows = [(f"{i}_{c}", i, c) for i in images for c in sorted(components)]
    test = pd.DataFrame(rows, columns=["row_id", "image_id", "component"])
    test.to_csv(folder / "test.csv", index=False)
    sample = test[["row_id"]].assign(target=0)
    order = range(len(sample)) if order is None else order
    sample.iloc[list(order)].to_csv(folder / "sample_submission.csv", index=False)
    return folder / "test.csv", folder / "sample_submission.csv"


@settings(max_examples=25, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(1, 6))
def test_answers_follow_the_sample_in_any_order(tmp_path_factory, rng, n_images):
    folder = tmp_path_factory.mktemp("asked")
    images = [f"Test_{i}" for i in range(n_images)]
    order = rng.sample(range(3 * n_images), 3 * n_images)
    test, sample = write_test(folder, images, order=order)
    asked = read_asked_rows(test, sample, COMPONENTS)
    assert list(asked.row_ids) == pd.read_csv(sample)["row_id"].tolist()
    predicted = rng.sample([*images, "Test_extra"], n_images + 1)
    truth = {
        i: [rng.randrange(168), rng.randrange(11), rng.randrange(7)] for i in predicted
    }
    got = asked.answers(predicted, np.array([truth[i] for i in predicted]))
    assert got.dtype == np.int64
    for row, answer in zip(asked.row_ids, got, strict=True):
        image, component = row.split("_", 2)[:2], row.split("_", 2)[2]
        assert answer == truth["_".join(image)][COMPONENTS.index(component)]


def test_ids_keep_their_spelling(tmp_path):
    asked = read_asked_rows(*write_test(tmp_path, ["007", "NA", "1e3"]), COMPONENTS)
    labels = np.arange(9).reshape(3, 3)
    assert asked.answers(["1e3", "007", "NA"], labels).tolist() == [
        *(5, 3, 4),  # 007: consonant, root, vowel
        *(8, 6, 7),
        *(2, 0, 1),
    ]


def test_images_that_nobody_asks_for_are_named_and_left_out(tmp_path):
    asked = read_asked_rows(*write_test(tmp_path, ["a", "b"]), COMPONENTS)
    lines = []
    asked.check_images(["b", "x1", "a", "x2"], log=lines.append)
    assert lines == ["no row of test.csv asks for: x1, x2; left out"]
    asked.check_images(["b", "a"], log=lines.append)
    assert len(lines) == 1


def test_missing_and_double_images_are_refused(tmp_path):
    asked = read_asked_rows(*write_test(tmp_path, list("abcdefgh")), COMPONENTS)
    with pytest.raises(
        AskedRowsError, match=r"that no file holds: b, c, d, e, f and 2 more. Are all"
    ):
        asked.check_images(["a"])
    with pytest.raises(AskedRowsError, match="images are there twice: a"):
        asked.answers(["a", "a"], np.zeros((2, 3), int))


def test_tables_that_do_not_fit_are_refused(tmp_path):
    test, sample = write_test(tmp_path, ["a", "b"])
    with pytest.raises(AskedRowsError, match="component vowel_diacritic is unknown"):
        read_asked_rows(test, sample, ("grapheme_root", "consonant_diacritic"))
    whole = pd.read_csv(test)
    whole.iloc[1:].to_csv(test, index=False)
    with pytest.raises(
        AskedRowsError, match=r"lacks rows of sample_submission.csv: a_consonant_diac"
    ):
        read_asked_rows(test, sample, COMPONENTS)
    pd.concat([whole, whole.iloc[:1]]).to_csv(test, index=False)
    with pytest.raises(AskedRowsError, match=r"test.csv: row_id twice: a_consonant_d"):
        read_asked_rows(test, sample, COMPONENTS)
    whole.rename(columns={"image_id": "image"}).to_csv(test, index=False)
    with pytest.raises(
        AskedRowsError, match="no column 'image_id'; there are row_id, "
    ):
        read_asked_rows(test, sample, COMPONENTS)
    sample.write_text("row_id,target\n")
    with pytest.raises(AskedRowsError, match=r"sample_submission.csv has no rows"):
        read_asked_rows(test, sample, COMPONENTS)
    sample.write_text("")
    with pytest.raises(AskedRowsError, match=r"sample_submission.csv: not a table"):
        read_asked_rows(test, sample, COMPONENTS)
