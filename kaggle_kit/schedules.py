"""Schedules: how a hyper-parameter moves over a fit, and the callback that moves it.

A schedule is a function of the position in the fit: 0.0 is the first step, 1.0 the
last. Any function will do; these are the usual ones and a way to join them.
"""

import math
from collections.abc import Callable, Sequence

import torch

from kaggle_kit.events import Callback, LearnerState
from kaggle_kit.optimizers import has_hyper, read_hyper, set_hyper

Schedule = Callable[[float], float]


def anneal_constant(value: float) -> Schedule:
    """Stay at one value."""
    return lambda position: value


def anneal_linear(start: float, end: float) -> Schedule:
    """Go from start to end in a straight line.

    >>> anneal_linear(1.0, 0.0)(0.25)
    0.75
    """
    return lambda position: start + (end - start) * position


def anneal_cosine(start: float, end: float) -> Schedule:
    """Go from start to end along half a cosine wave.

    >>> round(anneal_cosine(1.0, 0.0)(0.5), 6)
    0.5
    """
    return lambda position: end + (start - end) * (1 + math.cos(math.pi * position)) / 2


def anneal_exponential(start: float, end: float) -> Schedule:
    """Go from start to end by equal ratios; both above 0.

    >>> round(anneal_exponential(1.0, 0.01)(0.5), 6)
    0.1
    """
    if start <= 0 or end <= 0:
        raise ValueError(
            f"an exponential schedule needs values above 0, got {start} to {end}"
        )
    return lambda position: float(start * (end / start) ** position)


def anneal_polynomial(start: float, end: float, power: float) -> Schedule:
    """Go from start to end as `end + (start - end) * (1 - position) ** power`."""
    return lambda position: float(end + (start - end) * (1 - position) ** power)


def join_schedules(
    schedules: Sequence[Schedule], fractions: Sequence[float]
) -> Schedule:
    """Run schedules one after the other, each over its own share of the fit.

    Args:
        schedules: Each gets its own position from 0.0 to 1.0.
        fractions: Share of each, summing to 1.

    Raises:
        ValueError: Numbers of schedules and fractions differ, or the fractions are
            negative or do not sum to 1.

    >>> both = join_schedules([anneal_linear(0, 1), anneal_linear(1, 0)], [0.2, 0.8])
    >>> both(0.1), both(0.2), both(0.6)
    (0.5, 1.0, 0.5)
    """
    if len(schedules) != len(fractions) or not schedules:
        raise ValueError(
            f"{len(schedules)} schedules but {len(fractions)} fractions; give one "
            "fraction for each"
        )
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise ValueError(f"fractions must be >= 0 and sum to 1, got {list(fractions)}")
    starts = [sum(fractions[:index]) for index in range(len(fractions))]

    def joined(position: float) -> float:
        index = max(i for i, start in enumerate(starts) if i == 0 or start <= position)
        # A phase without length is passed over, except at the very end.
        while index > 0 and fractions[index] == 0:
            index -= 1
        share = fractions[index] or 1.0
        return schedules[index](min((position - starts[index]) / share, 1.0))

    return joined


def one_cycle_schedule(
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    n_steps: int | None = None,
) -> Schedule:
    """Factors of the learning rate: cosine up to 1, cosine down to almost 0.

    The 1cycle policy of Smith and Topin (arXiv 1708.07120) in the cosine form of
    fastai; with `n_steps` the values of `torch.optim.lr_scheduler.OneCycleLR`.

    Args:
        pct_start: Share of the steps in which the rate rises.
        div_factor: The rate starts at 1 / div_factor.
        final_div_factor: It ends at 1 / (div_factor * final_div_factor).
        n_steps: Number of steps, see `one_cycle_turn`.

    Raises:
        ValueError: A factor is not above 0, or pct_start is no share.
    """
    for name, factor in (("div", div_factor), ("final_div", final_div_factor)):
        if not factor > 0:
            raise ValueError(f"{name}_factor must be above 0, got {factor}")
    low = 1 / div_factor
    up, down = anneal_cosine(low, 1.0), anneal_cosine(1.0, low / final_div_factor)
    turn = one_cycle_turn(pct_start, n_steps)
    return join_schedules([up, down], [turn, 1 - turn])


def one_cycle_turn(pct_start: float, n_steps: int | None = None) -> float:
    """Position of the highest rate.

    torch counts `pct_start * n_steps` steps from 1, so that the turn is one step
    earlier than the share itself says.

    >>> one_cycle_turn(0.25, 13)
    0.1875
    """
    if not 0 <= pct_start <= 1:
        raise ValueError(f"pct_start must lie in 0..1, got {pct_start}")
    if n_steps is None or n_steps < 2:
        return pct_start
    return max((pct_start * n_steps - 1) / (n_steps - 1), 0.0)


def flat_cosine_schedule(flat: float = 0.72, warmup: float = 0.0) -> Schedule:
    """Factors of the learning rate: rise in a line, stay at 1, cosine down to 0.

    Args:
        flat: Share of the steps before the fall begins, the rise included.
        warmup: Share of the steps in which the rate rises from 0.
    """
    if not 0 <= warmup <= flat <= 1:
        raise ValueError(
            f"0 <= warmup <= flat <= 1 is needed, got warmup={warmup}, flat={flat}"
        )
    parts = [anneal_linear(0.0, 1.0), anneal_constant(1.0), anneal_cosine(1.0, 0.0)]
    return join_schedules(parts, [warmup, flat - warmup, 1 - flat])


