"""Caches of images: whole, half-written, stale and foreign."""

import json
import re

import numpy as np
import pandas as pd
import pytest

from kaggle_kit.image_caches import (
    ImageCacheError,
    cached_images,
    read_image_cache,
    source_key,
    write_image_cache,
)
from kaggle_kit.image_tables import ImageTable, table_ids

SUFFIXES = (".npy", ".feather", ".parquet")


def table_of(n, seed=0):
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 256, (n, 5, 7)).astype(np.uint8)
    return ImageTable(table_ids([f"Trän_{i}" for i in range(n)], "test"), images)


def check_same(one, other):
    np.testing.assert_array_equal(one.images, other.images)
    assert one.ids.tolist() == other.ids.tolist()
    assert one.images.dtype == np.uint8


@pytest.fixture(params=SUFFIXES)
def path(request, tmp_path):
    return tmp_path / "crops" / f"train{request.param}"


@pytest.mark.parametrize("n", [0, 1, 300])
def test_what_was_written_is_read(path, n):
    write_image_cache(path, table_of(n), key="128 px")
    check_same(read_image_cache(path, key="128 px"), table_of(n))
    left = {file.name for file in path.parent.iterdir()}
    assert left - {path.name, f"{path.name}.json"} == set()


def test_a_slice_of_images_is_written_as_it_looks(path):
    table = table_of(40)
    part = ImageTable(table.ids[::2], table.images[::2, ::-1, 1:])
    write_image_cache(path, part)
    check_same(read_image_cache(path), part)


def test_images_are_made_once_and_again_for_another_key(path):
    made, lines = [], []

    def make():
        made.append(len(made))
        return table_of(4, seed=len(made))

    first = cached_images(path, make, "a", log=lines.append)
    check_same(cached_images(path, make, "a", log=lines.append), first)
    assert made == [0]
    other = cached_images(path, make, "b", log=lines.append)
    check_same(read_image_cache(path, "b"), other)
    assert made == [0, 1]
    said = [re.sub(r"\d+\.\d s", "T", line) for line in lines]
    assert said == [
        f"{path.name}: 4 images made and written in T",
        f"{path.name}: 4 images read in T",
        f"made again: {path}: this cache was made for 'a', not for 'b'; delete it, or "
        "give another path",
        f"{path.name}: 4 images made and written in T",
    ]


@pytest.mark.parametrize("keep", [0, 20, 0.5, 0.95])
def test_a_cache_that_is_cut_off_is_refused_and_made_again(path, keep):
    write_image_cache(path, table_of(300))
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(ImageCacheError, match=r"broken .*; delete it, and it is made"):
        read_image_cache(path)
    check_same(
        cached_images(path, lambda: table_of(3), log=lambda _: None), table_of(3)
    )
    check_same(read_image_cache(path), table_of(3))


def test_a_failed_write_leaves_no_half(path, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    for name in ("numpy.save", "pyarrow.feather.write_feather"):
        monkeypatch.setattr(name, fail)
    monkeypatch.setattr("pyarrow.parquet.write_table", fail)
    with pytest.raises(OSError, match="no space left"):
        write_image_cache(path, table_of(9))
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match="no such cache"):
        read_image_cache(path)


def test_npy_written_anew_never_shows_old_images_with_new_ids(tmp_path, monkeypatch):
    path = tmp_path / "train.npy"
    write_image_cache(path, table_of(9))
    monkeypatch.setattr("numpy.save", lambda *a, **k: (_ for _ in ()).throw(OSError()))
    with pytest.raises(OSError):  # noqa: PT011 - the text is not ours
        write_image_cache(path, table_of(9, seed=1))
    assert not path.exists()


def test_npy_can_stay_on_disk(tmp_path):
    path = tmp_path / "train.npy"
    write_image_cache(path, table_of(9))
    table = read_image_cache(path, mmap=True)
    assert isinstance(table.images, np.memmap)
    check_same(table, table_of(9))
    np.testing.assert_array_equal(np.load(path), table_of(9).images)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda words: words["ids"].pop(), "8 ids of shape"),
        (
            lambda words: words["ids"].__setitem__(0, "Trän_1"),
            "'Trän_1' is there twice",
        ),
        (lambda words: words.pop("key"), "'key'"),
    ],
)
def test_ids_that_do_not_fit_the_npy_are_refused(tmp_path, change, reason):
    path = tmp_path / "train.npy"
    write_image_cache(path, table_of(9))
    beside = tmp_path / "train.npy.json"
    words = json.loads(beside.read_text("utf-8"))
    change(words)
    beside.write_text(json.dumps(words), "utf-8")
    with pytest.raises(ImageCacheError, match=reason):
        read_image_cache(path)


def test_an_array_that_is_no_images_is_refused(tmp_path):
    path = tmp_path / "train.npy"
    write_image_cache(path, table_of(2))
    np.save(path, np.zeros((2, 3)))
    with pytest.raises(ImageCacheError, match="holds float64 of shape"):
        read_image_cache(path)


@pytest.mark.parametrize("suffix", [".feather", ".parquet"])
def test_a_table_of_somebody_else_is_refused(tmp_path, suffix):
    path = tmp_path / f"train{suffix}"
    getattr(pd.DataFrame({"a": [1]}), f"to_{suffix[1:]}")(path)
    with pytest.raises(ImageCacheError, match="was not written by write_image_cache"):
        read_image_cache(path)


def test_another_suffix_is_refused(tmp_path):
    for use in (read_image_cache, lambda p: write_image_cache(p, table_of(1))):
        with pytest.raises(ValueError, match=r"'\.npz' is no kind of cache; give one"):
            use(tmp_path / "a.npz")


def test_the_key_of_sources_follows_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("1")
    before = source_key(path)
    assert source_key(path) == before
    path.write_text("12")
    assert source_key(path) != before
