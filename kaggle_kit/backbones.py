"""Networks by name, the kit's own and published ones, with local weight files.

Nothing is ever downloaded: kernels that submit run without internet. Weights come from
a file of an attached data set.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torchvision
from torch import Tensor, nn

from kaggle_kit.paths import find_dataset
from kaggle_kit.resnets import (
    mini_resnet,
    small_resnet,
    xresnet18,
    xresnet34,
    xresnet50,
)

BACKBONE_SOURCES = ("kit", "torchvision", "timm")


def make_backbone(
    name: str,
    n_classes: int,
    n_channels: int = 3,
    *,
    source: str = "auto",
    weights: str | Path | None = None,
    log: Callable[[str], None] = print,
    **options: Any,  # noqa: ANN401 - whatever the library's constructor takes
) -> nn.Module:
    """Make a network of this kit, torchvision or timm by its name.

    Args:
        name: "densenet121", "efficientnet_b0", "small_resnet", ...
        n_classes: number of outputs; the classifier is always new.
        n_channels: channels of the images. Filters of a weight file are summed for one
            channel and repeated for others, so that their response keeps its size.
        source: "kit", "torchvision", "timm", or "auto" for the first that knows it.
        weights: state_dict (.pth, .pt, .safetensors), see `find_weight_file`; random
            without.
        log: told what of a weight file was not used.
        **options: passed to the library, for example drop_rate for timm.

    Raises:
        ValueError: the name or source is unknown, or the file does not fit the network.
        FileNotFoundError: there is no such weight file; says where to attach it.
    """
    model = _backbone_build(name, n_classes, source, options)
    adapt_first_conv(model, n_channels)
    if weights is not None:
        load_backbone_weights(model, weights, log)
    return model


def _backbone_build(
    name: str, n_classes: int, source: str, options: dict[str, Any]
) -> nn.Module:
    if source not in ("auto", *BACKBONE_SOURCES):
        allowed = ", ".join(BACKBONE_SOURCES)
        raise ValueError(f"source is {source!r}; choose auto, or one of {allowed}")
    own = _backbone_own()
    if source in ("auto", "kit") and name in own:
        return own[name](n_classes, **options)
    if source == "kit":
        raise ValueError(f"the kit has no model {name!r}; it has {', '.join(own)}")
    known = torchvision.models.list_models(module=torchvision.models)
    if source != "timm" and name in known:
        if name in ("googlenet", "inception_v3"):
            # Their auxiliary outputs would change what the network returns.
            options = {"aux_logits": False, "init_weights": True} | options
        built: nn.Module = torchvision.models.get_model(
            name, weights=None, num_classes=n_classes, **options
        )
        return built
    if source == "torchvision":
        few = _backbone_few(known)
        raise ValueError(f"torchvision has no model {name!r}; it has {few}")
    timm = _backbone_timm(name)
    if name not in timm.list_models():
        near = timm.list_models(f"*{name.split('_')[0]}*") or timm.list_models()
        raise ValueError(f"no model is called {name!r}; timm has {_backbone_few(near)}")
    made: nn.Module = timm.create_model(
        name, pretrained=False, num_classes=n_classes, **options
    )
    return made


def _backbone_own() -> dict[str, Callable[..., nn.Module]]:
    """The kit's networks, for images of three channels until they are adapted."""
    return {
        "small_resnet": partial(small_resnet, n_channels=3),
        "mini_resnet": partial(mini_resnet, n_channels=3),
        "xresnet18": xresnet18,
        "xresnet34": xresnet34,
        "xresnet50": xresnet50,
    }


def _backbone_timm(name: str) -> Any:  # noqa: ANN401 - an optional module
    try:
        import timm
    except ImportError as error:
        raise ValueError(
            f"torchvision has no model {name!r}, and timm is not installed here"
        ) from error
    return timm


def _backbone_few(names: list[str]) -> str:
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return ", ".join(names[:12]) + more


def find_weight_file(reference: str | Path, folder: str | Path = "") -> Path:
    """Find a weight file: a local path, or `owner/slug/file` of an attached dataset.

    Args:
        reference: for example "somebody/densenet-weights/densenet121.pth".
        folder: where datasets are mounted, see `find_dataset`.

    Raises:
        FileNotFoundError: it is neither; says how to attach it.
    """
    path = Path(reference)
    if path.is_file() or path.is_absolute() or len(path.parts) < 3:
        return _backbone_existing(path)
    owner, slug, *rest = path.parts
    return _backbone_existing(find_dataset(f"{owner}/{slug}", folder).joinpath(*rest))


def _backbone_existing(path: Path) -> Path:
    if path.is_file():
        return path
    raise FileNotFoundError(
        f"{path}: no such weight file. Nothing is downloaded: attach a dataset that "
        "holds it (dataset_sources in kernel-metadata.json) and name the file as "
        "owner/slug/file, or give its local path"
    )