def warmup_cosine_schedule(warmup: float = 0.05, end: float = 0.0) -> Schedule:
    """Factors of the learning rate: rise in a line for `warmup`, cosine to `end`."""
    parts = [anneal_linear(0.0, 1.0), anneal_cosine(1.0, end)]
    return join_schedules(parts, [warmup, 1 - warmup])


class Scheduler(Callback):
    """Moves a hyper-parameter along a schedule, one value per training step.

    Args:
        schedule: Function of the position 0.0..1.0 in the fit.
        name: Which one: "lr", "momentum" (the first beta of Adam), "weight_decay", ...
        relative: True if the schedule gives factors of the values the groups had at
            the start of the fit (so that groups keep their ratios), False if it gives
            the values themselves.
    """

    order = -20
    in_valid = False

    def __init__(
        self, schedule: Schedule, name: str = "lr", relative: bool | None = None
    ) -> None:
        self.schedule = schedule
        self.name = name
        self.relative = name == "lr" if relative is None else relative
        self._bases: list[float] = []

    def before_fit(self, learner: LearnerState) -> None:
        """Keep the values the groups start from."""
        if learner.n_steps is None:
            raise ValueError(
                "a schedule needs to know the number of steps: the training batches "
                "must have a len()"
            )
        groups = learner.optimizer.param_groups
        self._bases = [read_hyper(group, self.name) for group in groups]

    def before_batch(self, learner: LearnerState) -> None:
        """Set this step's value."""
        last = max((learner.n_steps or 1) - 1, 1)
        value = self.schedule(min(learner.step / last, 1.0))
        bases = self._bases if self.relative else [1.0] * len(self._bases)
        set_hyper(learner.optimizer, self.name, [value * base for base in bases])


def one_cycle_callbacks(
    optimizer: torch.optim.Optimizer,
    n_steps: int | None,
    pct_start: float = 0.3,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    weight_decay: float | None = None,
    momenta: tuple[float, float, float] | None = (0.95, 0.85, 0.95),
) -> list[Callback]:
    """The schedulers of a 1cycle fit: learning rate, momentum against it, decay.

    Args:
        optimizer: Asked whether it has a momentum.
        n_steps: Number of steps.
        pct_start: See `one_cycle_schedule`, as the two factors.
        div_factor: Of the start.
        final_div_factor: Of the end.
        weight_decay: For this fit; groups set to 0 beside others keep theirs.
        momenta: At the start, at the highest rate and at the end; None for no change.
    """
    cycle = one_cycle_schedule(pct_start, div_factor, final_div_factor, n_steps)
    schedulers: list[Callback] = [Scheduler(cycle)]
    if momenta is not None and has_hyper(optimizer, "momentum"):
        first, middle, last = momenta
        parts = [anneal_cosine(first, middle), anneal_cosine(middle, last)]
        turn = one_cycle_turn(pct_start, n_steps)
        schedulers.append(
            Scheduler(join_schedules(parts, [turn, 1 - turn]), "momentum")
        )
    if weight_decay is not None:
        if weight_decay < 0:
            raise ValueError(f"weight_decay must be 0 or more, got {weight_decay}")
        highest = max(read_hyper(g, "weight_decay") for g in optimizer.param_groups)
        level = anneal_constant(weight_decay / (highest or 1.0))
        schedulers.append(Scheduler(level, "weight_decay", relative=highest > 0))
    return schedulers


class TorchScheduler(Callback):
    """Any scheduler of `torch.optim.lr_scheduler`.

    Args:
        factory: Called with the optimizer at the start of the fit, for example
            `partial(torch.optim.lr_scheduler.StepLR, step_size=10)`.
        per_step: Step it after each training batch instead of each epoch.
        monitor: Column of the history given to `step`, for ReduceLROnPlateau.
    """

    order = 60

    def __init__(
        self,
        factory: Callable[
            [torch.optim.Optimizer], torch.optim.lr_scheduler.LRScheduler
        ],
        per_step: bool = False,
        monitor: str = "",
    ) -> None:
        self.factory = factory
        self.per_step = per_step
        self.monitor = monitor
        self._scheduler: torch.optim.lr_scheduler.LRScheduler | None = None

    def before_fit(self, learner: LearnerState) -> None:
        """Make the scheduler."""
        self._scheduler = self.factory(learner.optimizer)

    def after_step(self, learner: LearnerState) -> None:
        """Step once per batch where that was asked for."""
        if self.per_step and self._scheduler is not None:
            self._scheduler.step()

    def after_epoch(self, learner: LearnerState) -> None:
        """Step once per epoch otherwise."""
        if self.per_step or self._scheduler is None:
            return
        if self.monitor:
            self._scheduler.step(learner.history[-1][self.monitor])  # type: ignore[arg-type]
        else:
            self._scheduler.step()

    def state_dict(self) -> dict[str, object]:
        """State of torch's scheduler."""
        return {} if self._scheduler is None else self._scheduler.state_dict()

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Restore torch's scheduler."""
        if self._scheduler is not None and state:
            self._scheduler.load_state_dict(state)
