"""Callbacks that show a pass other inputs, or keep what the model predicts."""

from collections.abc import Callable
from typing import Any

from torch import Tensor

from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.trees import TensorTree, join_tree, map_tree


class InputView(Callback):
    """Shows the model another view of each input.

    Args:
        view: Called with x, returns the same shape.
    """

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        self.view = view

    def before_predict(self, learner: LearnerState) -> None:
        """Replace the input."""
        learner.x = self.view(learner.x)


class PredictionCollector(Callback):
    """Keeps what the model predicts in a pass, on the CPU.

    Args:
        activation: Applied to the outputs of each batch.
        item_loss: Loss function to be computed for each item: a module or function
            that takes `reduction="none"`.
    """

    order = 90

    def __init__(
        self,
        activation: Callable[[TensorTree], TensorTree] | None = None,
        item_loss: Callable[[Any, Any], Tensor] | None = None,
    ) -> None:
        self.activation = activation
        self.item_loss = item_loss
        self._preds: list[Any] = []
        self._targets: list[Any] = []
        self._losses: list[Tensor] = []

    def after_predict(self, learner: LearnerState) -> None:
        """Keep this batch."""
        preds = map_tree(Tensor.detach, learner.preds)
        kept = preds if self.activation is None else self.activation(preds)
        self._preds.append(map_tree(Tensor.cpu, kept))
        if learner.target is None:
            return
        self._targets.append(map_tree(Tensor.cpu, learner.target))
        if self.item_loss is not None:
            losses = loss_per_item(self.item_loss, preds, learner.target)
            self._losses.append(losses.detach().cpu())

    def joined(self) -> tuple[Any, Any, Any]:
        """Predictions, targets and losses of the pass, None for what there was not.

        Raises:
            ValueError: The batches were empty.
        """
        if not self._preds:
            raise ValueError("there were no batches to predict")
        parts = (self._preds, self._targets, self._losses)
        preds, targets, losses = (join_tree(part) if part else None for part in parts)
        return preds, targets, losses


def loss_per_item(
    loss: Callable[..., Tensor], preds: TensorTree, targets: TensorTree
) -> Tensor:
    """Loss of each item, (B,).

    Raises:
        TypeError: The loss has no `reduction` to switch off.
    """
    if hasattr(loss, "reduction"):
        kept, loss.reduction = loss.reduction, "none"
        try:
            values = loss(preds, targets)
        finally:
            loss.reduction = kept
    else:
        try:
            values = loss(preds, targets, reduction="none")
        except TypeError as error:
            raise TypeError(
                f"{loss!r} gives no loss per item: it has no `reduction`; call "
                "get_preds(with_targets=True) and compute the losses yourself"
            ) from error
    return values.flatten(1).mean(1) if values.ndim > 1 else values
