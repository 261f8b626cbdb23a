"""MixUp and CutMix of batches, every image with its own partner and share.

Called as `mix(x, y)` they fit `BatchTransform`; they give `MixedTargets`, which
`kaggle_kit.losses.MixedTargetLoss` understands. Without a generator they draw from
torch's global one, which checkpoints keep.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from kaggle_kit.augment import check_probability, move_draws
from kaggle_kit.losses import MixedTargets


@dataclass(frozen=True)
class MixUp:
    """Blend each image with another one of the batch (arXiv 1710.09412).

    Attributes:
        alpha: of the Beta(alpha, alpha) distribution of the share; small values leave
            most images almost alone, 1 is uniform.
        p: probability that an image is mixed at all.
        dominant: take the larger of the two shares for the image itself.
    """

    alpha: float = 0.4
    p: float = 1.0
    dominant: bool = True

    def __post_init__(self) -> None:
        _mixing_check("MixUp", self.alpha, self.p)

    def __call__(
        self, x: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, MixedTargets]:
        """Mix x: (B, C, H, W) and its targets y: (B,) or (B, heads)."""
        partner, weight = _mixing_draw(len(x), self.alpha, self.p, generator, x)
        if self.dominant:
            weight = torch.maximum(weight, 1 - weight)
        shares = weight.view(-1, *[1] * (x.ndim - 1)).to(x.dtype)
        return torch.lerp(x[partner], x, shares), MixedTargets(y, y[partner], weight)


@dataclass(frozen=True)
class CutMix:
    """Paste a rectangle of another image into each image (arXiv 1905.04899).

    The share of the targets is the share of pixels that were really kept.

    Attributes:
        alpha: of the Beta(alpha, alpha) distribution of the share kept.
        p: probability that an image is mixed at all.
    """

    alpha: float = 1.0
    p: float = 1.0

    def __post_init__(self) -> None:
        _mixing_check("CutMix", self.alpha, self.p)

    def __call__(
        self, x: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, MixedTargets]:
        """Mix x: (B, C, H, W) and its targets y: (B,) or (B, heads)."""
        (n, _, height, width) = x.shape
        partner, weight = _mixing_draw(n, self.alpha, self.p, generator, x)
        device = x.device if generator is None else generator.device
        at = move_draws(torch.rand(2, n, generator=generator, device=device), x)
        side = (1 - weight).sqrt()
        rows = _mixing_span(at[0] * height, side * height, height)  # (B, H)
        columns = _mixing_span(at[1] * width, side * width, width)  # (B, W)
        pasted = rows[:, :, None] & columns[:, None, :]
        mixed = torch.where(pasted[:, None], x[partner], x)
        kept = 1 - pasted.flatten(1).float().mean(dim=1)
        return mixed, MixedTargets(y, y[partner], kept)


@dataclass(frozen=True)
class MixEither:
    """Mix each image in one of two ways, the first with probability p.

    Attributes:
        first: for example `MixUp()`.
        second: for example `CutMix()`.
        p: probability of the first.
    """

    first: MixUp | CutMix
    second: MixUp | CutMix
    p: float = 0.5

    def __call__(
        self, x: Tensor, y: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, MixedTargets]:
        """Mix x: (B, C, H, W) and its targets y: (B,) or (B, heads)."""
        one, one_targets = self.first(x, y, generator)
        two, two_targets = self.second(x, y, generator)
        device = x.device if generator is None else generator.device
        chosen = torch.rand(len(x), generator=generator, device=device) < self.p
        chosen = move_draws(chosen, x)
        by_target = chosen.view(-1, *[1] * (y.ndim - 1))
        targets = MixedTargets(
            y,
            torch.where(by_target, one_targets.second, two_targets.second),
            torch.where(chosen, one_targets.weight, two_targets.weight),
        )
        return torch.where(chosen[:, None, None, None], one, two), targets


def _mixing_check(name: str, alpha: float, p: float) -> None:
    if alpha <= 0:
        raise ValueError(f"{name}: alpha is {alpha}; give a number above 0")
    check_probability(name, p)


def _mixing_draw(
    n: int, alpha: float, p: float, generator: torch.Generator | None, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw partners (B,) int64 and the shares kept (B,) float32, 1 for unmixed."""
    device = torch.device("cpu") if generator is None else generator.device
    partner = torch.randperm(n, generator=generator, device=device)
    # torch draws no Beta from a generator of one's own; numpy does, from a seed of it.
    seed = torch.randint(2**62, (1,), generator=generator, device=device)
    numbers = np.random.default_rng(int(seed))
    weight = numbers.beta(alpha, alpha, n)
    weight[numbers.random(n) >= p] = 1.0
    shares = torch.from_numpy(weight.astype(np.float32))
    return move_draws(partner, like), move_draws(shares, like)


def _mixing_span(centre: Tensor, length: Tensor, size: int) -> Tensor:
    """Mark the pixels of (B,) intervals cut off at the image: (B, size) bool."""
    start = (centre - length / 2).round().clamp(0, size)
    end = (centre + length / 2).round().clamp(0, size)
    at = torch.arange(size, device=centre.device)
    return (at >= start[:, None]) & (at < end[:, None])
