"""Learning rate finder: the loss while the rate rises from tiny to too large."""

import copy
import math
from typing import NamedTuple

import torch

from kaggle_kit.events import Callback, CancelFit, LearnerState
from kaggle_kit.optimizers import set_hyper
from kaggle_kit.random_states import data_generators, random_state, restore_random_state
from kaggle_kit.ranks import mean_of_processes


class FoundRates(NamedTuple):
    """Result of a search.

    Attributes:
        rates: Learning rate of each step.
        losses: Smoothed training loss of each step.
        suggestion: Where the loss falls most steeply over the logarithm of the rate.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float


class RateSweep(Callback):
    """Raises the learning rate by equal ratios until the loss blows up.

    After Smith (arXiv 1506.01186), in the form of fastai: exponential steps, smoothed
    loss, an end when it is far above the best.

    Args:
        start: First learning rate.
        end: Last learning rate.
        steps: Number of steps.
        smooth: Share of the running mean kept in each step.
        blow_up: The search ends when the smoothed loss is this many times the best.
    """

    order = 40
    in_valid = False

    def __init__(
        self,
        start: float = 1e-6,
        end: float = 10.0,
        steps: int = 100,
        smooth: float = 0.9,
        blow_up: float = 4.0,
    ) -> None:
        if not 0 < start < end or steps < 2:
            raise ValueError(
                f"0 < start < end and at least 2 steps are needed, got start={start}, "
                f"end={end}, steps={steps}"
            )
        self.start, self.end, self.steps = start, end, steps
        self.smooth, self.blow_up = smooth, blow_up
        self.rates: list[float] = []
        self.losses: list[float] = []
        self._mean = 0.0
        self._ratios: list[float] = []

    def before_fit(self, learner: LearnerState) -> None:
        """Keep the ratios between the groups."""
        rates = [float(group["lr"]) for group in learner.optimizer.param_groups]
        top = max(rates) or 1.0
        self._ratios = [rate / top or 1.0 for rate in rates]

    def before_batch(self, learner: LearnerState) -> None:
        """Set this step's rate."""
        position = len(self.rates) / (self.steps - 1)
        rate = self.start * (self.end / self.start) ** position
        set_hyper(learner.optimizer, "lr", [rate * r for r in self._ratios])
        self.rates.append(rate)

    def after_loss(self, learner: LearnerState) -> None:
        """Smooth the loss; end when it has blown up or all steps are done."""
        loss = mean_of_processes(learner.loss.item())  # so that all end together
        self._mean = self.smooth * self._mean + (1 - self.smooth) * loss
        smoothed = self._mean / (1 - self.smooth ** len(self.rates))
        if not math.isfinite(smoothed):
            self.rates.pop()
            raise CancelFit
        self.losses.append(smoothed)
        if smoothed > self.blow_up * min(self.losses) or len(self.rates) == self.steps:
            raise CancelFit

    def found(self) -> FoundRates:
        """What was measured, and the suggestion.

        Raises:
            ValueError: Too few steps to suggest anything.
        """
        return FoundRates(
            self.rates, self.losses, steepest_rate(self.rates, self.losses)
        )


def steepest_rate(rates: list[float], losses: list[float]) -> float:
    """Rate at which the loss falls most steeply over log(rate), before its minimum.

    Args:
        rates: Rising by equal ratios.
        losses: Smoothed.

    Raises:
        ValueError: The loss does not fall, or there are fewer than 5 steps.
    """
    lowest = losses.index(min(losses)) if losses else 0
    if len(losses) < 5 or lowest < 2:
        raise ValueError(
            f"the loss did not fall in {len(losses)} steps from rate "
            f"{rates[0] if rates else math.nan:.2g}: start lower, take more steps, or "
            "look at the data"
        )
    slopes = [
        (losses[i + 1] - losses[i - 1]) / 2
        for i in range(1, min(lowest + 1, len(losses) - 1))
    ]
    return rates[1 + slopes.index(min(slopes))]


class LearnerSnapshot:
    """A copy of everything that training changes, to be put back exactly."""

    def __init__(self, learner: LearnerState) -> None:
        model = learner.model
        self._model = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self._modes = [module.training for module in model.modules()]
        self._optimizer = copy.deepcopy(learner.optimizer.state_dict())
        self._history = [dict(row) for row in learner.history]
        self._epochs_done = learner.epochs_done
        self._random = random_state()
        self._generators = [g.get_state() for _, g in data_generators(learner.data)]

    def restore(self, learner: LearnerState) -> None:
        """Put it back."""
        with torch.no_grad():
            for name, value in learner.model.state_dict().items():
                value.copy_(self._model[name])
        for module, mode in zip(learner.model.modules(), self._modes, strict=True):
            module.training = mode
        learner.optimizer.load_state_dict(self._optimizer)
        learner.optimizer.zero_grad()
        learner.history[:] = self._history
        learner.epochs_done = self._epochs_done
        restore_random_state(self._random)
        generators = data_generators(learner.data)
        for (_, generator), state in zip(generators, self._generators, strict=True):
            generator.set_state(state)
