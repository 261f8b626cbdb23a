import pytest
import torch
from small_learner import same_weights, small_learner, weights_of

from kaggle_kit.averaging import ModelEma
from kaggle_kit.events import Callback
from kaggle_kit.stopping import EarlyStopping


class Trace(Callback):
    """Keeps the weights at chosen moments."""

    order = -11  # before the average moves

    def __init__(self):
        self.steps, self.validated, self.after_epoch_weights = [], [], []

    def before_fit(self, learner):
        self.steps.append(weights_of(learner.model))

    def after_step(self, learner):
        self.steps.append(weights_of(learner.model))

    def before_predict(self, learner):
        if not learner.training and learner.batch_index == 0:
            self.validated.append(weights_of(learner.model))

    def after_epoch(self, learner):
        self.after_epoch_weights.append(weights_of(learner.model))


def slow_average(steps, decay_of):
    average = {name: value.double() for name, value in steps[0].items()}
    for n, weights in enumerate(steps[1:], 1):
        decay = decay_of(n)
        for name, value in weights.items():
            if value.is_floating_point():
                average[name] = decay * average[name] + (1 - decay) * value.double()
            else:
                average[name] = value.double()
    return average


def close(weights, average):
    return all(
        torch.allclose(value.double(), average[name], rtol=1e-5, atol=1e-6)
        for name, value in weights.items()
    )


@pytest.mark.parametrize(
    ("warmup", "decay_of"),
    [(False, lambda n: 0.9), (True, lambda n: min(0.9, (1 + n) / (10 + n)))],
)
def test_the_average_is_that_of_the_formula(warmup, decay_of):
    trace = Trace()
    learner = small_learner([trace, ModelEma(0.9, warmup)])
    learner.fit(2)
    expected = slow_average(trace.steps, decay_of)
    assert close(trace.validated[1], expected)
    assert same_weights(weights_of(learner.model), trace.validated[1])


def test_training_goes_on_with_the_plain_weights():
    plain, averaged = Trace(), Trace()
    for trace, extra in ((plain, []), (averaged, [ModelEma(0.9)])):
        learner = small_learner([trace, *extra])
        torch.manual_seed(0)
        learner.fit(3)
    assert len(plain.steps) == 10
    for first, second in zip(plain.steps, averaged.steps, strict=True):
        assert same_weights(first, second)
    assert not same_weights(plain.validated[2], averaged.validated[2])


def test_after_an_epoch_others_see_the_validated_weights():
    trace = Trace()
    small_learner([trace, ModelEma(0.9)]).fit(2)
    for validated, after in zip(
        trace.validated, trace.after_epoch_weights, strict=True
    ):
        assert same_weights(validated, after)


def test_early_stopping_restores_averaged_weights():
    class Script(Callback):
        order = 1

        def after_epoch(self, learner):
            learner.history[-1]["valid_loss"] = [2.0, 1.0, 3.0][learner.epoch]

    trace = Trace()
    learner = small_learner([EarlyStopping(9), trace, ModelEma(0.9), Script()])
    learner.fit(3)
    assert same_weights(weights_of(learner.model), trace.validated[1])


def test_without_validation_the_average_is_in_the_model_at_the_end():
    trace = Trace()
    learner = small_learner([trace, ModelEma(0.5, warmup=False)])
    learner.fit(1, valid=False)
    expected = slow_average(trace.steps, lambda n: 0.5)
    assert close(weights_of(learner.model), expected)


def test_after_ctrl_c_the_average_is_in_the_model():
    class Interrupt(Callback):
        order = 99

        def after_step(self, learner):
            if learner.step == 4:
                raise KeyboardInterrupt

    trace = Trace()
    learner = small_learner([trace, ModelEma(0.5, warmup=False), Interrupt()])
    with pytest.raises(KeyboardInterrupt):
        learner.fit(2)
    expected = slow_average(trace.steps, lambda n: 0.5)
    assert close(weights_of(learner.model), expected)


def test_a_bad_decay_is_refused():
    with pytest.raises(ValueError, match=r"decay must lie in 0..1, got 1.0"):
        ModelEma(1.0)


def test_validating_before_and_after_a_fit_leaves_the_weights_alone():
    learner = small_learner([ModelEma(0.9)])
    before = weights_of(learner.model)
    learner.validate()
    assert same_weights(before, weights_of(learner.model))
    learner.fit(2)
    after = weights_of(learner.model)
    last = learner.history[-1]["valid_loss"]
    assert learner.validate()["valid_loss"] == last
    assert same_weights(after, weights_of(learner.model))


def test_a_callback_that_validates_again_does_not_mix_the_weights_up():
    class Again(Callback):
        def after_epoch(self, learner):
            learner.validate()

    trace, plain = Trace(), Trace()
    for callbacks in ([trace, ModelEma(0.9), Again()], [plain, ModelEma(0.9)]):
        learner = small_learner(callbacks)
        torch.manual_seed(0)
        learner.fit(2)
    for first, second in zip(trace.steps, plain.steps, strict=True):
        assert same_weights(first, second)
