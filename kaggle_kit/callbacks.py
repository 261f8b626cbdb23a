"""Callbacks on gradients and batches: clipping, accumulation, NaN guard, transforms."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from kaggle_kit.events import Callback, CancelPass, CancelStep, LearnerState
from kaggle_kit.trees import TensorTree, count_items


class GradientClip(Callback):
    """Scale gradients down to a largest total norm.

    Args:
        max_norm: Largest L2 norm of all gradients together.
    """

    order = 0
    alters_step = True

    def __init__(self, max_norm: float = 1.0) -> None:
        if max_norm <= 0:
            raise ValueError(f"max_norm must be above 0, got {max_norm}")
        self.max_norm = max_norm

    def before_step(self, learner: LearnerState) -> None:
        """Clip."""
        nn.utils.clip_grad_norm_(learner.model.parameters(), self.max_norm)


class NaNGuard(Callback):
    """Stop with an error when the loss is no longer a number.

    Looks at the loss of every `every`-th batch and of every pass: looking at each one
    would make a GPU wait.

    Args:
        every: Batches between two looks.
    """

    order = 10

    def __init__(self, every: int = 50) -> None:
        self.every = every

    def after_loss(self, learner: LearnerState) -> None:
        """Look at the loss now and then."""
        if learner.batch_index % self.every == 0:
            self._check(learner, learner.loss.detach().reshape(1))

    def after_train(self, learner: LearnerState) -> None:
        """Look at all losses of the pass."""
        if learner.losses:
            self._check(learner, torch.stack(learner.losses))

    def _check(self, learner: LearnerState, losses: Tensor) -> None:
        if bool(torch.isfinite(losses).all()):
            return
        bad = int((~torch.isfinite(losses)).nonzero()[0]) if len(losses) > 1 else None
        batch = learner.batch_index if bad is None else bad
        kind = "training" if learner.training else "validation"
        rate = learner.optimizer.param_groups[-1]["lr"]
        raise FloatingPointError(
            f"{kind} loss is not finite in epoch {learner.epoch + 1}, batch "
            f"{batch + 1}, at learning rate {rate:.3g}: lower the learning rate, clip "
            "gradients, or look for NaN in the images of that batch"
        )


class BatchTransform(Callback):
    """Change whole batches on the device.

    Args:
        transform: Called as `transform(x, y)`, returns the pair to use instead. Where
            it returns other targets (mixed ones), the loss sees those and metrics of
            the training pass are left out.
        on_train: Whether to transform training batches.
        on_valid: Whether to transform validation and prediction batches.
    """

    order = -5
    alters_step = True

    def __init__(
        self,
        transform: Callable[[Any, Any], tuple[TensorTree, TensorTree]],
        on_train: bool = True,
        on_valid: bool = False,
    ) -> None:
        self.transform = transform
        self.in_train = on_train
        self.in_valid = on_valid

    def before_batch(self, learner: LearnerState) -> None:
        """Replace the batch."""
        learner.x, learner.y = self.transform(learner.x, learner.y)


class SingleBatch(Callback):
    """Only the first batches of every pass: a smoke run in seconds.

    Args:
        batches: How many.
    """

    order = 80

    def __init__(self, batches: int = 1) -> None:
        if batches < 1:
            raise ValueError(f"at least 1 batch is needed, got {batches}")
        self.batches = batches

    def before_fit(self, learner: LearnerState) -> None:
        """Schedules end with the batches there are."""
        if learner.n_steps is not None:
            learner.n_steps = min(learner.n_steps, learner.epochs * self.batches)

    def before_train(self, learner: LearnerState) -> None:
        """Others learn which batch is the last."""
        if learner.n_batches is not None:
            learner.n_batches = min(learner.n_batches, self.batches)

    def before_validate(self, learner: LearnerState) -> None:
        """Others learn which batch is the last."""
        self.before_train(learner)

    def after_batch(self, learner: LearnerState) -> None:
        """End the pass after the last batch wanted."""
        if learner.batch_index + 1 >= self.batches:
            raise CancelPass


class GradientAccumulation(Callback):
    """One optimizer step for several batches: the gradients of one large batch.

    Batches count by their sizes, so that a short last one does not weigh too much. At
    the end of a pass what has been collected makes a step; where the batches have no
    len(), it waits for the next epoch.

    Args:
        batches: Batches per step.
    """

    # Before all others: it counts a batch before several processes share it, and what
    # is not yet complete must not be unscaled or clipped.
    order = -250
    in_valid = False
    alters_step = True

    def __init__(self, batches: int) -> None:
        if batches < 1:
            raise ValueError(f"at least 1 batch per step is needed, got {batches}")
        self.batches = batches
        self._parameters: list[Tensor] = []
        self._waiting = 0
        self._items = 0
        self._usual = 0
        self._batch_items = 0

    def before_fit(self, learner: LearnerState) -> None:
        """Start with nothing collected."""
        groups = learner.optimizer.param_groups
        self._parameters = [p for group in groups for p in group["params"]]
        self._waiting = self._items = self._usual = 0

    def before_batch(self, learner: LearnerState) -> None:
        """Count the items."""
        self._batch_items = count_items(learner.x)

    def before_backward(self, learner: LearnerState) -> None:
        """Give this batch its share of the step."""
        items = self._batch_items
        if self._waiting == 0:
            self._usual, self._items = items, 0
        self._waiting += 1
        self._items += items
        learner.loss = learner.loss * (items / (self._usual * self.batches))

    def before_step(self, learner: LearnerState) -> None:
        """Put the step off until the batches are complete."""
        last = learner.batch_index + 1 == learner.n_batches
        if self._waiting < self.batches and not last:
            raise CancelStep
        # The shares were those of full batches; fewer or shorter ones get more.
        correction = self._usual * self.batches / self._items
        if correction != 1.0:
            for parameter in self._parameters:
                if parameter.grad is not None:
                    parameter.grad.mul_(correction)
        self._waiting = 0

    def state_dict(self) -> dict[str, Any]:
        """What waits for the next epoch: counts and gradients."""
        if self._waiting == 0:
            return {"waiting": 0}
        return {
            "waiting": self._waiting,
            "items": self._items,
            "usual": self._usual,
            "gradients": [parameter.grad for parameter in self._parameters],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take back what `state_dict` gave."""
        self._waiting = state["waiting"]
        if self._waiting == 0:
            return
        self._items, self._usual = state["items"], state["usual"]
        for parameter, gradient in zip(
            self._parameters, state["gradients"], strict=True
        ):
            device = parameter.device
            parameter.grad = None if gradient is None else gradient.to(device)
