import copy
import functools
import math

import numpy as np
import pytest
import torch
from small_learner import same_weights, small_learner, small_net, weights_of

from kaggle_kit.lamb import Lamb, Ralamb, radam_rectifier
from kaggle_kit.lookahead import Lookahead, over9000
from kaggle_kit.schedules import Scheduler, anneal_linear

SHAPES = [(4, 3), (5,), (2, 3, 2)]


class SlowLamb:
    """The formulas of the papers, one number at a time, in float64."""

    rectified = False

    def __init__(self, weights, lr, beta1, beta2, eps, decay):
        self.weights = [w.numpy().copy() for w in weights]
        self.lr, self.beta1, self.beta2 = lr, beta1, beta2
        self.eps, self.decay = eps, decay
        self.m = [np.zeros(w.shape) for w in self.weights]
        self.v = [np.zeros(w.shape) for w in self.weights]
        self.t = 0

    def step(self, grads):
        self.t += 1
        for index, grad in enumerate(grads):
            self.one(index, grad.numpy())

    def one(self, index, grad):
        w, m, v = self.weights[index], self.m[index], self.v[index]
        update = np.zeros(w.shape)
        for place in np.ndindex(w.shape):
            g = grad[place]
            m[place] = self.beta1 * m[place] + (1 - self.beta1) * g
            v[place] = self.beta2 * v[place] + (1 - self.beta2) * g * g
            r = self.direction(m[place], v[place])
            update[place] = r + self.decay * w[place]
        long = min(math.sqrt((w**2).sum()), 10.0)
        wide = math.sqrt((update**2).sum())
        ratio = long / wide if long > 0 and wide > 0 else 1.0
        self.weights[index] = w - self.lr * ratio * update

    def direction(self, m, v):
        m_hat = m / (1 - self.beta1**self.t)
        v_hat = v / (1 - self.beta2**self.t)
        if not self.rectified:
            return m_hat / (math.sqrt(v_hat) + self.eps)
        rho_inf = 2 / (1 - self.beta2) - 1
        power = self.beta2**self.t
        rho = rho_inf - 2 * self.t * power / (1 - power)
        if rho <= 5:
            return m_hat
        r = math.sqrt(
            ((rho - 4) * (rho - 2) * rho_inf) / ((rho_inf - 4) * (rho_inf - 2) * rho)
        )
        return r * m_hat / (math.sqrt(v_hat) + self.eps)


class SlowRalamb(SlowLamb):
    rectified = True


class SlowOver9000(SlowRalamb):
    k, alpha = 3, 0.4

    def __init__(self, *args):
        super().__init__(*args)
        self.slow = [w.copy() for w in self.weights]

    def step(self, grads):
        super().step(grads)
        if self.t % self.k == 0:
            for index, fast in enumerate(self.weights):
                self.slow[index] += self.alpha * (fast - self.slow[index])
                self.weights[index] = self.slow[index].copy()


def tensors(generator, scale=1.0):
    return [
        scale * torch.randn(shape, generator=generator, dtype=torch.float64)
        for shape in SHAPES
    ]


@pytest.mark.parametrize(
    ("make", "slow"),
    [
        (Lamb, SlowLamb),
        (Ralamb, SlowRalamb),
        (functools.partial(over9000, k=3, alpha=0.4), SlowOver9000),
    ],
    ids=["lamb", "ralamb", "over9000"],
)
@pytest.mark.parametrize("scale", [1.0, 50.0, 0.0])
def test_every_step_is_that_of_the_formula(make, slow, scale):
    generator = torch.Generator().manual_seed(0)
    start = tensors(generator, scale)  # 50: norms above 10; 0: no ratio at first
    parameters = [torch.nn.Parameter(w.clone()) for w in start]
    optimizer = make(parameters, lr=0.05, betas=(0.8, 0.9), eps=1e-6, weight_decay=0.1)
    reference = slow(start, 0.05, 0.8, 0.9, 1e-6, 0.1)
    for _ in range(12):
        grads = tensors(generator)
        for parameter, grad in zip(parameters, grads, strict=True):
            parameter.grad = grad.clone()
        optimizer.step()
        reference.step(grads)
        for parameter, expected in zip(parameters, reference.weights, strict=True):
            np.testing.assert_allclose(
                parameter.detach().numpy(), expected, rtol=1e-9, atol=1e-12
            )


