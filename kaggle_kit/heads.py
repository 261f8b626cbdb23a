"""One body, several classifiers: networks that predict several labels at once."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.backbones import make_backbone
from kaggle_kit.layers import AdaptiveConcatPool2d, make_activation
from kaggle_kit.losses import split_heads

_HEADS_NAMES = ("fc", "classifier", "head", "heads")


class MultiHeadNet(nn.Module):
    """A convolutional body with one classifier per label.

    Every head pools average and maximum, and has a hidden layer with BatchNorm and
    dropout on both sides (the Bengali.AI starter's; Mish only in the heads). The logits
    of all heads come side by side in one tensor, which `split_heads`, `MultiHeadLoss`
    and `MultiHeadRecall` take apart again.

    Args:
        body: maps (B, C, H, W) to features (B, n_features, h, w).
        n_features: channels of the features; `count_features` measures them.
        sizes: classes of each head.
        hidden: width of the hidden layer.
        dropout: share dropped before each of the two linear layers.
        activation: see `make_activation`.
    """

    def __init__(
        self,
        body: nn.Module,
        n_features: int,
        sizes: Sequence[int],
        hidden: int = 512,
        dropout: float = 0.5,
        activation: str = "mish",
    ) -> None:
        super().__init__()
        if not sizes or min(sizes) < 1:
            raise ValueError(f"sizes are {tuple(sizes)}; give the classes of each head")
        self.body = body
        self.sizes = tuple(sizes)
        self.heads = nn.ModuleList(
            nn.Sequential(
                AdaptiveConcatPool2d(),
                make_activation(activation),
                nn.Flatten(),
                nn.BatchNorm1d(2 * n_features),
                nn.Dropout(dropout),
                nn.Linear(2 * n_features, hidden),
                make_activation(activation),
                nn.BatchNorm1d(hidden),
                nn.Dropout(dropout),
                nn.Linear(hidden, size),
            )
            for size in self.sizes
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x: (B, C, H, W) to the logits of all heads, (B, sum of sizes)."""
        features = self.body(x)
        return torch.cat([head(features) for head in self.heads], dim=1)


def make_multi_head(
    name: str,
    sizes: Sequence[int],
    n_channels: int = 1,
    *,
    weights: str | Path | None = None,
    source: str = "auto",
    hidden: int = 512,
    dropout: float = 0.5,
    **options: Any,  # noqa: ANN401 - whatever the library's constructor takes
) -> MultiHeadNet:
    """Make a several-headed network on a body of the kit, torchvision or timm.

    Args:
        name: of the network, as for `make_backbone`.
        sizes: classes of each head.
        n_channels: channels of the images.
        weights: state_dict for the body, see `find_weight_file`; random without.
        source: see `make_backbone`.
        hidden: width of the heads' hidden layer.
        dropout: in the heads.
        **options: passed to the library.

    Raises:
        ValueError: see `make_backbone`; or the network has no feature map.
        FileNotFoundError: there is no such weight file.
    """
    # A network that is stripped of its classifier need not tell that it is new.
    model = make_backbone(
        name,
        1,
        n_channels,
        source=source,
        weights=weights,
        log=lambda line: None,
        **options,
    )
    body = feature_body(model)
    n_features = count_features(body, n_channels)
    return MultiHeadNet(body, n_features, sizes, hidden, dropout)


class FeatureBody(nn.Module):
    """The part of a timm network before its pooling."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        # The classifier must not stay behind as parameters without gradients.
        model.reset_classifier(0)  # type: ignore[operator]
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, n_features, h, w)."""
        features: Tensor = self.model.forward_features(x)  # type: ignore[operator]
        return features


def feature_body(model: nn.Module) -> nn.Module:
    """Take the convolutional part of a network from `make_backbone`.

    DenseNets end with their last norm, without the ReLU that torchvision calls after
    it, as the Bengali.AI starters have it.
    """
    if hasattr(model, "forward_features"):
        return FeatureBody(model)
    features = getattr(model, "features", None)
    if isinstance(features, nn.Module):
        return features
    body = nn.Sequential()
    for name, child in model.named_children():
        if isinstance(child, (nn.AdaptiveAvgPool2d, nn.Linear)) or name in _HEADS_NAMES:
            break
        body.add_module(name, child)
    return body


def count_features(body: nn.Module, n_channels: int) -> int:
    """Count the channels of the features by trying two small black images.

    Raises:
        ValueError: the body gives no (B, n_features, h, w), as vision transformers.
    """
    modes = [(module, module.training) for module in body.modules()]
    body.eval()
    try:
        with torch.no_grad():
            square, wide = (
                body(torch.zeros(1, n_channels, 96, width)).shape for width in (96, 192)
            )
    except (AssertionError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"the body cannot be run on a small image ({error}); choose a "
            "convolutional network"
        ) from error
    finally:
        for module, mode in modes:
            module.training = mode
    # Only in (B, C, h, w) does a wider image change the last size alone.
    if len(square) != 4 or square[:3] != wide[:3] or square[3] == wide[3]:
        raise ValueError(
            f"the body gives features of shape {tuple(square)}, not (B, C, h, w); "
            "choose a convolutional network"
        )
    return int(square[1])


def head_probabilities(
    sizes: Sequence[int],
) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """An activation for `get_preds`: a softmax over the classes of each head.

    >>> half = head_probabilities((2, 1))(torch.zeros(1, 3))
    >>> [head.tolist() for head in half]
    [[[0.5, 0.5]], [[1.0]]]

    Args:
        sizes: classes of each head, in the order of the logits.

    Returns:
        A function from logits (B, sum of sizes) to one (B, size) float32 per head.
    """

    def activate(logits: Tensor) -> tuple[Tensor, ...]:
        heads = split_heads(logits, sizes)
        return tuple(torch.softmax(head.float(), dim=1) for head in heads)

    return activate


def body_and_heads(
    weight_decays: Sequence[float] = (0.0, 0.0),
) -> Callable[[nn.Module], list[dict[str, Any]]]:
    """A splitter: the body's parameters first, then those of the heads.

    With it `lr=slice(2e-3, 1e-2)` trains the body, which may be pretrained, with the
    smaller rate.

    Args:
        weight_decays: of the body and of the heads.
    """
    body_decay, heads_decay = weight_decays

    def split(model: nn.Module) -> list[dict[str, Any]]:
        if not isinstance(model, MultiHeadNet):
            raise TypeError(
                f"body_and_heads splits a MultiHeadNet, not a {type(model).__name__}"
            )
        return [
            {"params": list(model.body.parameters()), "weight_decay": body_decay},
            {"params": list(model.heads.parameters()), "weight_decay": heads_decay},
        ]

    return split
