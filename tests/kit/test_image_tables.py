"""Parquet files of pixels, whole, in parts and broken."""

import math
import re

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kaggle_kit.image_tables import (
    ImageTable,
    iter_image_parquet,
    read_image_parquet,
    table_ids,
)

SIZE = (3, 4)


def pixels_of(n, size=SIZE, seed=0):
    draw = np.random.default_rng(seed)
    return draw.integers(0, 256, (n, *size)).astype(np.uint8)


def frame_of(images, first=0):
    """Give the images in Kaggle's form: image_id and a column per pixel."""
    flat = images.reshape(len(images), math.prod(images.shape[1:]))
    frame = pd.DataFrame(flat, columns=[str(i) for i in range(flat.shape[1])])
    frame.insert(0, "image_id", [f"Train_{first + i}" for i in range(len(images))])
    return frame


def write(path, frame, **options):
    frame.to_parquet(path, index=False, **options)
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "train_image_data_0.parquet"


def check_refused(path, text, size=SIZE):
    with pytest.raises(ValueError, match=text) as caught:
        read_image_parquet(path, size)
    assert str(caught.value).startswith(str(path))


@settings(max_examples=20, deadline=None)
@given(
    rows=st.integers(0, 9),
    size=st.tuples(st.integers(1, 5), st.integers(1, 6)),
    columns=st.integers(1, 40),
    group=st.integers(1, 9),
)
def test_reads_what_pandas_reads_however_it_is_cut(
    rows, size, columns, group, tmp_path_factory
):
    path = tmp_path_factory.mktemp("pixels") / "a.parquet"
    images = pixels_of(rows, size, seed=rows)
    write(path, frame_of(images), row_group_size=group)
    table = read_image_parquet(path, size, columns=columns)
    by_pandas = pd.read_parquet(path)
    np.testing.assert_array_equal(
        table.images.reshape(rows, math.prod(size)), by_pandas.iloc[:, 1:].to_numpy()
    )
    assert table.ids.tolist() == by_pandas["image_id"].tolist()
    assert table.images.dtype == np.uint8
    assert table.images.flags.c_contiguous
    assert len(table) == rows


def test_columns_may_come_in_any_order_and_integer_type(path):
    images = pixels_of(5)
    frame = frame_of(images)
    frame = frame[["7", "image_id", *(str(i) for i in range(12) if i != 7)]]
    frame["3"] = frame["3"].astype("int64")
    table = read_image_parquet(write(path, frame), SIZE)
    np.testing.assert_array_equal(table.images, images)
    assert table.ids.tolist() == [f"Train_{i}" for i in range(5)]


def test_whole_numbers_as_ids_become_text(path):
    frame = frame_of(pixels_of(3)).assign(image_id=[7, 8, 9])
    assert read_image_parquet(write(path, frame), SIZE).ids.tolist() == ["7", "8", "9"]


def test_a_foreign_file_is_refused(path):
    path.write_bytes(b"image_id,0,1\nTrain_0,1,2\n")
    check_refused(path, "not a parquet file, or cut off: .*Fetch or write it again$")


def test_a_missing_file_is_named(path):
    with pytest.raises(FileNotFoundError, match=re.escape(f"{path}: no such file")):
        read_image_parquet(path, SIZE)


@pytest.mark.parametrize("keep", [0, 3, 100, -1])
def test_a_file_that_is_cut_off_is_refused(path, keep):
    content = write(path, frame_of(pixels_of(20))).read_bytes()
    path.write_bytes(content[:keep])
    check_refused(path, "not a parquet file, or cut off")


