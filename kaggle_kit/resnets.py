"""A family of residual networks, from miniai's to xresnet50."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from kaggle_kit.initialise import PatchWhitening, init_weights
from kaggle_kit.layers import (
    AdaptiveConcatPool2d,
    GeM,
    ResidualBlock,
    conv_norm,
    make_activation,
)

RESNET_STEMS = ("conv", "deep", "whiten", "none")
RESNET_POOLS = ("average", "concat", "gem")


class ResNet(nn.Module):
    """Residual network with a width and a number of blocks for every stage.

    Stems: "conv" is one 3x3 convolution at full size, for small images; "deep" is that
    of xresnet (three 3x3 convolutions, the first strided, and a max-pool; arXiv
    1812.01187), which divides the size by 4; "whiten" is a frozen `PatchWhitening`
    followed by a 1x1 convolution, at full size (call `model.stem[0].fit(images)`); with
    "none" the first block sees the image itself.

    Args:
        n_classes: number of outputs.
        n_channels: channels of the images.
        widths: channels of every stage (in the bottleneck form before the factor 4).
        blocks: residual blocks of every stage.
        strides: of every stage; by default 1 and then 2s.
        stem: "conv", "deep", "whiten" or "none".
        stem_widths: of the stem's convolutions; "conv" and "whiten" use the last.
        activation: see `make_activation`; also decides the starting weights.
        bottleneck: blocks of 1x1, 3x3, 1x1 with four times the width at their end.
        zero_init: start every residual branch at zero.
        avg_pool_shortcut: see `ResidualBlock`.
        pool: "average", "concat" (average and maximum) or "gem" before the classifier.
        dropout: share of the pooled features dropped in training.
        norm_logits: BatchNorm on the logits in place of the bias (miniai).
    """

    def __init__(
        self,
        n_classes: int,
        n_channels: int = 3,
        *,
        widths: Sequence[int] = (64, 128, 256, 512),
        blocks: Sequence[int] = (2, 2, 2, 2),
        strides: Sequence[int] | None = None,
        stem: str = "conv",
        stem_widths: Sequence[int] = (32, 32, 64),
        activation: str = "relu",
        bottleneck: bool = False,
        zero_init: bool = False,
        avg_pool_shortcut: bool = True,
        pool: str = "average",
        dropout: float = 0.0,
        norm_logits: bool = False,
    ) -> None:
        super().__init__()
        strides = strides or (1, *(2 for _ in widths[1:]))
        _resnet_check(widths, blocks, strides, stem, pool)
        self.stem = _resnet_stem(stem, n_channels, stem_widths, activation)
        stages, n_in = [], n_channels if stem == "none" else stem_widths[-1]
        for width, n_blocks, stride in zip(widths, blocks, strides, strict=True):
            n_out = 4 * width if bottleneck else width
            stage = nn.Sequential()
            for i in range(n_blocks):
                block = ResidualBlock(
                    n_in if i == 0 else n_out,
                    n_out,
                    stride if i == 0 else 1,
                    activation=activation,
                    zero_init=zero_init,
                    bottleneck=bottleneck,
                    avg_pool_shortcut=avg_pool_shortcut,
                )
                stage.append(block)
            stages.append(stage)
            n_in = n_out
        self.stages = nn.Sequential(*stages)
        self.head = _resnet_head(n_in, n_classes, pool, dropout, norm_logits)
        init_weights(self, activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map x: (B, n_channels, H, W) normalised float to logits (B, n_classes)."""
        logits: Tensor = self.head(self.stages(self.stem(x)))
        return logits


def _resnet_check(
    widths: Sequence[int],
    blocks: Sequence[int],
    strides: Sequence[int],
    stem: str,
    pool: str,
) -> None:
    if not len(widths) == len(blocks) == len(strides) > 0:
        raise ValueError(
            f"{len(widths)} widths, {len(blocks)} numbers of blocks and {len(strides)} "
            "strides; give one of each per stage"
        )
    if min(blocks) < 1:
        raise ValueError(f"blocks are {tuple(blocks)}; every stage needs at least one")
    if stem not in RESNET_STEMS:
        raise ValueError(f"stem is {stem!r}; choose one of {', '.join(RESNET_STEMS)}")
    if pool not in RESNET_POOLS:
        raise ValueError(f"pool is {pool!r}; choose one of {', '.join(RESNET_POOLS)}")