def adapt_first_conv(model: nn.Module, n_channels: int) -> None:
    """Make the first convolution of a model take n_channels, in place.

    Its weights are carried over as `channel_weights` does it.
    """
    path, conv = _backbone_first_conv(model)
    if conv.in_channels == n_channels:
        return
    if conv.groups != 1:
        raise ValueError(f"{path}: a grouped first convolution cannot be adapted")
    new = nn.Conv2d(
        n_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]
        conv.stride,  # type: ignore[arg-type]
        conv.padding,  # type: ignore[arg-type]
        conv.dilation,  # type: ignore[arg-type]
        bias=conv.bias is not None,
        padding_mode=conv.padding_mode,
    )
    with torch.no_grad():
        new.weight.copy_(channel_weights(conv.weight, n_channels))
        if conv.bias is not None and new.bias is not None:
            new.bias.copy_(conv.bias)
    parent, _, child = path.rpartition(".")
    setattr(model.get_submodule(parent), child, new)


def channel_weights(weight: Tensor, n_channels: int) -> Tensor:
    """Make filters (out, in, h, w) take n_channels: (out, n_channels, h, w).

    One channel gets the sum over the old ones, which is what a grey image repeated as
    red, green and blue would give. More channels repeat the old ones in turn, scaled so
    that the response to equal channels stays the same.

    >>> channel_weights(torch.ones(8, 3, 5, 5), 1)[0, :, 0, 0]
    tensor([3.])
    """
    old = weight.shape[1]
    if n_channels == old:
        return weight
    if n_channels == 1:
        return weight.sum(dim=1, keepdim=True)
    repeated = weight.repeat(1, math.ceil(n_channels / old), 1, 1)[:, :n_channels]
    return repeated * (old / n_channels)


def _backbone_first_conv(model: nn.Module) -> tuple[str, nn.Conv2d]:
    for path, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            return path, module
    raise ValueError(f"{type(model).__name__} has no convolution")


def load_backbone_weights(
    model: nn.Module, path: str | Path, log: Callable[[str], None] = print
) -> None:
    """Load a state_dict file into a model whose channels or classes may differ.

    The first convolution is adapted; a classifier of another size keeps its random
    weights. Anything else that does not fit is an error, never skipped.

    Args:
        model: from `make_backbone`; changed in place.
        path: of a state_dict, plain or under "state_dict" or "model".
        log: told which weights were not used.

    Raises:
        FileNotFoundError: there is no such file; says where to attach it.
        ValueError: the file does not fit the model.
    """
    state = _backbone_read(find_weight_file(path))
    own = model.state_dict()
    first = f"{_backbone_first_conv(model)[0]}.weight"
    if first in state and state[first].ndim == 4:
        state[first] = channel_weights(state[first], own[first].shape[1])
    # Old torchvision densenets: "denselayer1.norm.1" is "denselayer1.norm1" today.
    state = {_backbone_key(key, own): value for key, value in state.items()}
    head = _backbone_head(model)
    wrong = [
        key
        for key in (*own, *(key for key in state if key not in own))
        if key not in own or key not in state or own[key].shape != state[key].shape
    ]
    # Files from before torch 0.4 lack the counters; they matter to no result.
    wrong = [key for key in wrong if not key.endswith("num_batches_tracked")]
    unused = [key for key in wrong if key.startswith(f"{head}.")]
    bad = [key for key in wrong if not key.startswith((f"{head}.", "aux", "AuxLogits"))]
    if bad:
        raise ValueError(
            f"{path} does not fit {type(model).__name__}: {len(bad)} weights are "
            f"missing, unknown or of another shape, first {', '.join(bad[:3])}"
        )
    for key in unused:
        state.pop(key, None)
    model.load_state_dict(
        {**own, **{key: value for key, value in state.items() if key in own}}
    )
    if unused:
        log(f"{Path(path).name}: the classifier is new ({', '.join(unused)} not used)")


def _backbone_key(key: str, own: Mapping[str, Tensor]) -> str:
    for kind in ("norm", "relu", "conv"):
        renamed = key.replace(f".{kind}.1.", f".{kind}1.")
        renamed = renamed.replace(f".{kind}.2.", f".{kind}2.")
        if renamed != key and renamed in own:
            return renamed
    return key


def _backbone_head(model: nn.Module) -> str:
    """Path of the last layer with weights that are not a norm's: the classifier."""
    kinds = (nn.Linear, nn.Conv2d)
    found = [path for path, m in model.named_modules() if isinstance(m, kinds)]
    last: str = found[-1]
    return last


def _backbone_read(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        from safetensors.torch import load_file

        loaded: Any = load_file(path)
    else:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in ("state_dict", "model"):
        if isinstance(loaded, dict) and isinstance(loaded.get(wrapper), dict):
            loaded = loaded[wrapper]
    if not isinstance(loaded, dict) or not all(
        isinstance(value, Tensor) for value in loaded.values()
    ):
        raise ValueError(f"{path} holds no state_dict (names and tensors)")
    return {key.removeprefix("module."): value for key, value in loaded.items()}