def test_ralambs_direction_is_that_of_torchs_radam():
    # A single number has the ratio |w| / |r|: divided out, RAdam's step remains.
    generator = torch.Generator().manual_seed(1)
    ours = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    theirs = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    ralamb = Ralamb([ours], betas=(0.9, 0.9), eps=0.0)
    radam = torch.optim.RAdam([theirs], lr=1e-3, betas=(0.9, 0.9), eps=0.0)
    for _ in range(15):
        grad = torch.randn(1, generator=generator, dtype=torch.float64)
        ours.grad, theirs.grad = grad.clone(), grad.clone()
        before = theirs.detach().clone()
        ralamb.step()
        radam.step()
        state = ralamb.state[ours]
        direction = ralamb.direction(
            state["mean"].clone(),
            state["square"],
            state["step"],
            ralamb.param_groups[0],
        )
        torch.testing.assert_close(before - 1e-3 * direction, theirs.detach())


def test_the_rectifier_begins_late_and_goes_to_one():
    assert radam_rectifier(5, 0.999) is None
    assert radam_rectifier(6, 0.999) == pytest.approx(0.017, abs=0.01)
    assert radam_rectifier(100_000, 0.999) == pytest.approx(1.0, abs=1e-6)


def test_lookahead_around_any_optimizer_takes_the_slow_step():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    optimizer = Lookahead(torch.optim.SGD([weight], lr=0.1), k=2, alpha=0.5)
    seen = []
    for _ in range(4):
        weight.grad = torch.ones(1)
        optimizer.step()
        seen.append(round(weight.item(), 6))
    assert seen == [0.9, 0.9, 0.8, 0.8]


@pytest.mark.parametrize("make", [Lamb, Ralamb, over9000])
def test_they_train_under_a_schedule_and_resume_exactly(make):
    sgd_like = [Scheduler(anneal_linear(1.0, 0.1))]
    learner = small_learner(sgd_like, optimizer=make, lr=0.02)
    learner.fit(2)
    assert learner.history[1]["train_loss"] < learner.history[0]["train_loss"]
    other = small_learner(sgd_like, model=small_net(4), optimizer=make, lr=0.02)
    other.model.load_state_dict(learner.model.state_dict())
    other.optimizer.load_state_dict(copy.deepcopy(learner.optimizer.state_dict()))
    for one in (learner, other):
        torch.manual_seed(5)
        one.fit(2)
    assert same_weights(weights_of(learner.model), weights_of(other.model))


def test_lookahead_shares_groups_and_state_with_the_inner_optimizer():
    model = small_net()
    inner = torch.optim.AdamW(model[:3].parameters(), lr=0.1)
    optimizer = Lookahead(inner)
    optimizer.param_groups[0]["lr"] = 0.3
    assert inner.param_groups[0]["lr"] == 0.3
    optimizer.add_param_group({"params": list(model[5].parameters()), "lr": 0.2})
    assert len(inner.param_groups) == len(optimizer.param_groups) == 2
    optimizer.load_state_dict(optimizer.state_dict())
    optimizer.param_groups[1]["lr"] = 0.4
    assert inner.param_groups[1]["lr"] == 0.4
    model(torch.rand(2, 1, 8, 8)).sum().backward()
    optimizer.step()
    assert optimizer.state is inner.state
    optimizer.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_a_closure_recomputes_the_loss():
    weight = torch.nn.Parameter(torch.tensor([1.0]))
    for optimizer in (Lamb([weight]), Lookahead(torch.optim.SGD([weight], lr=0.1))):

        def closure(optimizer=optimizer):
            optimizer.zero_grad()
            loss = weight.square().sum()
            loss.backward()
            return loss

        before = weight.item()
        assert optimizer.step(closure).item() == pytest.approx(before**2)
        assert weight.item() < before


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: Lamb(p, lr=-1), "must be >= 0, got -1"),
        (lambda p: Ralamb(p, betas=(1.0, 0.9)), "betas must lie in 0..1"),
        (lambda p: over9000(p, k=0), "k must be at least 1"),
        (lambda p: over9000(p, alpha=0.0), "alpha must lie above 0"),
    ],
)
def test_bad_values_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make([torch.nn.Parameter(torch.ones(1))])
