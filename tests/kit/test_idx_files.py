"""Idx files and channel statistics."""

import gzip
import struct

import numpy as np
import pytest

from kaggle_kit.preprocess import image_stats, read_idx, read_idx_part


def random_images(n, height=4, width=4, *channels):
    shape = (n, height, width, *channels)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def idx_bytes(array):
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


# ------------------------------------------------------------------------------- files


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(3, 5, 4), (7,), (0, 2, 2)])
def test_idx_files_are_read_compressed_or_not(tmp_path, pack, shape):
    array = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    path = tmp_path / "images-idx3-ubyte"  # the name does not say whether it is gzip
    path.write_bytes(pack(idx_bytes(array)))
    read = read_idx(path)
    np.testing.assert_array_equal(read, array)
    assert read.dtype == np.uint8
    read.fill(0)  # the caller may write to it


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file of uint8; it starts with , expected 00 00 08"),
        (b"\x89PNG\r\n", "it starts with 89 50 4e 47"),
        (b"\0\0\x0d\x01\0\0\0\0", "not an idx file of uint8; it starts with 00 00 0d"),
        (b"\0\0\x08\x03\0\0", "cut off within the sizes"),
        (idx_bytes(random_images(2))[:-1], "declares 2 x 4 x 4 bytes, but 31 follow"),
        (idx_bytes(random_images(2)) + b"x", "declares 2 x 4 x 4 bytes, but 33 foll"),
        (gzip.compress(idx_bytes(random_images(2)), mtime=0)[:-9], "broken gzip file"),
        (gzip.compress(b"abcd", mtime=0)[:-8] + b"\0" * 8, "broken gzip file"),
        (b"\x1f\x8b\x08\x00garbage garbage garbage", "broken gzip file"),
    ],
)
def test_a_bad_idx_file_is_refused(tmp_path, content, message):
    path = tmp_path / "images"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_part_is_read_with_its_labels(tmp_path):
    images, labels = random_images(5), np.arange(5, dtype=np.uint8)
    (tmp_path / "t10k-images-idx3-ubyte.gz").write_bytes(
        gzip.compress(idx_bytes(images))
    )
    with pytest.raises(FileNotFoundError, match="holds neither t10k-labels-idx1-ubyte"):
        read_idx_part(tmp_path, "t10k")
    (tmp_path / "t10k-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    read = read_idx_part(tmp_path, "t10k")
    np.testing.assert_array_equal(read[0], images)
    np.testing.assert_array_equal(read[1], labels)


# ------------------------------------------------------------------ channel statistics


def test_statistics_agree_with_numpy(monkeypatch):
    monkeypatch.setattr("kaggle_kit.preprocess.STATS_IMAGES", 3)  # several blocks
    images = random_images(10, 6, 5)
    mean, std = image_stats(images)
    assert mean == pytest.approx((images / 255).mean(), rel=1e-12)
    assert std == pytest.approx((images / 255).std(), rel=1e-12)
    colour = random_images(10, 6, 5, 3)
    means, stds = image_stats(colour)
    np.testing.assert_allclose(means, (colour / 255).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(stds, (colour / 255).std(axis=(0, 1, 2)))


def test_statistics_do_not_lose_a_single_bright_pixel():
    images = np.zeros((1000, 10, 10), np.uint8)
    images[-1, -1, -1] = 255
    assert image_stats(images)[0] == pytest.approx(1e-5, rel=1e-12)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((2, 3, 3)), r"got \(2, 3, 3\) float64"),
        (np.zeros((2, 9), np.uint8), r"got \(2, 9\) uint8"),
        (np.zeros((0, 3, 3), np.uint8), r"got \(0, 3, 3\) uint8"),
        (np.full((2, 3, 3), 7, np.uint8), "all pixels of channel 0 have the same"),
        (
            np.stack([random_images(4), np.zeros((4, 4, 4), np.uint8)], axis=-1),
            "all pixels of channel 1 have the same value: there is nothing to normal",
        ),
    ],
)
def test_statistics_check_the_images(images, message):
    with pytest.raises(ValueError, match=message):
        image_stats(images)
