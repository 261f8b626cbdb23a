"""Random erasing and copying of patches, every image with its own draws.

The transforms take and give x: (B, C, H, W) float in [0, 1], like those in
`kaggle_kit.augment`.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from kaggle_kit.augment import (
    check_probability,
    draw_chosen,
    draw_uniform,
    move_draws,
)

_ERASING_STEPS = 6  # moments of digits and clothes are then right to 0.002


@dataclass(frozen=True)
class RandomErase:
    """Replace patches of each image by noise with the image's own statistics.

    The noise is normal and clamped to the range of the image, drawn so that mean and
    deviation are those of the image after clamping: BatchNorm and the first layer see
    what they saw before (Zhong et al., arXiv 1708.04896, with fastai's clamping).

    Attributes:
        p: probability that an image is changed at all.
        area: smallest and largest share of the image per patch.
        ratio: smallest and largest width / height of a patch.
        max_count: patches per image, uniform from 1 to this.
    """

    p: float = 0.5
    area: tuple[float, float] = (0.02, 0.2)
    ratio: tuple[float, float] = (0.3, 3.3)
    max_count: int = 1

    def __post_init__(self) -> None:
        check_probability("RandomErase", self.p)
        _erasing_check("RandomErase", self.area, self.ratio, self.max_count)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Erase in x: (B, C, H, W) float."""
        patches = _erasing_patches(x, self, generator)
        erased = patches.masks().any(dim=1)[:, None]  # (B, 1, H, W)
        return torch.where(erased, clamped_noise(x, generator), x)


@dataclass(frozen=True)
class RandomCopy:
    """Paste patches of each image elsewhere into the same image.

    Keeps the distribution of the pixels without any noise (fastai's course).

    Attributes:
        p: probability that an image is changed at all.
        area: smallest and largest share of the image per patch.
        ratio: smallest and largest width / height of a patch.
        max_count: patches per image, uniform from 1 to this.
    """

    p: float = 0.5
    area: tuple[float, float] = (0.02, 0.2)
    ratio: tuple[float, float] = (0.3, 3.3)
    max_count: int = 1

    def __post_init__(self) -> None:
        check_probability("RandomCopy", self.p)
        _erasing_check("RandomCopy", self.area, self.ratio, self.max_count)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Copy within x: (B, C, H, W)."""
        patches = _erasing_patches(x, self, generator)
        sources = _erasing_place(x, patches.heights, patches.widths, generator)
        n, channels, height, width = x.shape
        index = torch.arange(height * width, device=x.device).view(1, height, width)
        index = index.repeat(n, 1, 1)
        moved = (sources[0] - patches.tops) * width + sources[1] - patches.lefts
        for k, mask in enumerate(patches.masks().unbind(dim=1)):
            # From the position itself: a later patch overrides an earlier one.
            own = torch.arange(height * width, device=x.device).view(1, height, width)
            index = torch.where(mask, own + moved[:, k, None, None], index)
        flat = index.view(n, 1, -1).expand(n, channels, -1)
        return x.reshape(n, channels, -1).gather(2, flat).view_as(x)


@dataclass(frozen=True)
class _ErasingPatches:
    """Rectangles of a batch: all (B, K) int64; an unused one has no height."""

    tops: Tensor
    lefts: Tensor
    heights: Tensor
    widths: Tensor
    size: tuple[int, int]

    def masks(self) -> Tensor:
        """Mark the pixels of each rectangle: (B, K, H, W) bool."""
        rows = torch.arange(self.size[0], device=self.tops.device)
        columns = torch.arange(self.size[1], device=self.tops.device)
        tops, lefts = self.tops[:, :, None], self.lefts[:, :, None]
        in_rows = (rows >= tops) & (rows < tops + self.heights[:, :, None])
        in_columns = (columns >= lefts) & (columns < lefts + self.widths[:, :, None])
        return in_rows[:, :, :, None] & in_columns[:, :, None, :]


def _erasing_check(
    name: str, area: tuple[float, float], ratio: tuple[float, float], max_count: int
) -> None:
    if not 0 < area[0] <= area[1] <= 1:
        raise ValueError(f"{name}: area is {area}; give (low, high) shares in 0..1")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"{name}: ratio is {ratio}; give (low, high) above 0")
    if max_count < 1:
        raise ValueError(f"{name}: max_count is {max_count}; give 1 or more")


def _erasing_patches(
    x: Tensor, options: RandomErase | RandomCopy, generator: torch.Generator
) -> _ErasingPatches:
    """Draw the patches of every image: size, place and how many of them are used."""
    (n, _, height, width), k = x.shape, options.max_count
    area = draw_uniform(n * k, *options.area, generator, x).view(n, k)
    low, high = (math.log(ratio) for ratio in options.ratio)
    ratio = draw_uniform(n * k, low, high, generator, x).view(n, k).exp()
    pixels = area * (height * width)
    heights = (pixels / ratio).sqrt().round().clamp(1, height).long()
    widths = (pixels * ratio).sqrt().round().clamp(1, width).long()
    count = draw_uniform(n, 1, k + 1, generator, x).long()
    count = count * draw_chosen(n, options.p, generator, x)
    used = torch.arange(k, device=x.device) < count[:, None]
    tops, lefts = _erasing_place(x, heights, widths, generator)
    return _ErasingPatches(tops, lefts, heights * used, widths, (height, width))


def _erasing_place(
    x: Tensor, heights: Tensor, widths: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Place rectangles of given sizes inside the images: tops and lefts, (B, K)."""
    height, width = x.shape[-2:]
    draws = draw_uniform(2 * heights.numel(), 0.0, 1.0, generator, x)
    down, right = draws.view(2, *heights.shape)
    tops = (down * (height - heights + 1)).long()
    lefts = (right * (width - widths + 1)).long()
    return tops, lefts


def clamped_noise(x: Tensor, generator: torch.Generator) -> Tensor:
    """Draw noise like x (B, C, H, W), with each image's mean, deviation and range.

    Normal noise clamped to a range has another mean and a smaller deviation than before
    (a digit, 0 almost everywhere, would become grey). The normal distribution is
    therefore chosen so that the moments are right after clamping.
    """
    flat = x.flatten(1).float()
    low, high = flat.amin(dim=1), flat.amax(dim=1)
    mean, std = flat.mean(dim=1), flat.std(dim=1, unbiased=False)
    loc, scale = _erasing_latent(mean, std.clamp(min=1e-6), low, high)
    noise = torch.randn(flat.shape, generator=generator, device=generator.device)
    noise = move_draws(noise, x) * scale[:, None] + loc[:, None]
    noise = torch.clamp(noise, low[:, None], high[:, None])
    return noise.to(x.dtype).view_as(x)


def _erasing_latent(
    mean: Tensor, std: Tensor, low: Tensor, high: Tensor
) -> tuple[Tensor, Tensor]:
    """Find the normal distribution whose clamping has given moments: (B,) each.

    Newton's method on mean and mean square; steps are limited, since an image of black
    and white alone would need an infinitely wide distribution.
    """
    loc, scale, square = mean, std, std.square() + mean.square()
    for _ in range(_ERASING_STEPS):
        moments, slopes = _erasing_moments(loc, scale, low, high)
        missing, missing_square = mean - moments[0], square - moments[1]
        (mean_loc, mean_scale), (square_loc, square_scale) = slopes
        area = (mean_loc * square_scale - mean_scale * square_loc).clamp(min=1e-8)
        step = (missing * square_scale - missing_square * mean_scale) / area
        wider = (missing_square * mean_loc - missing * square_loc) / area
        loc = loc + torch.clamp(step, -2 * scale, 2 * scale)
        scale = scale + torch.clamp(wider, -0.5 * scale, scale)
    return loc, scale


def _erasing_moments(
    loc: Tensor, scale: Tensor, low: Tensor, high: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    """Mean and mean square of a normal variable clamped to [low, high].

    Returns:
        The two moments, and of each of them the derivatives by loc and by scale.
    """
    a, b = (low - loc) / scale, (high - loc) / scale
    below, above = torch.special.ndtr(a), torch.special.ndtr(-b)
    inside = 1 - below - above
    # Integrals of z and z^2 over the part that is not clamped.
    first = _erasing_density(a) - _erasing_density(b)
    second = inside + a * _erasing_density(a) - b * _erasing_density(b)
    mean_inside = loc * inside + scale * first
    product = loc * first + scale * second
    mean = below * low + above * high + mean_inside
    edges = below * low.square() + above * high.square()
    square = edges + loc * mean_inside + scale * product
    return (mean, square), ((inside, first), (2 * mean_inside, 2 * product))


def _erasing_density(z: Tensor) -> Tensor:
    density: Tensor = z.square().mul(-0.5).exp().div(math.sqrt(2 * math.pi))
    return density
