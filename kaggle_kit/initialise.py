"""Starting weights: gains measured from the activation, and patch whitening."""

import math

import torch
from torch import Tensor, nn

from kaggle_kit.layers import make_activation

_INIT_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def activation_gain(activation: str | nn.Module) -> float:
    """Factor by which weights must grow to make up for an activation.

    1 / sqrt(E[f(z)^2]) for normal z, by numerical integration: sqrt(2) for ReLU, as
    derived by He et al. (arXiv 1502.01852), and the like for any other elementwise
    function, Mish and shifted ReLUs included.

    Args:
        activation: a name for `make_activation`, or the module itself.

    >>> round(activation_gain("relu"), 6)
    1.414214
    """
    if isinstance(activation, str):
        activation = make_activation(activation)
    # Half steps beside 0, where rectifiers have their kink.
    steps = torch.arange(-40_000, 40_000, dtype=torch.float64, device="cpu")
    z = (steps + 0.5) / 5_000
    density = torch.exp(-0.5 * z.square()) / math.sqrt(2 * math.pi)
    with torch.no_grad():
        square = (activation(z.clone()).square() * density).sum() / 5_000
    return 1.0 / math.sqrt(float(square))


def init_weights(model: nn.Module, activation: str | nn.Module = "relu") -> None:
    """Draw the weights of all convolutions and linear layers anew.

    Normal weights with the variance gain^2 / fan_in (He et al., arXiv 1502.01852) keep
    the size of the activations from layer to layer; a linear layer that comes last
    gives logits, so its gain is 1. Biases become 0. Norms and frozen layers stay.

    Args:
        model: changed in place.
        activation: what follows the layers.
    """
    gain = activation_gain(activation)
    layers = [m for m in model.modules() if isinstance(m, _INIT_LAYERS)]
    for layer in layers:
        if not layer.weight.requires_grad:
            continue
        last = layer is layers[-1] and isinstance(layer, nn.Linear)
        fan_in = layer.weight[0].numel()
        nn.init.normal_(layer.weight, std=(1.0 if last else gain) / math.sqrt(fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class PatchWhitening(nn.Module):
    """A fixed first convolution that makes image patches white.

    Neighbouring pixels are strongly correlated; along the eigenvectors of the patches'
    covariance, each divided by its deviation, they are not, and training starts faster
    (airbench, arXiv 2404.00498). Every eigenvector is there with both signs, so that
    the activation that follows loses nothing: 2 * n_channels * kernel^2 channels out.

    Until `fit` has seen images the filters are single pixels.

    Args:
        n_channels: channels of the images.
        kernel: side of the patches.
        eps: added to the eigenvalues, against noise in directions that hardly vary.
    """

    def __init__(self, n_channels: int = 1, kernel: int = 3, eps: float = 5e-4) -> None:
        super().__init__()
        self.kernel, self.eps = kernel, eps
        size = n_channels * kernel * kernel
        self.n_out = 2 * size
        self.conv = nn.Conv2d(n_channels, self.n_out, kernel, padding=kernel // 2)
        self.conv.weight.requires_grad_(False)
        self._fill(torch.eye(size))
        self.conv.bias = nn.Parameter(torch.zeros(self.n_out))

    def fit(self, x: Tensor) -> None:
        """Take the filters from images as the model sees them: (N, C, H, W) float.

        A few thousand are enough. The bias stays trainable, the filters do not change.

        Raises:
            ValueError: the images have other channels, or are smaller than a patch.
        """
        channels = self.conv.in_channels
        if x.ndim != 4 or x.shape[1] != channels or min(x.shape[2:]) < self.kernel:
            raise ValueError(
                f"images have shape {tuple(x.shape)}; give (N, {channels}, H, W) with "
                f"sides of {self.kernel} or more"
            )
        k = self.kernel
        patches = x.double().unfold(2, k, 1).unfold(3, k, 1)  # (N, C, h, w, k, k)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels * k * k)
        values, vectors = torch.linalg.eigh(torch.cov(patches.T))
        scaled = vectors.T.flip(0) / (values.flip(0)[:, None] + self.eps).sqrt()
        self._fill(scaled)

    def _fill(self, filters: Tensor) -> None:
        """Write filters (size, size), largest variance first, with both signs."""
        weight = torch.cat((filters, -filters)).view_as(self.conv.weight)
        with torch.no_grad():
            self.conv.weight.copy_(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, n_out, H', W'); odd kernels keep the size."""
        out: Tensor = self.conv(x)
        return out
