"""Image files to arrays: order, colours, and what cannot be used."""

import cv2
import numpy as np
import pandas as pd
import pytest

from kaggle_kit.image_files import (
    ImageFileError,
    check_image_files,
    decode_image,
    list_image_files,
    read_image_files,
    resize_image,
)


@pytest.fixture
def folder(tmp_path):
    """Eleven coloured PNG files of 6 x 8 pixels, and the table that names them."""
    images = np.random.default_rng(0).integers(0, 256, (11, 6, 8, 3), np.uint8)
    for i, image in enumerate(images):
        cv2.imwrite(str(tmp_path / f"im_{i}.png"), image[..., ::-1])
    table = pd.DataFrame({"id": [f"im_{i}" for i in range(11)]})
    table = table.assign(root=np.arange(11) * 2, vowel=np.arange(11) % 3)
    return tmp_path, table, images


def test_files_are_read_in_the_order_of_the_table(folder):
    path, table, images = folder
    shuffled = table.sample(frac=1, random_state=1)
    files = list_image_files(shuffled, path, "id", ["root", "vowel"], ".png")
    np.testing.assert_array_equal(
        read_image_files(files, "rgb", threads=3), images[shuffled.index]
    )
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in images]
    # The PNG decoder weighs the colours a little differently.
    np.testing.assert_allclose(
        read_image_files(files).astype(int), np.stack(grey)[shuffled.index], atol=2
    )
    assert files.labels.dtype == np.int64
    assert files.labels.tolist() == shuffled[["root", "vowel"]].to_numpy().tolist()
    fold = files.take(files.labels[:, 1] == 0)
    assert list(fold.names) == [n for n in files.names if int(n[3:]) % 3 == 0]
    assert [p.name for p in fold.paths] == [f"{name}.png" for name in fold.names]


def test_one_label_column_none_and_real_numbers(folder):
    path, table, _ = folder
    one = list_image_files(table, path, "id", "root", ".png")
    assert one.labels.tolist() == list(range(0, 22, 2))
    none = list_image_files(table.assign(id=table["id"] + ".png"), path, "id")
    assert none.labels is None
    assert none.paths == one.paths
    real = list_image_files(table.assign(root=0.5), path, "id", ["root", "vowel"])
    assert real.labels.dtype == np.float32
    assert real.labels[2].tolist() == [0.5, 2.0]


def test_all_unusable_files_are_named_at_once(folder):
    path, table, _ = folder
    (path / "im_1.png").unlink()
    whole = (path / "im_3.png").read_bytes()
    (path / "im_3.png").write_bytes(whole[: len(whole) // 2])
    (path / "im_4.png").write_bytes(b"")
    (path / "im_5.png").write_text("no image")
    (path / "im_6.png").unlink()
    (path / "im_6.png").mkdir()
    cv2.imwrite(str(path / "im_7.png"), np.zeros((6, 9), np.uint8))
    files = list_image_files(table, path, "id", suffix=".png")
    wrong = {
        "im_1.png": "is missing",
        "im_3.png": "is no image that OpenCV can decode, or is cut off",
        "im_4.png": "is empty",
        "im_5.png": "is no image that OpenCV can decode, or is cut off",
        "im_6.png": "cannot be read: Is a directory",
        "im_7.png": "is 6 x 9, others are 6 x 8; give a size to resize to",
    }
    for use in (read_image_files, check_image_files):
        with pytest.raises(ImageFileError, match="6 of 11 image files cannot") as error:
            use(files)
        assert {p.name: text for p, text in error.value.problems.items()} == wrong
        for name in wrong:
            assert name in str(error.value)


def test_a_cut_off_jpeg_is_found_though_opencv_fills_it(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]):
        data = cv2.imencode(".jpg", image, options)[1].tobytes()
        (tmp_path / "whole.jpg").write_bytes(data)
        assert decode_image(tmp_path / "whole.jpg").shape == (64, 64)
        (tmp_path / "cut.jpg").write_bytes(data[: len(data) * 2 // 3])
        with pytest.raises(ValueError, match="is cut off"):
            decode_image(tmp_path / "cut.jpg")


def test_resizing_averages_where_it_shrinks():
    image = np.zeros((8, 8), np.uint8)
    image[::2] = 200
    assert np.unique(resize_image(image, (4, 4))).tolist() == [100]
    assert resize_image(image, (8, 8)) is image
    assert resize_image(image, (16, 16)).shape == (16, 16)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.rename(columns={"root": "r"}), "no column 'root'; there are id, "),
        (lambda t: t.iloc[:0], "column id: no rows"),
        (lambda t: t.assign(id=[None, *t["id"][1:]]), "column id: row 0 has no name"),
        (lambda t: t.assign(id="same"), "column id: same more than once"),
        (
            lambda t: t.assign(root=np.nan),
            "column root: 11 labels are missing, first i",
        ),
        (lambda t: t.assign(root="a"), "text such as 'a'; number the classes first"),
    ],
)
def test_tables_that_do_not_say_what_is_needed(folder, change, message):
    path, table, _ = folder
    with pytest.raises(ValueError, match=message):
        list_image_files(change(table), path, "id", ["root", "vowel"])


def test_an_unknown_colour_is_refused(folder):
    files = list_image_files(folder[1], folder[0], "id", suffix=".png")
    with pytest.raises(ValueError, match="colour is 'bgr'; choose 'grey' or 'rgb'"):
        read_image_files(files, "bgr")
