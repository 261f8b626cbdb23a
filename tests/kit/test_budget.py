import pytest
from small_learner import small_learner

from kaggle_kit import budget as budget_module
from kaggle_kit.budget import TimeBudget
from kaggle_kit.events import Callback


class Clock(Callback):
    """A clock that moves by given seconds per training and validation batch."""

    order = -99

    def __init__(self, monkeypatch, train, valid):
        self.now, self.train, self.valid = 1000.0, train, valid
        monkeypatch.setattr(budget_module.time, "monotonic", lambda: self.now)

    def after_batch(self, learner):
        self.now += self.train if learner.training else self.valid


def run(monkeypatch, budget, epochs=10, train=10.0, valid=4.0):
    log = []
    # 3 training batches and 2 validation batches (32 and 8 images): 38 s an epoch
    learner = small_learner([Clock(monkeypatch, train, valid), budget], log=log)
    learner.fit(epochs)
    return len(learner.history), log


def test_it_stops_before_an_epoch_that_would_not_fit(monkeypatch):
    # 4 epochs take 152 s; a fifth with margin (45.6 s) and the reserve: 207.6 s
    assert run(monkeypatch, TimeBudget(207, reserve=10))[0] == 4
    assert run(monkeypatch, TimeBudget(208, reserve=10))[0] == 5


def test_it_keeps_time_for_predictions(monkeypatch):
    # 0.2 s an image in validation (8 s for 40): 100 images need 20 s, 24 with margin
    epochs, log = run(monkeypatch, TimeBudget(190, predict_items=100, reserve=10))
    assert epochs == 3
    assert log[-1] == (
        "time budget of 190 s: stopped after epoch 3/10, 76 s left, 34 s kept for "
        "predictions and writing"
    )


def test_it_stops_within_an_epoch_when_it_must(monkeypatch):
    epochs, log = run(monkeypatch, TimeBudget(60, reserve=45))
    assert epochs == 0
    assert "stopped in the middle of an epoch" in log[-1]


def test_a_first_batch_that_compiles_says_nothing_of_the_others(monkeypatch):
    class Compiles(Callback):
        order = -98

        def after_batch(self, learner):
            if learner.training and learner.step == 0:
                clock.now += 500

    # The slow start taken for 16 s an image, 100 predictions would need half an hour.
    budget, log = TimeBudget(1500, predict_items=100, reserve=10), []
    clock = Clock(monkeypatch, 10.0, 4.0)
    learner = small_learner([clock, Compiles(), budget], log=log)
    learner.fit(3)
    assert len(learner.history) == 3
    assert not any("budget" in line for line in log)


def test_the_last_epoch_is_no_reason_to_complain(monkeypatch):
    epochs, log = run(monkeypatch, TimeBudget(170, reserve=10), epochs=4)
    assert epochs == 4
    assert not any("budget" in line for line in log)


def test_time_before_the_fit_counts_when_told(monkeypatch):
    budget = TimeBudget(307, reserve=10, started=900.0)
    assert run(monkeypatch, budget)[0] == 4


def test_a_budget_below_its_reserve_is_refused():
    with pytest.raises(ValueError, match="leaves nothing beside the reserve of 60"):
        TimeBudget(60)
