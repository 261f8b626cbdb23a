"""Predictions without a Learner: for kernels that only load weights and predict."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.augment import affine_matrix, warp_affine
from kaggle_kit.device import Placement
from kaggle_kit.loaders import check_in_order
from kaggle_kit.trees import TensorTree, join_tree, map_tree


def class_probabilities(outputs: TensorTree) -> TensorTree:
    """Softmax over the classes in float32; of each head for a tuple of outputs.

    Args:
        outputs: (B, C) or (B, C, ...) logits.

    Raises:
        ValueError: There are not two classes or more.
    """
    if isinstance(outputs, (tuple, list)):
        return tuple(class_probabilities(head) for head in outputs)
    if outputs.ndim < 2 or outputs.shape[1] < 2:
        raise ValueError(
            f"outputs of shape {tuple(outputs.shape)} are no logits of classes: pass "
            "activation=None for a regression, activation=torch.sigmoid for one logit"
        )
    return torch.softmax(outputs.float(), dim=1)


def get_preds(
    model: nn.Module,
    batches: Iterable[Any],
    device: torch.device,
    activation: Callable[[TensorTree], TensorTree] | None = class_probabilities,
) -> TensorTree:
    """Predictions for all batches, in order, on the CPU.

    Args:
        model: Put on the device and into evaluation mode.
        batches: x, `(x,)` or `(x, y)`; targets are passed over.
        device: From `choose_device`.
        activation: Applied to the outputs of each batch; None returns them as they are.

    Returns:
        (N, ...) float32, or a tuple of such for a model with several heads.

    Raises:
        ValueError: There are no batches, or they are shuffled.
    """
    return average_views(model, batches, device, [identity_view], activation)


def tta(
    model: nn.Module,
    batches: Iterable[Any],
    device: torch.device,
    views: Sequence[Callable[[Tensor], Tensor]],
    activation: Callable[[TensorTree], TensorTree] = class_probabilities,
) -> TensorTree:
    """Test-time augmentation: the mean prediction over views of each image.

    Args:
        model: Put on the device and into evaluation mode.
        batches: x, `(x,)` or `(x, y)`.
        device: From `choose_device`.
        views: Each called with x, (B, C, H, W), returns the same shape. The image as
            it is counts only if `views` has it: `identity_view`.
        activation: Applied before averaging: means of probabilities, not of logits.

    Returns:
        (N, ...) float32, or a tuple of such for a model with several heads.

    Raises:
        ValueError: There are no views or no batches, or these are shuffled.
    """
    if not views:
        raise ValueError("test-time augmentation needs at least one view")
    return average_views(model, batches, device, views, activation)


def identity_view(x: Tensor) -> Tensor:
    """The images as they are."""
    return x


def flip_view(x: Tensor) -> Tensor:
    """The images mirrored left to right."""
    return x.flip(-1)


def shift_view(rows: int, columns: int) -> Callable[[Tensor], Tensor]:
    """A view moved by whole pixels, the border pixels repeated.

    Args:
        rows: Down where positive.
        columns: To the right where positive.
    """

    def shifted(x: Tensor) -> Tensor:
        height, width = x.shape[-2:]
        ys = (torch.arange(height, device=x.device) - rows).clamp(0, height - 1)
        xs = (torch.arange(width, device=x.device) - columns).clamp(0, width - 1)
        return x[..., ys[:, None], xs]

    return shifted


def affine_view(
    rotate: float = 0.0, zoom: float = 1.0, shear: float = 0.0
) -> Callable[[Tensor], Tensor]:
    """A view turned, zoomed and sheared about its centre, the border repeated.

    Args:
        rotate: Degrees, counter-clockwise.
        zoom: Factor, above 0; 1.1 makes the content 10 % larger.
        shear: Degrees, between -90 and 90; positive leans the top to the right.

    Raises:
        ValueError: zoom or shear is out of its range.
    """
    if zoom <= 0 or not -90 < shear < 90:
        raise ValueError(
            f"zoom is {zoom} and shear {shear}: give a zoom above 0 (1.1 is 10 % "
            "larger) and a shear between -90 and 90 degrees"
        )
    settings = torch.tensor([rotate, zoom, zoom, shear, 0.0, 0.0])
    matrix = affine_matrix(*settings[:, None])  # (1, 2, 3)

    def warped(x: Tensor) -> Tensor:
        each = matrix.to(x.device).expand(len(x), 2, 3)
        return warp_affine(x, each, padding="border")

    return warped


def average_views(
    model: nn.Module,
    batches: Iterable[Any],
    device: torch.device,
    views: Sequence[Callable[[Tensor], Tensor]],
    activation: Callable[[TensorTree], TensorTree] | None,
) -> TensorTree:
    """Mean over the views of the model's (activated) outputs."""
    check_in_order(batches)
    placement = Placement(device)
    placement.place_model(model).eval()
    parts: list[TensorTree] = []
    # Not inference_mode: its tensors could not be targets of a later training.
    with torch.no_grad():
        for batch in batches:
            x = batch[0] if isinstance(batch, (tuple, list)) else batch
            x = placement.place_inputs(model, x)
            outputs = [_activated(model(view(x)), activation) for view in views]
            parts.append(map_tree(_as_result, mean_outputs(outputs)))
    if not parts:
        raise ValueError("there were no batches to predict")
    return join_tree(parts)


def mean_outputs(outputs: Sequence[TensorTree]) -> TensorTree:
    """Mean over models, folds or views; of each head for tuples.

    Args:
        outputs: Each (N, ...) or a tuple of such.
    """
    if isinstance(outputs[0], (tuple, list)):
        return tuple(mean_outputs(heads) for heads in zip(*outputs, strict=True))
    if len(outputs) == 1:
        single: Tensor = outputs[0]
        return single
    return torch.stack([output.float() for output in outputs]).mean(0)


def _as_result(outputs: Tensor) -> Tensor:
    return outputs.float().cpu()


def _activated(
    outputs: TensorTree, activation: Callable[[TensorTree], TensorTree] | None
) -> TensorTree:
    return outputs if activation is None else activation(outputs)
