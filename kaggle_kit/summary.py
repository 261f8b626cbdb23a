"""What a model is made of: every layer with its shapes, parameters and work."""

import html
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from kaggle_kit.trees import TensorTree

_SUMMARY_HEADS = ("layer", "class", "input", "output", "parameters", "Mmult-adds")


class LayerRow(NamedTuple):
    """One layer.

    Attributes:
        name: Its name in the model.
        kind: Its class.
        input: Shape of its input, batch first.
        output: Shape of its output, batch first.
        parameters: Numbers it holds.
        multiply_adds: Multiply-adds for one item, convolutions and matrix products.
    """

    name: str
    kind: str
    input: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int


class ModelSummary:
    """Rows and totals; prints as text, shows as a table in a notebook."""

    def __init__(self, rows: Sequence[LayerRow], parameters: int, trained: int) -> None:
        self.rows = tuple(rows)
        self.parameters = parameters
        self.trained = trained

    @property
    def multiply_adds(self) -> int:
        """For one item, over all layers."""
        return sum(row.multiply_adds for row in self.rows)

    @property
    def total(self) -> str:
        """The totals in one line."""
        return (
            f"{self.parameters:,} parameters, {self.trained:,} trained, "
            f"{self.multiply_adds / 1e6:.2f} million multiply-adds per item"
        )

    def __str__(self) -> str:
        cells = [_SUMMARY_HEADS, *map(_summary_cells, self.rows)]
        widths = [max(len(row[i]) for row in cells) for i in range(len(_SUMMARY_HEADS))]
        lines = [
            "  ".join(
                cell.rjust(width) if i > 3 else cell.ljust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in cells
        ]
        return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:], self.total])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _SUMMARY_HEADS)
        body = "".join(
            "<tr>"
            + "".join(f"<td>{html.escape(cell)}</td>" for cell in _summary_cells(row))
            + "</tr>"
            for row in self.rows
        )
        return f"<table><tr>{head}</tr>{body}</table><p>{self.total}</p>"


def summarise_model(model: nn.Module, x: TensorTree) -> ModelSummary:
    """Run one batch through the model and write down its layers.

    Layers are modules without children, in the order of their calls; one called twice
    has two rows, its parameters in the first. The model runs in evaluation mode without
    gradients and is left as it was.

    Args:
        model: On the device of x.
        x: Input, batch first; a tuple is given as several arguments.
    """
    model = getattr(model, "_orig_mod", model)  # what torch.compile has wrapped
    names = {module: name for name, module in model.named_modules()}
    rows: list[LayerRow] = []
    seen: set[nn.Module] = set()

    def write_down(
        module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
    ) -> None:
        own = 0 if module in seen else sum(p.numel() for p in module.parameters())
        seen.add(module)
        rows.append(
            LayerRow(
                names[module],
                type(module).__name__,
                _summary_shape(inputs),
                _summary_shape(output),
                own,
                count_multiply_adds(module, output),
            )
        )

    modes = [(module, module.training) for module in model.modules()]
    leaves = [m for m in model.modules() if not any(m.children())]
    hooks = [leaf.register_forward_hook(write_down) for leaf in leaves]
    try:
        model.eval()
        with torch.no_grad():
            model(*x) if isinstance(x, tuple) else model(x)
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in modes:
            module.training = mode
    parameters = list(model.parameters())
    return ModelSummary(
        rows,
        sum(p.numel() for p in parameters),
        sum(p.numel() for p in parameters if p.requires_grad),
    )


def count_multiply_adds(module: nn.Module, output: TensorTree) -> int:
    """Multiply-adds of a layer for one item; 0 for what is neither conv nor linear."""
    if not isinstance(output, Tensor) or len(output) == 0:
        return 0
    if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
        per_output = module.weight[0].numel()  # in_channels / groups * kernel
        return output[0].numel() * per_output
    if isinstance(module, nn.Linear):
        return output[0].numel() * module.in_features
    return 0


def _summary_shape(value: TensorTree) -> tuple[int, ...]:
    if isinstance(value, Tensor):
        return tuple(value.shape)
    if isinstance(value, (tuple, list)) and value:
        return _summary_shape(value[0])
    return ()


def _summary_cells(row: LayerRow) -> tuple[str, ...]:
    work = f"{row.multiply_adds / 1e6:.2f}" if row.multiply_adds else ""
    count = f"{row.parameters:,}" if row.parameters else ""
    shapes = ("x".join(map(str, shape)) for shape in (row.input, row.output))
    return (row.name, row.kind, *shapes, count, work)
