"""Batches already on the device: uint8 images resident, made floats batch by batch.

Keeping the whole data set on the device as uint8 (47 MB for 60,000 MNIST digits) and
normalising and augmenting there, on whole batches, is what makes training fast: no
worker processes, no per-image Python. `kaggle_kit.image_files` has batches of images
that stay on the disk; a torch DataLoader works in the same place too.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_BATCHES_ORDER, _BATCHES_DRAWS = 0, 1


class ImageBatches:
    """What all batches of images share: order, labels, augmentation, normalisation.

    Yields `(x, y)`, or `x` alone without labels. x: (B, C, H, W) float32, augmented in
    [0, 1] and then normalised; y: (B,) int64, or (B, heads) for several labels.

    The order of the images and the draws of the augmentation are a function of
    (seed, epoch): `set_epoch(e)` before an epoch makes a resumed run see the batches of
    the uninterrupted one. Without it every new iteration goes on to the next epoch.

    Args:
        n_images: of one pass.
        channels: of the images, 1 or 3 mostly.
        labels: (N,) or (N, heads) integers, or float targets; None when there are none.
        batch_size: images per batch; the last one may be shorter.
        device: where labels and batches live.
        mean: of the pixels in [0, 1] units, one number or one per channel.
        std: likewise, above 0.
        augment: `(x (B, C, H, W) in [0, 1], generator) -> x`, see `kaggle_kit.augment`.
        shuffle: a new order every epoch.
        seed: of the order and of the draws, 0 or more.
        drop_last: leave out a last batch that is not full.
        memory_format: of x; channels_last is the faster one for convolutions.

    Raises:
        ValueError: labels, mean or std do not fit the images.
    """

    def __init__(
        self,
        n_images: int,
        channels: int,
        labels: np.ndarray | Tensor | Sequence[int] | None = None,
        *,
        batch_size: int,
        device: torch.device | str,
        mean: float | Sequence[float],
        std: float | Sequence[float],
        augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        memory_format: torch.memory_format = torch.channels_last,
    ) -> None:
        self.device, self.n_images = torch.device(device), n_images
        self.labels = _batches_labels(labels, n_images, self.device)
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; give 1 or more")
        if seed < 0:
            raise ValueError(f"seed is {seed}; give 0 or more")
        if drop_last and batch_size > n_images:
            raise ValueError(
                f"drop_last leaves no batch: {n_images} images, batch_size {batch_size}"
            )
        self.mean = _batches_statistic("mean", mean, channels, self.device)
        self.std = _batches_statistic("std", std, channels, self.device)
        if not bool((self.std > 0).all()):
            raise ValueError(f"std is {std}; it must be above 0")
        self.batch_size, self.drop_last = batch_size, drop_last
        self.augment, self.shuffle, self.seed = augment, shuffle, seed
        self.memory_format = memory_format
        self.epoch = 0

    def __len__(self) -> int:
        """Count the batches of one pass."""
        full, rest = divmod(self.n_images, self.batch_size)
        return full + (1 if rest and not self.drop_last else 0)

    @property
    def n_items(self) -> int:
        """Count the images of one pass, without those that drop_last leaves out."""
        return len(self) * self.batch_size if self.drop_last else self.n_images

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of `epoch` (counted from 0)."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Tensor | tuple[Tensor, Tensor]]:
        # Taken before the first batch: a plain loop over the epochs, without set_epoch,
        # must not see the same order again.
        epoch, self.epoch = self.epoch, self.epoch + 1
        order = self.order(epoch).to(self.device)
        generator = torch.Generator(self.device)
        generator.manual_seed(_batches_stream(self.seed, epoch, _BATCHES_DRAWS))
        parts = torch.split(order[: self.n_items], self.batch_size)
        for chosen, pixels in zip(parts, self.pixels(parts), strict=True):
            x = self.inputs(pixels, generator)
            yield x if self.labels is None else (x, self.labels[chosen])

    def order(self, epoch: int) -> Tensor:
        """Give the image indices in the order of this epoch: (N,) int64 on the CPU."""
        if not self.shuffle:
            return torch.arange(self.n_images)
        generator = torch.Generator()
        generator.manual_seed(_batches_stream(self.seed, epoch, _BATCHES_ORDER))
        # Drawn on the CPU, so that every device sees the same order.
        return torch.randperm(self.n_images, generator=generator)

    def pixels(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Give each batch's images, (B, H, W, C) uint8 on the device.

        Args:
            parts: (B,) int64 indices of every batch of a pass, on the device.
        """
        raise NotImplementedError

    def inputs(self, pixels: Tensor, generator: torch.Generator) -> Tensor:
        """Make the model's input, (B, C, H, W) float32, of (B, H, W, C) uint8."""
        x = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255.0)
        if self.augment is not None:
            x = self.augment(x, generator)
        return self.normalise(x).contiguous(memory_format=self.memory_format)

    def normalise(self, x: Tensor) -> Tensor:
        """Turn x (B, C, H, W) in [0, 1] into what the model sees."""
        return (x - self.mean).div_(self.std)

    def denormalise(self, x: Tensor) -> Tensor:
        """Turn what the model sees back into (B, C, H, W) in [0, 1] units."""
        return x * self.std.to(x.device) + self.mean.to(x.device)


