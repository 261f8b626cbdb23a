"""Augmentation of whole batches on their device, every image with its own draw.

A transform is any callable `(x, generator) -> x` on x: (B, C, H, W) float in [0, 1],
before normalisation. All randomness comes from the generator, so the same generator
state gives the same batch. A transform never writes into its input. Random erasing and
copying are in `kaggle_kit.erasing`, perspective and resized crops in
`kaggle_kit.warps`, MixUp and CutMix in `kaggle_kit.mixing`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

BatchAugment = Callable[[Tensor, torch.Generator], Tensor]

_AUGMENT_PADDING = {"constant": "zeros", "border": "border", "reflect": "reflection"}


def move_draws(draws: Tensor, like: Tensor) -> Tensor:
    """Bring draws to the device of `like`; a GPU is not waited for."""
    # A plain copy from the CPU waits until the GPU has done all it was given before.
    return draws.to(like.device, non_blocking=like.is_cuda)


def draw_uniform(
    n: int, low: float, high: float, generator: torch.Generator, like: Tensor
) -> Tensor:
    """Draw n numbers uniformly from [low, high), float32 on the device of `like`."""
    draw = torch.rand(n, generator=generator, device=generator.device)
    return move_draws(draw.mul_(high - low).add_(low), like)


def draw_chosen(n: int, p: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """Choose each of n images with probability p: (n,) bool on the device of `like`."""
    return draw_uniform(n, 0.0, 1.0, generator, like) < p


def check_probability(name: str, p: float) -> None:
    """Refuse what is no probability."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is {p}; give a probability in 0..1")


