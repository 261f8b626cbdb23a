"""Warps that show each image from elsewhere: perspective, and random resized crops.

Transforms like those of `kaggle_kit.augment`: `(x, generator) -> x` on x: (B, C, H, W)
float in [0, 1], every image with its own draw.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kaggle_kit.augment import (
    check_probability,
    draw_chosen,
    draw_uniform,
    sample_grid,
)


@dataclass(frozen=True)
class RandomPerspective:
    """View each image from its own angle: every corner moves on its own.

    Attributes:
        distortion: largest move of a corner, as a fraction of half a side; below 0.5.
        p: probability that an image is changed at all.
        fill: value outside the image when padding is "constant".
        padding: "constant", "border" or "reflect".
    """

    distortion: float = 0.2
    p: float = 1.0
    fill: float = 0.0
    padding: str = "constant"

    def __post_init__(self) -> None:
        check_probability("RandomPerspective", self.p)
        # From one half on, the four corners need not span a convex figure.
        if not 0 <= self.distortion < 0.5:
            raise ValueError(
                f"RandomPerspective: distortion is {self.distortion}; give 0 to below "
                "0.5"
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Warp x: (B, C, H, W) float in [0, 1]."""
        n = len(x)
        moves = draw_uniform(8 * n, -1.0, 1.0, generator, x).view(n, 4, 2)
        chosen = draw_chosen(n, self.p, generator, x)
        moves = moves * (self.distortion * chosen)[:, None, None]
        # The corners (-1, -1), (1, -1), (1, 1), (-1, 1), made where they are needed.
        at = torch.arange(4, device=x.device)
        square = torch.stack(((at + 1) // 2 % 2, at // 2), dim=1) * 2.0 - 1.0
        grid = _warps_projective_grid(square + moves, x.shape[-2], x.shape[-1])
        return sample_grid(x, grid, self.fill, self.padding)


def _warps_projective_grid(corners: Tensor, height: int, width: int) -> Tensor:
    """Sample positions of the projection that takes an output to given corners.

    Args:
        corners: (B, 4, 2) source (x, y) in [-1, 1] units of the output's corners, left
            upper first, clockwise.
        height: rows of the output.
        width: columns of the output.

    Returns:
        (B, H, W, 2) positions for grid_sample. Formula: Heckbert, "Fundamentals of
        Texture Mapping and Image Warping" (1989), 2.2.3, unit square to quadrilateral.
    """
    p0, p1, p2, p3 = corners.unbind(dim=1)  # each (B, 2)
    d1, d2, d3 = p1 - p2, p3 - p2, p0 - p1 + p2 - p3
    scale = d1[:, 0] * d2[:, 1] - d1[:, 1] * d2[:, 0]
    g = ((d3[:, 0] * d2[:, 1] - d3[:, 1] * d2[:, 0]) / scale)[:, None]
    h = ((d1[:, 0] * d3[:, 1] - d1[:, 1] * d3[:, 0]) / scale)[:, None]
    a, b = p1 - p0 + g * p1, p3 - p0 + h * p3  # (B, 2) each
    u = ((torch.arange(width, device=corners.device) + 0.5) / width)[None, None, :]
    v = ((torch.arange(height, device=corners.device) + 0.5) / height)[None, :, None]
    below = g[:, :, None] * u + h[:, :, None] * v + 1  # (B, H, W)
    above = [
        a[:, i, None, None] * u + b[:, i, None, None] * v + p0[:, i, None, None]
        for i in (0, 1)
    ]
    return torch.stack((above[0] / below, above[1] / below), dim=3)


@dataclass(frozen=True)
class RandomResizedCrop:
    """Cut a random part out of each image and bring it to one size (bilinear).

    Attributes:
        size: (height, width) of the result, that of the images by default.
        scale: smallest and largest share of the image's area that is cut out.
        ratio: smallest and largest width / height of the part, relative to the image's
            own; a part that would not fit is narrowed to the image.
    """

    size: tuple[int, int] | None = None
    scale: tuple[float, float] = (0.35, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)

    def __post_init__(self) -> None:
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(
                f"RandomResizedCrop: scale is {self.scale}; give shares of the area, "
                "(low, high) in 0..1"
            )
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(
                f"RandomResizedCrop: ratio is {self.ratio}; give (low, high) above 0"
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Cut and resize x: (B, C, H, W) float to (B, C, *size)."""
        n, (height, width) = len(x), self.size or x.shape[-2:]
        area = draw_uniform(n, *self.scale, generator, x)
        low, high = (math.log(ratio) for ratio in self.ratio)
        ratio = draw_uniform(n, low, high, generator, x).exp()
        sides = torch.stack(((area * ratio).sqrt(), (area / ratio).sqrt()), dim=1)
        sides = sides.clamp(max=1.0)  # (B, 2) shares of width and height
        draws = draw_uniform(2 * n, -1.0, 1.0, generator, x).view(n, 2)
        centres = draws * (1 - sides)
        u = (torch.arange(width, device=x.device) + 0.5) * (2 / width) - 1
        v = (torch.arange(height, device=x.device) + 0.5) * (2 / height) - 1
        grid_x = centres[:, :1] + sides[:, :1] * u  # (B, w)
        grid_y = centres[:, 1:] + sides[:, 1:] * v  # (B, h)
        grid = torch.stack(
            (
                grid_x[:, None, :].expand(n, height, width),
                grid_y[:, :, None].expand(n, height, width),
            ),
            dim=3,
        )
        # The part lies inside the image: "border" only meets half a pixel at its edge.
        return sample_grid(x, grid, 0.0, "border")
