"""Transforms written for single images, such as torchvision's, on whole batches."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class EachImage:
    """Apply a transform to every image of a batch on its own, so each has its own draw.

    `torchvision.transforms.v2` draws once for all images of a batch it is given; called
    image by image it does what its names say, at the cost of a Python call per image
    (some 10,000 a second, where the transforms of `kaggle_kit.augment` do 50,000).

    The draws come from torch's global generator, seeded from the batch's own for the
    time of the call and put back afterwards. Transforms that draw elsewhere (numpy,
    `random`) work, but are not repeatable.

    Attributes:
        transform: (C, H, W) float in [0, 1] to an image of one size for the batch.
    """

    transform: Callable[[Tensor], Tensor]

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Transform x: (B, C, H, W) float in [0, 1]."""
        seed = torch.randint(2**62, (1,), generator=generator, device=generator.device)
        with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):
            torch.manual_seed(int(seed))
            return torch.stack([self.transform(image) for image in x])