@dataclass(frozen=True)
class Compose:
    """Apply transforms one after the other, all drawing from the one generator."""

    transforms: tuple[BatchAugment, ...]

    def __init__(self, *transforms: BatchAugment) -> None:
        object.__setattr__(self, "transforms", transforms)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Transform x: (B, C, H, W) float in [0, 1]."""
        for transform in self.transforms:
            x = transform(x, generator)
        return x


def affine_matrix(
    angle: Tensor,
    zoom_x: Tensor,
    zoom_y: Tensor,
    shear: Tensor,
    shift_x: Tensor,
    shift_y: Tensor,
) -> Tensor:
    """Build the map from output pixels back to input pixels, one per image.

    The image is zoomed, sheared, rotated and then shifted about its centre; what is
    returned is the inverse of that map, which is what sampling needs.

    Args:
        angle: (B,) degrees, counter-clockwise as seen on the screen.
        zoom_x: (B,) factor along the width; 1.1 makes the content 10 % larger.
        zoom_y: (B,) factor along the height.
        shear: (B,) degrees; positive leans the top of the image to the right.
        shift_x: (B,) pixels to the right.
        shift_y: (B,) pixels down.

    Returns:
        (B, 2, 3) float32: (x, y) of the source of an output pixel (x, y), both in
        pixels from the image centre, x to the right and y down.
    """
    cos, sin = torch.cos(torch.deg2rad(angle)), torch.sin(torch.deg2rad(angle))
    lean = torch.tan(torch.deg2rad(shear))
    # With y pointing down the inverse rotation is (cos x - sin y, sin x + cos y); then
    # come the inverse shear x + lean y and the inverse zoom.
    xx, xy = (cos + lean * sin) / zoom_x, (-sin + lean * cos) / zoom_x
    yx, yy = sin / zoom_y, cos / zoom_y
    x0, y0 = -(xx * shift_x + xy * shift_y), -(yx * shift_x + yy * shift_y)
    return torch.stack((xx, xy, x0, yx, yy, y0), dim=1).view(-1, 2, 3)


def warp_affine(
    x: Tensor, matrix: Tensor, fill: float = 0.0, padding: str = "constant"
) -> Tensor:
    """Sample every image bilinearly through its own affine map, in one pass.

    Args:
        x: (B, C, H, W) float.
        matrix: (B, 2, 3) as `affine_matrix` makes it.
        fill: value outside the image when padding is "constant".
        padding: "constant", "border" or "reflect".

    Returns:
        (B, C, H, W) of the same dtype.
    """
    height, width = x.shape[-2:]
    columns = torch.arange(width, device=x.device) - (width - 1) / 2
    rows = torch.arange(height, device=x.device) - (height - 1) / 2
    # grid_sample counts in half sides: p pixels from the centre are 2 p / side.
    scaled = torch.stack((matrix[:, 0] * (2 / width), matrix[:, 1] * (2 / height)), 1)
    # One broadcast per axis; F.affine_grid does the same six times slower on a CPU.
    grid = torch.addcmul(
        scaled[:, None, None, :, 2],
        columns[None, None, :, None],
        scaled[:, None, None, :, 0],
    )  # (B, 1, W, 2)
    grid = torch.addcmul(
        grid, rows[None, :, None, None], scaled[:, None, None, :, 1]
    )  # (B, H, W, 2)
    return sample_grid(x, grid, fill, padding)


def _augment_padding(padding: str) -> str:
    """Check a padding and give its name in grid_sample."""
    if padding not in _AUGMENT_PADDING:
        known = ", ".join(_AUGMENT_PADDING)
        raise ValueError(f"padding is {padding!r}; choose one of {known}")
    return _AUGMENT_PADDING[padding]


def sample_grid(x: Tensor, grid: Tensor, fill: float, padding: str) -> Tensor:
    """Sample x bilinearly at positions of its own for every image.

    Args:
        x: (B, C, H, W) float.
        grid: (B, h, w, 2) of (x, y), from -1 to 1 between the image's outer edges.
        fill: value outside the image when padding is "constant".
        padding: "constant", "border" or "reflect".

    Returns:
        (B, C, h, w) of the same dtype.
    """
    mode = _augment_padding(padding)
    shifted = x - fill if padding == "constant" and fill else x
    warped = F.grid_sample(
        shifted,
        grid.to(x.dtype),
        mode="bilinear",
        padding_mode=mode,
        align_corners=False,
    )
    return warped + fill if padding == "constant" and fill else warped


@dataclass(frozen=True)
class RandomAffine:
    """Rotate, shift, zoom and shear each image by its own draw, in one warp.

    Attributes:
        rotate: largest angle in degrees; the draw is uniform in [-rotate, rotate].
        translate: largest shift as a fraction of the side, separately for x and y.
        zoom: the factor is drawn from [1 - zoom, 1 + zoom], the same for x and y.
        stretch: a further factor from [1 - stretch, 1 + stretch] for x and y apart.
        shear: largest shear in degrees.
        p: probability that an image is warped at all.
        fill: value outside the image when padding is "constant" (0 is black).
        padding: "constant", "border" or "reflect".
    """

    rotate: float = 0.0
    translate: float = 0.0
    zoom: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0
    p: float = 1.0
    fill: float = 0.0
    padding: str = "constant"

    def __post_init__(self) -> None:
        check_probability("RandomAffine", self.p)
        for name in ("zoom", "stretch"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(
                    f"RandomAffine: {name} is {getattr(self, name)}; give a fraction "
                    "from 0 to below 1 (0.1 means 90 % to 110 %)"
                )
        if not 0 <= self.shear < 90:
            raise ValueError(f"RandomAffine: shear is {self.shear} degrees, not 0..90")

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Warp x: (B, C, H, W) float in [0, 1]."""
        return warp_affine(x, self.draw(x, generator), self.fill, self.padding)

    def draw(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Draw one map per image of x: (B, 2, 3), see `affine_matrix`."""
        n, height, width = x.shape[0], x.shape[-2], x.shape[-1]
        draws = draw_uniform(7 * n, -1.0, 1.0, generator, x).view(7, n)
        # Images that p leaves out get the identity, so that the batch stays whole.
        chosen = draw_chosen(n, self.p, generator, x) if self.p < 1 else None
        angle, zoom, stretch_x, stretch_y, shear, shift_x, shift_y = (
            draws if chosen is None else draws * chosen
        )
        return affine_matrix(
            angle * self.rotate,
            (1 + zoom * self.zoom) * (1 + stretch_x * self.stretch),
            (1 + zoom * self.zoom) * (1 + stretch_y * self.stretch),
            shear * self.shear,
            shift_x * (self.translate * width),
            shift_y * (self.translate * height),
        )


@dataclass(frozen=True)
class RandomCrop:
    """Shift each image by whole pixels: pad on all sides and crop at random.

    Attributes:
        pad: largest shift in pixels, in each direction.
        fill: value of the padding when it is "constant".
        padding: "constant", "border" or "reflect".
    """

    pad: int = 1
    fill: float = 0.0
    padding: str = "constant"

    def __post_init__(self) -> None:
        if self.pad < 0:
            raise ValueError(f"RandomCrop: pad is {self.pad}; give 0 or more pixels")
        _augment_padding(self.padding)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Shift x: (B, C, H, W) float."""
        if not self.pad:
            return x
        (n, _, height, width), pad = x.shape, self.pad
        mode = {"border": "replicate"}.get(self.padding, self.padding)
        value = self.fill if mode == "constant" else None
        padded = F.pad(x, (pad, pad, pad, pad), mode=mode, value=value)
        # A view of all crops, (B, C, 2 pad + 1, 2 pad + 1, H, W), of which each image
        # takes one: exact, and no index per pixel.
        crops = padded.unfold(2, height, 1).unfold(3, width, 1)
        device, count = generator.device, 2 * pad + 1
        at = torch.randint(count, (2, n), generator=generator, device=device)
        at = move_draws(at, x)
        return crops[torch.arange(n, device=x.device), :, at[0], at[1]]


@dataclass(frozen=True)
class HorizontalFlip:
    """Mirror each image left to right with probability p (not for digits)."""

    p: float = 0.5

    def __post_init__(self) -> None:
        check_probability("HorizontalFlip", self.p)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Flip x: (B, C, H, W)."""
        chosen = draw_chosen(len(x), self.p, generator, x)
        return torch.where(chosen[:, None, None, None], x.flip(3), x)


@dataclass(frozen=True)
class BrightnessContrast:
    """Change brightness and contrast of each image, keeping it in [0, 1].

    Attributes:
        brightness: largest value added or taken off.
        contrast: the distance from the image's mean is multiplied by a factor from
            [1 - contrast, 1 + contrast].
        p: probability that an image is changed at all.
    """

    brightness: float = 0.2
    contrast: float = 0.2
    p: float = 1.0

    def __post_init__(self) -> None:
        check_probability("BrightnessContrast", self.p)

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Change x: (B, C, H, W) float in [0, 1]."""
        n = len(x)
        chosen = draw_chosen(n, self.p, generator, x)
        draws = draw_uniform(2 * n, -1.0, 1.0, generator, x).view(2, n) * chosen
        shift, factor = draws[:, :, None, None, None]
        mean = x.mean(dim=(1, 2, 3), keepdim=True)
        # Written as a change of x, so that images left alone stay bit for bit.
        change = (x - mean) * (factor * self.contrast) + shift * self.brightness
        return torch.clamp(x + change, 0.0, 1.0)
