"""Losses that torch lacks: for mixed targets and for several heads.

For one head and plain targets use `nn.CrossEntropyLoss(label_smoothing=...)`.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

HeadOutputs = Tensor | Sequence[Tensor]


class MixedTargets(NamedTuple):
    """Targets of images that are mixed of two: what MixUp and CutMix make.

    Attributes:
        first: (B,) or (B, heads) targets of the first image.
        second: likewise of the second one.
        weight: (B,) float in [0, 1], share of the first image.
    """

    first: Tensor
    second: Tensor
    weight: Tensor


class MultiHeadLoss(nn.Module):
    """Weighted sum of the cross-entropies of several heads.

    Args:
        sizes: classes of each head, to split outputs that come as one tensor.
        weights: one per head (Bengali.AI starters: 0.7, 0.1, 0.2).
        label_smoothing: as in `nn.CrossEntropyLoss`.
        reduction: "mean" over the images, "sum", or "none" for (B,).
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float] | None = None,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.weights = tuple(weights) if weights is not None else (1.0,) * len(sizes)
        if len(self.weights) != len(self.sizes):
            raise ValueError(f"{len(self.sizes)} heads but {len(self.weights)} weights")
        self.loss = nn.CrossEntropyLoss(
            reduction="none", label_smoothing=label_smoothing
        )
        self.reduction = _losses_reduction(reduction)

    def forward(self, preds: HeadOutputs, targets: Tensor) -> Tensor:
        """Compute the loss.

        Args:
            preds: logits, (B, sum of sizes) or one (B, size) per head.
            targets: (B, heads) int64.
        """
        heads = split_heads(preds, self.sizes)
        if targets.ndim != 2 or targets.shape[1] != len(heads):
            raise ValueError(
                f"{len(heads)} heads, but targets have shape {tuple(targets.shape)}; "
                f"give (B, {len(heads)})"
            )
        losses = [
            weight * self.loss(head, targets[:, i])
            for i, (head, weight) in enumerate(zip(heads, self.weights, strict=True))
        ]
        return _losses_reduce(torch.stack(losses).sum(dim=0), self.reduction)


class MixedTargetLoss(nn.Module):
    """Loss for plain targets and for `MixedTargets` alike.

    The loss of a mixed image is that towards each of its two targets, weighted by their
    shares (arXiv 1710.09412); validation batches have plain targets and go straight
    through.

    Args:
        loss: made with reduction="none", giving (B,); `nn.CrossEntropyLoss` or
            `MultiHeadLoss`, label smoothing included.
        reduction: "mean" over the images, "sum" or "none".
    """

    def __init__(self, loss: nn.Module, reduction: str = "mean") -> None:
        super().__init__()
        if getattr(loss, "reduction", "none") != "none":
            raise ValueError(
                f"{type(loss).__name__} reduces over the batch, but every image has "
                'its own share: make it with reduction="none"'
            )
        self.loss = loss
        self.reduction = _losses_reduction(reduction)

    def forward(self, preds: HeadOutputs, targets: Tensor | MixedTargets) -> Tensor:
        """Compute the loss of logits, one tensor or one per head."""
        if not isinstance(targets, MixedTargets):
            return _losses_reduce(self.loss(preds, targets), self.reduction)
        first = self.loss(preds, targets.first)
        second = self.loss(preds, targets.second)
        # lerp in this direction is exact for images that were left unmixed (weight 1).
        return _losses_reduce(torch.lerp(second, first, targets.weight), self.reduction)


def split_heads(preds: HeadOutputs, sizes: Sequence[int]) -> tuple[Tensor, ...]:
    """Split outputs (B, sum of sizes) into one (B, size) per head.

    Outputs that are separate already are checked and passed through.

    >>> [head.tolist() for head in split_heads(torch.tensor([[1, 2, 3]]), (2, 1))]
    [[[1, 2]], [[3]]]
    """
    if isinstance(preds, Tensor):
        if preds.shape[-1] != sum(sizes):
            raise ValueError(
                f"outputs have {preds.shape[-1]} columns, but heads of "
                f"{', '.join(map(str, sizes))} need {sum(sizes)}"
            )
        return torch.split(preds, list(sizes), dim=-1)
    widths = [head.shape[-1] for head in preds]
    if widths != list(sizes):
        raise ValueError(f"heads have {widths} outputs; expected {list(sizes)}")
    return tuple(preds)


def _losses_reduction(reduction: str) -> str:
    if reduction not in ("mean", "sum", "none"):
        raise ValueError(f"reduction is {reduction!r}; choose mean, sum or none")
    return reduction


def _losses_reduce(losses: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()
