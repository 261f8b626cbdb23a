import functools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_learner import small_learner

from kaggle_kit.events import Callback
from kaggle_kit.schedules import (
    Scheduler,
    TorchScheduler,
    anneal_constant,
    anneal_cosine,
    anneal_exponential,
    anneal_linear,
    anneal_polynomial,
    flat_cosine_schedule,
    join_schedules,
    one_cycle_schedule,
    warmup_cosine_schedule,
)

POSITIONS = [step / 40 for step in range(41)]


def torch_rates(make, steps):
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([parameter], lr=1.0, momentum=0.9)
    scheduler = make(optimizer)
    rates = []
    for step in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < steps - 1:
            scheduler.step()
    return rates


@pytest.mark.parametrize(
    ("schedule", "make"),
    [
        (
            anneal_cosine(1.0, 0.1),
            lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40, eta_min=0.1),
        ),
        (
            anneal_linear(0.25, 1.0),
            lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.25, 1.0, total_iters=40),
        ),
        (
            anneal_polynomial(1.0, 0.0, 2.0),
            lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 40, power=2.0),
        ),
        (
            anneal_exponential(1.0, 0.9**40),
            lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
        ),
    ],
    ids=["cosine", "linear", "polynomial", "exponential"],
)
def test_schedules_agree_with_torch(schedule, make):
    ours = [schedule(position) for position in POSITIONS]
    np.testing.assert_allclose(ours, torch_rates(make, 41), rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    n_steps=st.integers(5, 200),
    pct_start=st.floats(0.25, 0.9),
    div_factor=st.floats(1.5, 100),
)
def test_one_cycle_agrees_with_torch_for_any_setting(n_steps, pct_start, div_factor):
    schedule = one_cycle_schedule(pct_start, div_factor, 1e4, n_steps)
    ours = [schedule(step / (n_steps - 1)) for step in range(n_steps)]

    expected = torch_rates(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            1.0,
            total_steps=n_steps,
            pct_start=pct_start,
            div_factor=div_factor,
        ),
        n_steps,
    )
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=50)
@given(
    fractions=st.lists(st.integers(0, 5), min_size=1, max_size=5).filter(sum),
    position=st.floats(0, 1),
)
def test_joined_schedules_each_get_their_own_share(fractions, position):
    shares = [fraction / sum(fractions) for fraction in fractions]
    parts = [anneal_linear(float(i), i + 1.0) for i in range(len(shares))]
    joined = join_schedules(parts, shares)
    value = joined(position)
    index = min(math.floor(value), len(shares) - 1)
    assert 0 <= value <= len(shares)
    done = sum(shares[:index]) + (value - index) * shares[index]
    if value - index:  # at a seam the next part has begun
        assert done == pytest.approx(position, abs=1e-9)
    last = max(i for i, share in enumerate(shares) if share)
    assert joined(1.0) == pytest.approx(last + 1.0)


def test_shapes_of_the_ready_made_ones():
    flat = flat_cosine_schedule(0.75, warmup=0.25)
    assert [flat(p) for p in (0.0, 0.125, 0.5, 0.75)] == [0.0, 0.5, 1.0, 1.0]
    assert flat(0.875) == pytest.approx(0.5)
    assert flat(1.0) == pytest.approx(0.0)
    warm = warmup_cosine_schedule(0.5, end=0.1)
    assert [warm(p) for p in (0.0, 0.25, 0.5)] == [0.0, 0.5, 1.0]
    assert warm(1.0) == pytest.approx(0.1)
    assert anneal_constant(3.0)(0.7) == 3.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: anneal_exponential(0.0, 1.0), "needs values above 0"),
        (lambda: join_schedules([anneal_constant(1)], [0.5, 0.5]), "1 schedules but 2"),
        (lambda: join_schedules([anneal_constant(1)], [0.5]), "sum to 1"),
        (lambda: one_cycle_schedule(1.5), "pct_start must lie in 0..1, got 1.5"),
        (lambda: one_cycle_schedule(0.3, 0), "div_factor must be above 0, got 0"),
        (
            lambda: one_cycle_schedule(0.3, 25, 0),
            "final_div_factor must be above 0, got 0",
        ),
        (lambda: flat_cosine_schedule(0.1, 0.2), "warmup <= flat <= 1 is needed"),
    ],
)
def test_bad_schedules_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


class Values(Callback):
    def __init__(self, name):
        self.name, self.seen = name, []

    def after_step(self, learner):
        self.seen.append(learner.optimizer.param_groups[0][self.name])


def test_a_scheduler_moves_a_rate_by_factors_and_the_rest_by_values():
    rates, decays = Values("lr"), Values("weight_decay")
    learner = small_learner(
        [
            Scheduler(anneal_linear(1.0, 0.0)),
            Scheduler(anneal_linear(0.0, 1.0), "weight_decay"),
            rates,
            decays,
        ]
    )
    learner.fit(2, 0.1)
    assert rates.seen == pytest.approx([0.1 * (1 - step / 5) for step in range(6)])
    assert decays.seen == pytest.approx([step / 5 for step in range(6)])


def test_a_scheduler_explains_what_it_lacks():
    with pytest.raises(ValueError, match="no hyper-parameter 'mu'; it has amsgrad"):
        small_learner([Scheduler(anneal_constant(1.0), "mu")]).fit(1)
    endless = small_learner(data=(iter([]),))
    with pytest.raises(ValueError, match=r"must have a len\(\)"):
        endless.fit_one_cycle(1)


def test_torch_schedulers_step_per_batch_or_epoch():
    step = functools.partial(torch.optim.lr_scheduler.StepLR, step_size=1, gamma=0.1)
    per_epoch, per_step = Values("lr"), Values("lr")
    small_learner([TorchScheduler(step), per_epoch]).fit(2, 1.0)
    assert per_epoch.seen == pytest.approx([1.0] * 3 + [0.1] * 3)
    learner = small_learner([TorchScheduler(step, per_step=True), per_step])
    learner.fit(1, 1.0)
    assert per_step.seen == pytest.approx([1.0, 0.1, 0.01])
    assert "initial_lr" not in learner.optimizer.param_groups[0]


def test_reduce_on_plateau_reads_the_history():
    rates = Values("lr")
    plateau = functools.partial(
        torch.optim.lr_scheduler.ReduceLROnPlateau, patience=0, threshold=0.9
    )
    learner = small_learner([TorchScheduler(plateau, monitor="valid_loss"), rates])
    learner.fit(3, 1e-3)
    assert rates.seen[-1] == pytest.approx(1e-4)
