"""Networks: the classic digit network, a better one, and residual networks."""

import math
from functools import partial

from torch import Tensor, nn

from kaggle_kit.layers import ResidualBlock, conv_norm, make_activation

ImageSize = int | tuple[int, int]


def _models_size(image_size: ImageSize, smallest: int) -> tuple[int, int]:
    """Read an image size as (height, width) and refuse one that pools to nothing."""
    pair = (image_size, image_size) if isinstance(image_size, int) else image_size
    height, width = pair
    if min(height, width) < smallest:
        raise ValueError(
            f"image_size is {image_size}; this network needs at least "
            f"{smallest} x {smallest} pixels"
        )
    return height, width


class DigitNet(nn.Module):
    """The four-convolution network of many digit kernels.

    Convolutions of 32, 32, 64 and 64 channels (3x3, BatchNorm, ReLU), a 2x2 max-pool
    after each pair, and a 512-512-n classifier with dropout 0.5 before each linear
    layer. 1.9 million parameters and 20 million multiply-adds on a 28x28 image.

    Args:
        n_classes: number of outputs.
        image_size: side of the images, or (height, width); 4 or more.
        n_channels: channels of the images.
        dropout: share of the features dropped in training.
    """

    def __init__(
        self,
        n_classes: int = 10,
        image_size: ImageSize = 28,
        n_channels: int = 1,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        height, width = _models_size(image_size, 4)
        self.features = nn.Sequential(
            conv_norm(n_channels, 32),
            conv_norm(32, 32),
            nn.MaxPool2d(2),
            conv_norm(32, 64),
            conv_norm(64, 64),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(64 * (height // 4) * (width // 4), 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(512, 512),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(512, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x: (B, n_channels, H, W) normalised float to logits (B, n_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits


class DigitResNet(nn.Module):
    """A small residual network for digits and other small glyphs.

    A 5x5 convolution with its max-pool, then a residual block and a strided 3x3
    convolution at a half and at a quarter of the size; the last map is flattened, since
    where a stroke lies tells digits apart. 0.2 million parameters and 10 million
    multiply-adds on a 28x28 image, half of `DigitNet`'s.

    Args:
        n_classes: number of outputs.
        image_size: side of the images, or (height, width); 8 or more.
        n_channels: channels of the images.
        widths: channels at a half, a quarter and an eighth of the size.
        blocks: residual blocks at a half and at a quarter of the size.
        dropout: share of the features dropped before the classifier in training.
        activation: see `kaggle_kit.layers.make_activation`.
    """

    def __init__(
        self,
        n_classes: int = 10,
        image_size: ImageSize = 28,
        n_channels: int = 1,
        widths: tuple[int, int, int] = (32, 64, 128),
        blocks: tuple[int, int] = (1, 1),
        dropout: float = 0.2,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        height, width = _models_size(image_size, 8)
        first, second, third = widths
        make = partial(ResidualBlock, activation=activation)
        self.features = nn.Sequential(
            # Pooling before norm and activation saves three quarters of their work.
            nn.Conv2d(n_channels, first, 5, padding=2, bias=False),
            nn.MaxPool2d(2),
            nn.BatchNorm2d(first),
            make_activation(activation),
            *(make(first, first) for _ in range(blocks[0])),
            conv_norm(first, second, 3, 2, activation=activation),
            *(make(second, second) for _ in range(blocks[1])),
            conv_norm(second, third, 3, 2, activation=activation),
        )
        # The pool rounds the size down, the two strided convolutions round it up.
        cells = math.ceil(height // 2 / 4) * math.ceil(width // 2 / 4)
        self.classifier = nn.Sequential(
            nn.Flatten(), nn.Dropout(dropout), nn.Linear(third * cells, n_classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map x: (B, n_channels, H, W) normalised float to logits (B, n_classes)."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
