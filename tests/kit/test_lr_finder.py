import pytest
import torch
from small_learner import digits, same_weights, small_learner, weights_of
from torch.utils.data import DataLoader, TensorDataset

from kaggle_kit.events import Callback
from kaggle_kit.loaders import Data
from kaggle_kit.lr_finder import RateSweep, steepest_rate


class Counter(Callback):
    calls = 0

    def before_fit(self, learner):
        self.calls += 1


def test_everything_is_put_back_exactly():
    x, y = digits(136)
    generator = torch.Generator()
    loader = DataLoader(TensorDataset(x, y), 32, shuffle=True, generator=generator)
    searched, plain = [
        small_learner([Counter()], data=Data(loader, [(x, y)])) for _ in range(2)
    ]
    results = []
    for learner, search in ((plain, False), (searched, True)):
        torch.manual_seed(3)
        generator.manual_seed(3)
        learner.fit(1)
        before = weights_of(learner.model)
        if search:
            modes = [m.training for m in learner.model.modules()]
            learner.lr_find(steps=20, plot=False)
            assert [m.training for m in learner.model.modules()] == modes
            assert same_weights(before, weights_of(learner.model))
        learner.fit(1)
        rows = [{k: v for k, v in r.items() if k != "seconds"} for r in learner.history]
        results.append((weights_of(learner.model), rows))
    assert same_weights(results[0][0], results[1][0])
    assert results[0][1] == results[1][1]


def test_a_fresh_optimizer_is_fresh_again():
    learner = small_learner()
    learner.lr_find(steps=10, plot=False)
    assert not learner.optimizer.state
    assert learner.history == []
    assert all(p.grad is None for p in learner.model.parameters())


def test_a_search_finds_a_rate_that_trains():
    learner = small_learner(splitter=lambda m: [m[:2].parameters(), m[2:].parameters()])
    found = learner.lr_find(start=1e-5, steps=60, plot=False)
    assert len(found.rates) == len(found.losses)
    assert found.rates[0] == pytest.approx(1e-5)
    ratios = {
        round(b / a, 6) for a, b in zip(found.rates, found.rates[1:], strict=False)
    }
    assert len(ratios) == 1
    assert 1e-4 < found.suggestion < 1
    learner.fit(3, found.suggestion)
    assert learner.history[-1]["train_loss"] < 0.7 * learner.history[0]["train_loss"]


def test_only_callbacks_of_the_step_take_part_and_errors_put_back_too():
    counter = Counter()

    class Fails(Callback):
        alters_step = True

        def after_step(self, learner):
            if learner.step == 3:
                raise OSError("disk")

    learner = small_learner([counter, Fails()])
    before = weights_of(learner.model)
    with pytest.raises(OSError, match="disk"):
        learner.lr_find()
    assert counter.calls == 0
    assert same_weights(before, weights_of(learner.model))


def test_the_search_ends_when_the_loss_blows_up():
    found = small_learner().lr_find(end=1e6, steps=200, plot=False)
    assert len(found.rates) < 200
    assert found.losses[-1] > 4 * min(found.losses)


def test_the_steepest_fall_is_suggested():
    rates = [10.0**i for i in range(-6, 3)]
    losses = [2.3, 2.3, 2.2, 1.9, 1.2, 0.9, 0.8, 1.5, 5.0]
    assert steepest_rate(rates, losses) == 1e-3


def test_a_loss_that_never_falls_is_reported():
    with pytest.raises(ValueError, match=r"did not fall in 6 steps from rate 0.001"):
        steepest_rate([1e-3] * 6, [1, 2, 3, 4, 5, 6])
    with pytest.raises(ValueError, match=r"0 < start < end and at least 2 steps"):
        RateSweep(start=1.0, end=0.1)


def test_the_search_draws_and_says_its_suggestion(tmp_path):
    lines = []
    found = small_learner(log=lines).lr_find(steps=30, folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["lr_find.png"]
    assert f"learning rate: {found.suggestion:.2g}" in lines[-1]
