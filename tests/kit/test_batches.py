"""Device-resident batches."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kaggle_kit.augment import RandomAffine
from kaggle_kit.batches import DeviceBatches


def batches_of(n=10, size=(6, 5), **options):
    images = np.random.default_rng(0).integers(0, 256, (n, *size), dtype=np.uint8)
    settings = {"batch_size": 4, "device": "cpu", "mean": 0.25, "std": 0.5} | options
    return images, DeviceBatches(images, np.arange(n), **settings)


def test_batches_are_normalised_float_images_with_their_labels():
    images, batches = batches_of()
    x = torch.cat([x for x, _ in batches])
    y = torch.cat([y for _, y in batches])
    assert x.shape == (10, 1, 6, 5)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    expected = (images.astype(np.float32)[:, None] / 255 - 0.25) / 0.5
    np.testing.assert_allclose(x.numpy(), expected, atol=1e-6)
    assert y.tolist() == list(range(10))


def test_lengths_with_and_without_the_short_last_batch():
    _, batches = batches_of()
    assert (len(batches), batches.n_items) == (3, 10)
    assert [len(y) for _, y in batches] == [4, 4, 2]
    _, full = batches_of(drop_last=True)
    assert (len(full), full.n_items) == (2, 8)
    assert [len(y) for _, y in full] == [4, 4]


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 45),
    drop_last=st.booleans(),
    epoch=st.integers(0, 10_000),
)
def test_every_epoch_holds_every_image_once(n, batch_size, drop_last, epoch):
    assume(not drop_last or batch_size <= n)
    _, batches = batches_of(n, (2, 3), batch_size=batch_size, drop_last=drop_last)
    batches.shuffle = True
    batches.set_epoch(epoch)
    parts = [y for _, y in batches]
    seen = torch.cat(parts).tolist()
    assert len(parts) == len(batches)
    assert len(seen) == batches.n_items == len(set(seen))
    assert set(seen) <= set(range(n))
    assert n - len(seen) < batch_size
    assert drop_last or len(seen) == n
    assert all(len(part) == batch_size for part in parts[:-1])


def test_without_labels_a_batch_is_the_images_alone():
    images, _ = batches_of()
    batches = DeviceBatches(images, batch_size=3, device="cpu", mean=0.0, std=1.0)
    sizes = [x.shape[0] for x in batches]
    assert sizes == [3, 3, 3, 1]


def test_order_and_draws_are_a_function_of_seed_and_epoch():
    def epoch_of(epoch, seed=7):
        augment = RandomAffine(rotate=10, translate=0.1)
        _, batches = batches_of(shuffle=True, seed=seed, augment=augment)
        batches.set_epoch(epoch)
        return [torch.cat(part) for part in zip(*batches, strict=True)]

    x, y = epoch_of(3)
    again_x, again_y = epoch_of(3)
    assert torch.equal(x, again_x)
    assert torch.equal(y, again_y)
    assert sorted(y.tolist()) == list(range(10))
    assert not torch.equal(y, epoch_of(4)[1])
    assert not torch.equal(y, epoch_of(3, seed=8)[1])


def test_iterations_go_on_to_the_next_epoch_when_nobody_sets_it():
    _, batches = batches_of(n=50, shuffle=True)
    first, second = ([y for _, y in batches] for _ in range(2))
    assert not torch.equal(torch.cat(first), torch.cat(second))
    batches.set_epoch(0)
    assert torch.equal(torch.cat([y for _, y in batches]), torch.cat(first))


def test_two_iterations_at_once_do_not_disturb_each_other():
    _, batches = batches_of(n=20, shuffle=True, augment=RandomAffine(rotate=9))
    alone = list(batches)
    batches.set_epoch(0)
    running = iter(batches)
    got = [next(running)]
    list(batches)
    got.extend(running)
    for (x, y), (x_alone, y_alone) in zip(got, alone, strict=True):
        assert torch.equal(x, x_alone)
        assert torch.equal(y, y_alone)


def test_colour_images_are_normalised_per_channel_and_come_channels_last():
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 9, 3), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)
    batches = DeviceBatches(images, batch_size=5, device="cpu", mean=mean, std=std)
    (x,) = batches
    assert x.shape == (5, 3, 8, 9)
    assert x.is_contiguous(memory_format=torch.channels_last)
    expected = (images / 255 - np.array(mean)) / np.array(std)
    np.testing.assert_allclose(x.permute(0, 2, 3, 1).numpy(), expected, atol=1e-5)
    pixels = batches.denormalise(x).permute(0, 2, 3, 1) * 255
    np.testing.assert_allclose(pixels.numpy(), images, atol=1e-3)


def test_several_labels_per_image():
    images = np.zeros((4, 5, 5), np.uint8)
    heads = np.arange(12).reshape(4, 3)
    batches = DeviceBatches(
        images, heads, batch_size=2, device="cpu", mean=0.0, std=1.0
    )
    assert [y.tolist() for _, y in batches] == [heads[:2].tolist(), heads[2:].tolist()]


def test_the_resident_images_stay_as_they_are_whatever_the_augmentation_does():
    def wipe(x, generator):
        return x.mul_(0)

    images, batches = batches_of(augment=wipe)
    list(batches)
    assert torch.equal(batches.images[..., 0], torch.from_numpy(images))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": np.arange(3)}, "4 images but 3 labels"),
        ({"batch_size": 0}, "batch_size is 0; give 1 or more"),
        ({"seed": -1}, "seed is -1; give 0 or more"),
        ({"std": 0.0}, "std is 0.0; it must be above 0"),
        ({"mean": (0.1, 0.2)}, "mean is .*; give one finite number"),
        ({"mean": float("nan")}, "mean is nan; give one finite number"),
        ({"images": np.zeros((4, 5), np.uint8)}, "shape .4, 5.; give .N, H, W."),
        ({"images": np.zeros((0, 5, 5), np.uint8)}, "with at least one image"),
        ({"images": np.zeros((4, 3, 8, 8), np.uint8)}, "8 channels in the last place"),
        ({"batch_size": 5, "drop_last": True}, "drop_last leaves no batch: 4 images"),
    ],
)
def test_what_does_not_fit_is_refused(options, message):
    settings = {
        "images": np.zeros((4, 5, 5), np.uint8),
        "batch_size": 2,
        "device": "cpu",
        "mean": 0.0,
        "std": 1.0,
    } | options
    with pytest.raises(ValueError, match=message):
        DeviceBatches(**settings)


def test_float_images_are_refused_with_the_way_out():
    images = np.zeros((4, 5, 5), np.float32)
    with pytest.raises(TypeError, match=r"float32; .* uint8 .*use a DataLoader"):
        DeviceBatches(images, batch_size=2, device="cpu", mean=0.0, std=1.0)


def test_arrays_that_torch_cannot_share_are_copied():
    images, _ = batches_of()
    read_only = np.frombuffer(images.tobytes(), np.uint8).reshape(images.shape)
    labels = np.arange(10, dtype=np.uint16)[::-1]
    options = {"batch_size": 10, "device": "cpu", "mean": 0.0, "std": 1.0}
    for odd in (read_only, images[::-1], np.asfortranarray(images)):
        ((x, y),) = DeviceBatches(odd, labels, **options)
        np.testing.assert_allclose(x[:, 0].numpy() * 255, odd, atol=1e-4)
        assert y.tolist() == list(range(9, -1, -1))
    ((_, y),) = DeviceBatches(images, pd.Series(labels, index=range(5, 15)), **options)
    assert y.tolist() == list(range(9, -1, -1))
    with pytest.raises(TypeError, match=r"type <U1 .* give numbers"):
        DeviceBatches(images, np.array(list("abcdefghij")), **options)
