"""Layers that torch lacks, and the blocks the models are made of."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class GeneralReLU(nn.Module):
    """Leaky ReLU that is shifted down and may be cut off above.

    The shift brings the mean of the activations back to about zero, which plain ReLU
    raises in every layer (fastai, "Deep Learning from the Foundations").

    Args:
        leak: slope below zero; 0 is plain ReLU.
        sub: subtracted from the result.
        maximum: largest value given out, None for no limit.
    """

    def __init__(
        self, leak: float = 0.1, sub: float = 0.4, maximum: float | None = None
    ) -> None:
        super().__init__()
        self.leak, self.sub, self.maximum = leak, sub, maximum

    def forward(self, x: Tensor) -> Tensor:
        """Apply elementwise; any shape."""
        x = F.leaky_relu(x, self.leak) if self.leak else F.relu(x)
        x = x - self.sub
        return x if self.maximum is None else x.clamp(max=self.maximum)

    def extra_repr(self) -> str:
        """Show the settings in print(model)."""
        return f"leak={self.leak}, sub={self.sub}, maximum={self.maximum}"


def make_activation(name: str) -> nn.Module:
    """Make relu, leaky_relu, general_relu, mish, silu, gelu or identity."""
    makers: dict[str, Callable[[], nn.Module]] = {
        "relu": lambda: nn.ReLU(inplace=True),
        "leaky_relu": lambda: nn.LeakyReLU(0.1, inplace=True),
        "general_relu": GeneralReLU,
        "mish": lambda: nn.Mish(inplace=True),
        "silu": lambda: nn.SiLU(inplace=True),
        "gelu": nn.GELU,
        "identity": nn.Identity,
    }
    if name not in makers:
        raise ValueError(f"activation is {name!r}; choose one of {', '.join(makers)}")
    return makers[name]()


def conv_norm(
    n_in: int,
    n_out: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    padding: int | None = None,
    groups: int = 1,
    activation: str = "relu",
    zero_init: bool = False,
) -> nn.Sequential:
    """Make convolution, BatchNorm and activation ("identity" leaves the last out).

    The convolution has no bias (BatchNorm brings one) and keeps the size at stride 1
    unless `padding` says otherwise. `zero_init` starts BatchNorm's scale at zero, so
    that a residual branch begins as nothing.
    """
    conv = nn.Conv2d(
        n_in,
        n_out,
        kernel,
        stride,
        kernel // 2 if padding is None else padding,
        groups=groups,
        bias=False,
    )
    norm = nn.BatchNorm2d(n_out)
    if zero_init:
        nn.init.zeros_(norm.weight)
    if activation == "identity":
        return nn.Sequential(conv, norm)
    return nn.Sequential(conv, norm, make_activation(activation))


class ResidualBlock(nn.Module):
    """Residual block: x + branch(x), then the activation.

    The basic form has two 3x3 convolutions, the bottleneck form 1x1, 3x3 and 1x1 with
    a quarter of the width inside. Where the size shrinks, the shortcut averages 2x2
    pixels instead of dropping three of four (ResNet-D, arXiv 1812.01187); where the
    width changes it has a 1x1 convolution.

    Args:
        n_in: channels in.
        n_out: channels out.
        stride: 1 or 2, of the 3x3 convolution that comes first.
        activation: see `make_activation`.
        zero_init: start the branch at zero (scale of its last BatchNorm).
        bottleneck: use the bottleneck form; n_out is then a multiple of 4.
        avg_pool_shortcut: average in the shortcut; else a strided 1x1 convolution.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        stride: int = 1,
        *,
        activation: str = "relu",
        zero_init: bool = False,
        bottleneck: bool = False,
        avg_pool_shortcut: bool = True,
    ) -> None:
        super().__init__()
        first = partial(conv_norm, activation=activation)
        last = partial(conv_norm, activation="identity", zero_init=zero_init)
        if bottleneck:
            inner = n_out // 4
            self.branch = nn.Sequential(
                first(n_in, inner, 1),
                first(inner, inner, 3, stride),
                last(inner, n_out, 1),
            )
        else:
            self.branch = nn.Sequential(
                first(n_in, n_out, 3, stride),
                last(n_out, n_out, 3),
            )
        self.shortcut = _layers_shortcut(n_in, n_out, stride, avg_pool_shortcut)
        self.activation = make_activation(activation)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, n_in, H, W) to (B, n_out, H / stride, W / stride), rounded up."""
        out: Tensor = self.activation(self.shortcut(x) + self.branch(x))
        return out


def _layers_shortcut(n_in: int, n_out: int, stride: int, average: bool) -> nn.Module:
    steps: list[nn.Module] = []
    if stride > 1 and average:
        # ceil_mode: an odd size gives the same size as the strided convolution.
        steps.append(nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False))
    if n_in != n_out or (stride > 1 and not average):
        step = 1 if average else stride
        steps.append(conv_norm(n_in, n_out, 1, step, activation="identity"))
    return nn.Sequential(*steps)


class AdaptiveConcatPool2d(nn.Module):
    """Average and maximum of every channel, side by side."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W) to (B, 2 C, 1, 1), averages first."""
        average, maximum = F.adaptive_avg_pool2d(x, 1), F.adaptive_max_pool2d(x, 1)
        return torch.cat((average, maximum), dim=1)


class GeM(nn.Module):
    """Generalised mean pooling with a learned power (arXiv 1711.02512).

    A power of 1 is the average, a large one comes near the maximum.
    """

    def __init__(self, power: float = 3.0, eps: float = 1e-6) -> None:
        super().__init__()
        self.power = nn.Parameter(torch.tensor(power))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """Pool (B, C, H, W), values below eps raised to it, to (B, C, 1, 1)."""
        raised = x.clamp(min=self.eps).pow(self.power)
        return F.adaptive_avg_pool2d(raised, 1).pow(1.0 / self.power)