def test_a_file_broken_in_the_middle_is_refused(path):
    frame = frame_of(pixels_of(500))
    content = bytearray(write(path, frame, compression="gzip").read_bytes())
    content[200:9000] = bytes(8800)
    path.write_bytes(content)
    check_refused(path, "broken within its data: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns="image_id"), "0 columns 'image_id', .* are '0', '1'"),
        (lambda f: f.drop(columns=["5", "6"]), "10 columns .*2 are missing, first '5'"),
        (lambda f: f.assign(**{"12": 0}), "13 columns beside .*'12' is none of them"),
        (lambda f: f.rename(columns={"4": "x"}), "1 are missing, first '4'"),
        (lambda f: f.assign(grapheme="a"), "'grapheme' is none of them"),
        (lambda f: f.assign(**{"2": 0.5}), "column '2' holds double, expected whole"),
        (
            lambda f: f.assign(**{"2": [0, 256, 1]}),
            "column '2' of int64 holds other values than 0..255: .*256",
        ),
        (
            lambda f: f.assign(**{"2": pd.array([1, 2, None], "UInt8")}),
            r"column '2' has no value in row 2 \(from 0\)",
        ),
        (
            lambda f: f.assign(image_id=["a", "b", "a"]),
            r"the id 'a' is there twice, in rows 0 and 2 \(from 0\)",
        ),
        (lambda f: f.assign(image_id=["a", None, "b"]), "row 1 .from 0. has no id"),
        (lambda f: f.assign(image_id=["a", "b", " "]), "row 2 .from 0. has no id"),
    ],
)
def test_what_a_file_of_pixels_cannot_be_is_named(path, change, message):
    check_refused(write(path, change(frame_of(pixels_of(3)))), message)


def test_a_column_that_is_there_twice_is_refused(path):
    names = ["image_id", *(str(i) for i in range(12)), "5"]
    columns = [pa.array(["a"]), *[pa.array([1], pa.uint8())] * 13]
    pq.write_table(pa.table(columns, names=names), path)
    check_refused(path, "13 columns beside 'image_id'.*some are there twice")


def test_the_message_of_a_wrong_width_says_how_to_give_another(path):
    write(path, frame_of(pixels_of(2, (28, 28))))
    check_refused(
        path,
        r"784 columns beside 'image_id', but images of 137 x 236 have 32,332 pixels, "
        r"'0' to '32331': 31,548 are missing, first '784'. For images of another size: "
        r"image_size=\(height, width\)",
        size=(137, 236),
    )


def test_several_files_come_in_blocks_with_a_line_each(tmp_path):
    images = pixels_of(13)
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet", tmp_path / "c.parquet"]
    for path, (start, stop) in zip(paths, [(0, 5), (5, 5), (5, 13)], strict=True):
        write(path, frame_of(images[start:stop], start))
    lines = []
    blocks = list(iter_image_parquet(paths, SIZE, rows=3, log=lines.append))
    assert [len(block) for block in blocks] == [3, 2, 3, 3, 2]
    np.testing.assert_array_equal(np.concatenate([b.images for b in blocks]), images)
    ids = np.concatenate([block.ids for block in blocks]).tolist()
    assert ids == [f"Train_{i}" for i in range(13)]
    assert [re.sub(r"\d+\.\d s", "T", line) for line in lines] == [
        "a.parquet: 5 images in T (file 1 of 3)",
        "b.parquet: 0 images in T (file 2 of 3)",
        "c.parquet: 8 images in T (file 3 of 3)",
    ]


def test_an_id_in_two_files_is_refused(tmp_path):
    paths = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    for path in paths:
        write(path, frame_of(pixels_of(2)))
    message = f"{paths[1]}: the id 'Train_0' is in {paths[0]} too"
    with pytest.raises(ValueError, match=re.escape(message)):
        list(iter_image_parquet(paths, SIZE, log=lambda _: None))


def test_no_files_and_no_rows_are_refused(path):
    for paths, rows in (([], 5), ([path], 0)):
        with pytest.raises(ValueError, match="give 1 or more of both"):
            next(iter_image_parquet(paths, SIZE, rows=rows))


def test_images_need_as_many_ids():
    with pytest.raises(ValueError, match="give one id for each image"):
        ImageTable(table_ids(["a"], "here"), pixels_of(2))