class DeviceBatches(ImageBatches):
    """Iterable of batches from images that stay on the device as uint8.

    Args:
        images: (N, H, W) or (N, H, W, C) uint8, numpy or torch; on a CPU the memory is
            shared, not copied.
        labels: see `ImageBatches`, as the options.
        device: where images, labels and batches live.
        **options: of `ImageBatches`: batch_size, mean, std, augment, shuffle, seed,
            drop_last and memory_format.

    Raises:
        ValueError: images, labels, mean or std do not fit each other.
        TypeError: the images are not uint8.
    """

    def __init__(
        self,
        images: np.ndarray | Tensor,
        labels: np.ndarray | Tensor | Sequence[int] | None = None,
        *,
        device: torch.device | str,
        **options: Any,  # noqa: ANN401 - see the docstring
    ) -> None:
        self.images = _batches_images(images).to(device)  # (N, H, W, C) uint8
        n_images, channels = len(self.images), self.images.shape[-1]
        super().__init__(n_images, channels, labels, device=device, **options)

    def pixels(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Give each batch's images by their indices."""
        for chosen in parts:
            yield self.images[chosen]


def _batches_tensor(values: np.ndarray | Tensor | Sequence[int]) -> Tensor:
    """Make a tensor, sharing the memory where torch can."""
    if isinstance(values, Tensor):
        return values
    array = np.ascontiguousarray(values)
    if array.dtype.kind not in "buif":
        raise TypeError(
            f"values of type {array.dtype} cannot be on a device; give numbers (number "
            "classes given by name from 0)"
        )
    # torch warns of memory that is read-only, as of np.frombuffer or a memory map.
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _batches_images(images: np.ndarray | Tensor) -> Tensor:
    tensor = _batches_tensor(images)
    if tensor.dtype != torch.uint8:
        raise TypeError(
            f"images are {tensor.dtype}; DeviceBatches keeps uint8 pixels in 0..255 "
            "(use a DataLoader for other data)"
        )
    if tensor.ndim not in (3, 4) or 0 in tensor.shape:
        raise ValueError(
            f"images have shape {tuple(tensor.shape)}; give (N, H, W) or (N, H, W, C) "
            "with at least one image"
        )
    if tensor.ndim == 4 and tensor.shape[3] > tensor.shape[1] > 0:
        # (N, C, H, W) by mistake would train on columns as if they were channels.
        raise ValueError(
            f"images have shape {tuple(tensor.shape)}: {tensor.shape[3]} channels in "
            f"the last place; give (N, H, W, C), channels last"
        )
    return tensor if tensor.ndim == 4 else tensor[..., None]


def _batches_labels(
    labels: np.ndarray | Tensor | Sequence[int] | None, n: int, device: torch.device
) -> Tensor | None:
    if labels is None:
        return None
    tensor = _batches_tensor(labels)
    if len(tensor) != n:
        raise ValueError(f"{n} images but {len(tensor)} labels")
    if not tensor.is_floating_point():
        tensor = tensor.to(torch.int64)
    return tensor.to(device)


def _batches_statistic(
    name: str, value: float | Sequence[float], channels: int, device: torch.device
) -> Tensor:
    """Shape mean or std for broadcasting over (B, C, H, W): (1, C or 1, 1, 1)."""
    numbers = torch.as_tensor(value, dtype=torch.float32).flatten()
    if len(numbers) not in (1, channels) or not bool(numbers.isfinite().all()):
        raise ValueError(
            f"{name} is {value}; give one finite number, or one for each of the "
            f"{channels} channels"
        )
    return numbers.view(1, -1, 1, 1).to(device)


def _batches_stream(seed: int, epoch: int, purpose: int) -> int:
    """Mix seed, epoch and purpose into the seed of an independent random stream."""
    words = np.random.SeedSequence((seed, epoch, purpose)).generate_state(2, np.uint32)
    return int(words[0]) << 31 | int(words[1]) >> 1
