"""What happens inside a network while it trains: activations and gradients."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from kaggle_kit.events import Callback, LearnerState

_HOOKS_CONSTANT = 1e-6  # a unit whose output varies less than this is dead


class LayerStats(NamedTuple):
    """Outputs of one layer over training, one entry per recorded step.

    Attributes:
        means: Mean of all outputs.
        deviations: Standard deviation of all outputs.
        dead: Share of units (channels) whose output is the same for the whole batch.
        histograms: Counts of the outputs in `bins` equal bins over `-limit..limit`;
            what lies beyond is in none.
    """

    means: list[float]
    deviations: list[float]
    dead: list[float]
    histograms: list[list[float]]


class ActivationStats(Callback):
    """Watches the outputs of layers in training, through hooks that are always removed.

    Numbers stay on the device until the end of each pass.

    Args:
        choose: Which modules, called with name and module; by default those without
            children that have weights or are activation functions.
        every: Steps between two records.
        bins: Bins of the histograms.
        limit: The histograms reach from -limit to limit.

    Attributes:
        stats: By name of the module.
    """

    order = 85
    in_valid = False

    def __init__(
        self,
        choose: Callable[[str, nn.Module], bool] | None = None,
        every: int = 1,
        bins: int = 40,
        limit: float = 10.0,
    ) -> None:
        if every < 1 or bins < 1 or limit <= 0:
            raise ValueError(
                f"every and bins must be at least 1 and limit above 0, got {every}, "
                f"{bins} and {limit}"
            )
        self.choose = choose or is_telling_layer
        self.every, self.bins, self.limit = every, bins, limit
        self.stats: dict[str, LayerStats] = {}
        self._handles: list[RemovableHandle] = []
        self._pending: list[tuple[str, Tensor]] = []
        self._record = False

    def before_fit(self, learner: LearnerState) -> None:
        """Hook the layers in."""
        self._remove()
        # torch.compile wraps a model, and the names of its layers.
        model = getattr(learner.model, "_orig_mod", learner.model)
        for name, module in model.named_modules():
            if self.choose(name, module):
                self.stats[name] = LayerStats([], [], [], [])
                hook = partial(self._see, name)
                self._handles.append(module.register_forward_hook(hook))

    def before_predict(self, learner: LearnerState) -> None:
        """Record this step, or not."""
        self._record = learner.step % self.every == 0

    def after_predict(self, learner: LearnerState) -> None:
        """Validation in between is not recorded."""
        self._record = False

    def cleanup_train(self, learner: LearnerState) -> None:
        """Fetch the numbers of the pass from the device."""
        for name, numbers in self._pending:
            mean, deviation, dead, *histogram = numbers.tolist()
            stats = self.stats[name]
            stats.means.append(mean)
            stats.deviations.append(deviation)
            stats.dead.append(dead)
            stats.histograms.append(histogram)
        self._pending.clear()

    def cleanup_fit(self, learner: LearnerState) -> None:
        """Take the hooks out."""
        self._remove()

    def state_dict(self) -> dict[str, Any]:
        """The records of every layer."""
        return {name: tuple(stats) for name, stats in self.stats.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        for name, records in state.items():
            self.stats[name] = LayerStats(*(list(record) for record in records))

    def _see(
        self, name: str, module: nn.Module, inputs: object, output: object
    ) -> None:
        if self._record and isinstance(output, Tensor) and output.ndim > 1:
            numbers = activation_numbers(output.detach(), self.bins, self.limit)
            self._pending.append((name, numbers))

    def _remove(self) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._record = False


class GradientNorms(Callback):
    """Keeps the L2 norm of all gradients together of every step, before clipping.

    Attributes:
        norms: One per step.
    """

    order = -1
    in_valid = False

    def __init__(self) -> None:
        self.norms: list[float] = []
        self._pending: list[Tensor] = []

    def before_step(self, learner: LearnerState) -> None:
        """Measure."""
        grads = [p.grad for p in learner.model.parameters() if p.grad is not None]
        self._pending.append(nn.utils.get_total_norm(grads).detach())

    def cleanup_train(self, learner: LearnerState) -> None:
        """Fetch the norms of the pass from the device."""
        if self._pending:
            self.norms += torch.stack(self._pending).tolist()
            self._pending.clear()

    def state_dict(self) -> dict[str, Any]:
        """The norms so far."""
        return {"norms": self.norms}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take them back."""
        self.norms = list(state["norms"])


def is_telling_layer(name: str, module: nn.Module) -> bool:
    """Whether a module has no children, and weights or a nonlinearity of its own."""
    if any(module.children()):
        return False
    quiet = (nn.Flatten, nn.Identity, nn.Dropout, nn.Dropout2d, nn.MaxPool2d)
    return not isinstance(module, quiet)


def activation_numbers(output: Tensor, bins: int, limit: float) -> Tensor:
    """Mean, deviation, share of dead units and histogram of one layer's output.

    Args:
        output: (B, C, ...) floating; C are the units.
        bins: Bins of the histogram.
        limit: It reaches from -limit to limit.

    Returns:
        (3 + bins,) float32 on the device of the output.
    """
    output = output.float()
    units = output.transpose(0, 1).flatten(1)  # (C, B * ...)
    spread = units.amax(1) - units.amin(1)
    numbers = torch.stack(
        [
            output.mean(),
            output.std(correction=0),
            (spread < _HOOKS_CONSTANT).float().mean(),
        ]
    )
    return torch.cat([numbers, torch.histc(output, bins, -limit, limit)])
