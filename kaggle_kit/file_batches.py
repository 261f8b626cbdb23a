"""Batches of images that stay on the disk, decoded in threads as they are needed."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from kaggle_kit.batches import ImageBatches
from kaggle_kit.image_files import (
    FILES_THREADS,
    ImageArray,
    ImageColour,
    ImageFileError,
    ImageFiles,
    check_image_files,
    other_size,
    try_image,
)


class FileBatches(ImageBatches):
    """Iterable of batches decoded from files as they are needed.

    For what does not fit into memory; what does is faster read once and given to
    `DeviceBatches`. The next batches are decoded while the present one is trained on.

    Args:
        files: from `list_image_files`; their labels are the targets.
        colour: "grey" (one channel) or "rgb".
        size: height and width to resize to; None: all must have the first one's.
        threads: that decode.
        ahead: batches decoded in advance.
        check: decode every file once, now, and name all that cannot be used; without
            it the first one met ends the training.
        **options: of `ImageBatches`: batch_size, device, mean, std, augment, shuffle,
            seed, drop_last and memory_format.

    Raises:
        ImageFileError: files are missing, broken or of another size.
    """

    def __init__(
        self,
        files: ImageFiles,
        *,
        colour: ImageColour = "grey",
        size: tuple[int, int] | None = None,
        threads: int = FILES_THREADS,
        ahead: int = 2,
        check: bool = True,
        **options: Any,  # noqa: ANN401 - see the docstring
    ) -> None:
        looked_at = files if check else files.take(np.arange(1))
        self.size = check_image_files(looked_at, colour, size, threads)
        self.resize = size is not None
        self.files, self.colour = files, colour
        self.threads, self.ahead = threads, ahead
        channels = 1 if colour == "grey" else 3
        super().__init__(len(files), channels, files.labels, **options)

    def pixels(self, parts: Sequence[Tensor]) -> Iterator[Tensor]:
        """Decode each batch's images by their indices."""
        numbers = [part.tolist() for part in parts]
        with ThreadPoolExecutor(max(1, self.threads)) as pool:
            coming: list[list[Future[ImageArray]]] = []
            for batch in [*numbers, *[[]] * self.ahead]:
                coming.append([pool.submit(self.image, i) for i in batch])
                if len(coming) > self.ahead:
                    decoded = np.stack([each.result() for each in coming.pop(0)])
                    tensor = torch.from_numpy(decoded).to(self.device)
                    yield tensor if tensor.ndim == 4 else tensor[..., None]

    def image(self, index: int) -> ImageArray:
        """Decode one image: (H, W) or (H, W, 3) uint8.

        Raises:
            ImageFileError: its file has become unusable.
        """
        path = self.files.paths[index]
        image = try_image(path, self.colour, self.size if self.resize else None)
        if not isinstance(image, str) and image.shape[:2] != self.size:
            image = other_size(image, self.size)
        if isinstance(image, str):
            raise ImageFileError({path: image}, len(self.files))
        return image