def _resnet_stem(
    stem: str, n_channels: int, widths: Sequence[int], activation: str
) -> nn.Sequential:
    if stem == "none":
        return nn.Sequential()
    if stem == "conv":
        return conv_norm(n_channels, widths[-1], activation=activation)
    if stem == "whiten":
        whitening = PatchWhitening(n_channels)
        return nn.Sequential(
            whitening,
            make_activation(activation),
            conv_norm(whitening.n_out, widths[-1], 1, activation=activation),
        )
    layers, n_in = nn.Sequential(), n_channels
    for i, width in enumerate(widths):
        stride = 2 if i == 0 else 1
        layers.append(conv_norm(n_in, width, 3, stride, activation=activation))
        n_in = width
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    return layers


def _resnet_head(
    n_in: int, n_classes: int, pool: str, dropout: float, norm_logits: bool
) -> nn.Sequential:
    pools: dict[str, Callable[[], nn.Module]] = {
        "average": lambda: nn.AdaptiveAvgPool2d(1),
        "concat": AdaptiveConcatPool2d,
        "gem": GeM,
    }
    features = 2 * n_in if pool == "concat" else n_in
    head = nn.Sequential(pools[pool](), nn.Flatten())
    if dropout:
        head.append(nn.Dropout(dropout))
    head.append(nn.Linear(features, n_classes, bias=not norm_logits))
    if norm_logits:
        head.append(nn.BatchNorm1d(n_classes))
    return head


def mini_resnet(
    n_classes: int = 10,
    n_channels: int = 1,
    widths: Sequence[int] = (16, 32, 64, 128, 256, 512),
    dropout: float = 0.0,
) -> ResNet:
    """Make the small-image network of the fast.ai course (22p2, notebook 13).

    One block per stage, no stem, leaky ReLU minus 0.4, BatchNorm on the logits. The
    course reports 93.4 % on Fashion-MNIST after 5 epochs for these widths.
    """
    return ResNet(
        n_classes,
        n_channels,
        widths=widths,
        blocks=[1] * len(widths),
        stem="none",
        activation="general_relu",
        dropout=dropout,
        norm_logits=True,
    )


def small_resnet(
    n_classes: int,
    n_channels: int = 1,
    widths: Sequence[int] = (32, 64, 128, 256),
    blocks: Sequence[int] = (1, 1, 1, 1),
) -> ResNet:
    """Make a network for images of 48 to 96 pixels that a CPU trains in an hour.

    A thin convolution at full size, then stages that each halve it: 1.2 million
    parameters, some 250 images of 64 x 64 pixels a second and core in training.
    """
    return ResNet(
        n_classes,
        n_channels,
        widths=widths,
        blocks=blocks,
        strides=[2] * len(widths),
        stem_widths=(widths[0] // 2,),
    )


def xresnet18(n_classes: int, n_channels: int = 3, activation: str = "relu") -> ResNet:
    """Make xresnet18: two basic blocks per stage, 11 million parameters."""
    return _resnet_deep(n_classes, n_channels, (2, 2, 2, 2), False, activation)


def xresnet34(n_classes: int, n_channels: int = 3, activation: str = "relu") -> ResNet:
    """Make xresnet34: basic blocks, 21 million parameters."""
    return _resnet_deep(n_classes, n_channels, (3, 4, 6, 3), False, activation)


def xresnet50(n_classes: int, n_channels: int = 3, activation: str = "relu") -> ResNet:
    """Make xresnet50: bottleneck blocks, 24 million parameters."""
    return _resnet_deep(n_classes, n_channels, (3, 4, 6, 3), True, activation)


def _resnet_deep(
    n_classes: int,
    n_channels: int,
    blocks: tuple[int, ...],
    bottleneck: bool,
    activation: str,
) -> ResNet:
    return ResNet(
        n_classes,
        n_channels,
        blocks=blocks,
        stem="deep",
        activation=activation,
        bottleneck=bottleneck,
        zero_init=True,
    )
