"""Nested tensors: what a model takes and gives may be a tensor, or tuples of them."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

# A tensor, or a tuple, list or dict of such; Python has no type for "and so on".
TensorTree = Any


def map_tree(function: Callable[[Tensor], Tensor], tree: TensorTree) -> TensorTree:
    """Apply a function to every tensor; lists become tuples, other values pass."""
    if isinstance(tree, Tensor):
        return function(tree)
    if isinstance(tree, dict):
        return {key: map_tree(function, value) for key, value in tree.items()}
    if isinstance(tree, (tuple, list)):
        return tuple(map_tree(function, value) for value in tree)
    return tree


def join_tree(parts: Sequence[TensorTree]) -> TensorTree:
    """Batches joined along the first dimension; half precision becomes float32."""
    first = parts[0]
    if isinstance(first, Tensor):
        joined = torch.cat(list(parts))
        half = joined.dtype in (torch.float16, torch.bfloat16)
        return joined.float() if half else joined
    if isinstance(first, dict):
        return {key: join_tree([part[key] for part in parts]) for key in first}
    return tuple(join_tree(column) for column in zip(*parts, strict=True))


def count_items(tree: TensorTree) -> int:
    """Length of the first dimension of the first tensor; 1 for a scalar."""
    if isinstance(tree, dict):
        return count_items(next(iter(tree.values())))
    if isinstance(tree, (tuple, list)):
        return count_items(tree[0])
    return len(tree) if tree.ndim else 1
