"""Parameter groups and the optimizers torch lacks."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn

LearningRate = float | Sequence[float] | slice


def parameter_groups(
    model: nn.Module, splitter: Callable[[nn.Module], Sequence[Any]] | None = None
) -> list[dict[str, Any]]:
    """Parameter groups as torch.optim takes them; frozen parameters are left out.

    Args:
        model: Its parameters are grouped.
        splitter: Returns lists of parameters, or dicts with "params" and own values
            such as "weight_decay"; None puts all in one group.

    Raises:
        ValueError: A trainable parameter is in no group or in two.
    """
    raw = [list(model.parameters())] if splitter is None else list(splitter(model))
    groups = [dict(g) if isinstance(g, dict) else {"params": list(g)} for g in raw]
    for group in groups:
        group["params"] = [p for p in group["params"] if p.requires_grad]
    groups = [group for group in groups if group["params"]]
    names = {id(p): name for name, p in model.named_parameters() if p.requires_grad}
    seen: set[int] = set()
    for group in groups:
        for parameter in group["params"]:
            if id(parameter) in seen:
                name = names.get(id(parameter), "a parameter")
                raise ValueError(f"the splitter put {name} into two groups")
            seen.add(id(parameter))
    left_out = [name for key, name in names.items() if key not in seen]
    if left_out:
        raise ValueError(
            f"the splitter left out {', '.join(left_out[:5])}: put every trainable "
            "parameter into a group, or freeze it with requires_grad_(False)"
        )
    if not groups:
        raise ValueError("the model has no trainable parameters")
    return groups


def left_out_parameters(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> list[str]:
    """Names of trainable parameters that the optimizer does not have."""
    held = {id(p) for group in optimizer.param_groups for p in group["params"]}
    named = model.named_parameters()
    return [name for name, p in named if p.requires_grad and id(p) not in held]


def no_decay_groups(model: nn.Module) -> list[dict[str, Any]]:
    """A splitter: weights as they are, biases and normalisation without weight decay.

    Decay on a bias or a BatchNorm scale only shifts what the next layer undoes.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        {"params": [p for p in parameters if p.ndim >= 2]},
    ]


def spread_over_groups(lr: LearningRate, n_groups: int) -> list[float]:
    """One learning rate for each parameter group, first group first.

    Args:
        lr: One rate for all; one for each; `slice(first, last)` spread by equal
            ratios; `slice(last)` gives the last group that rate, the others a tenth.
        n_groups: Number of groups.

    >>> spread_over_groups(slice(1e-4, 1e-2), 3)
    [0.0001, 0.001, 0.01]
    """
    if isinstance(lr, slice):
        last = lr.stop
        if last is None:
            raise ValueError(f"{lr} has no rate for the last group")
        if lr.start is None:
            return [last / 10] * (n_groups - 1) + [float(last)]
        if n_groups == 1:
            return [float(last)]
        ratio = (last / lr.start) ** (1 / (n_groups - 1))
        inner = [lr.start * ratio**index for index in range(n_groups - 1)]
        return [*inner, float(last)]
    if isinstance(lr, Sequence):
        if len(lr) != n_groups:
            raise ValueError(
                f"{len(lr)} learning rates for {n_groups} parameter groups; give one "
                "for each, one for all, or a slice(first, last)"
            )
        return [float(rate) for rate in lr]
    if not math.isfinite(lr) or lr < 0:
        raise ValueError(f"a learning rate must be a number >= 0, got {lr}")
    return [float(lr)] * n_groups


def read_hyper(group: dict[str, object], name: str) -> float:
    """Value of a hyper-parameter of a parameter group.

    "momentum" also means the first of Adam's `betas`.

    Raises:
        ValueError: The optimizer has no such hyper-parameter.
    """
    if name == "momentum" and "momentum" not in group and "betas" in group:
        betas = group["betas"]
        return float(betas[0])  # type: ignore[index]
    if name not in group:
        known = sorted(key for key in group if key != "params")
        raise ValueError(
            f"the optimizer has no hyper-parameter {name!r}; it has {', '.join(known)}"
        )
    return float(group[name])  # type: ignore[arg-type]


def has_hyper(optimizer: torch.optim.Optimizer, name: str) -> bool:
    """Whether every group has the hyper-parameter, and a momentum that is in use."""
    for group in optimizer.param_groups:
        if name == "momentum" and not (group.get("momentum") or "betas" in group):
            return False
        if name != "momentum" and name not in group:
            return False
    return True


def set_hyper(
    optimizer: torch.optim.Optimizer, name: str, values: Sequence[float]
) -> None:
    """Set a hyper-parameter of every parameter group, one value each."""
    for group, value in zip(optimizer.param_groups, values, strict=True):
        read_hyper(group, name)
        if name == "momentum" and "momentum" not in group:
            group["betas"] = (value, *group["betas"][1:])
        else:
            group[name] = value


def make_optimizer(
    model: nn.Module,
    optimizer: Callable[..., torch.optim.Optimizer] | torch.optim.Optimizer,
    lr: LearningRate | None = None,
    splitter: Callable[[nn.Module], Sequence[Any]] | None = None,
) -> torch.optim.Optimizer:
    """Make the optimizer over the model's parameter groups, or take one already made.

    Args:
        model: Its parameters are trained.
        optimizer: Called as `optimizer(groups, lr=lr)`, or ready.
        lr: See `spread_over_groups`; 1e-3, or what a ready optimizer has, by default.
        splitter: See `parameter_groups`; not for a ready optimizer.

    Raises:
        ValueError: The groups do not cover the model, or a ready optimizer is for
            another model.
    """
    if isinstance(optimizer, torch.optim.Optimizer):
        own = {id(parameter) for parameter in model.parameters()}
        groups = optimizer.param_groups
        if not any(id(p) in own for group in groups for p in group["params"]):
            raise ValueError("the optimizer holds no parameter of this model")
        if splitter is not None:
            raise ValueError("a ready optimizer has its groups: drop the splitter")
        if lr is not None:
            set_hyper(optimizer, "lr", spread_over_groups(lr, len(groups)))
        return optimizer
    groups = parameter_groups(model, splitter)
    rates = spread_over_groups(1e-3 if lr is None else lr, len(groups))
    return optimizer(
        [{**g, "lr": rate} for g, rate in zip(groups, rates, strict=True)], lr=rates[-1]
    )
