import pytest
import torch
from small_learner import digits, same_weights, small_learner, weights_of

from kaggle_kit.callbacks import GradientAccumulation
from kaggle_kit.events import Callback
from kaggle_kit.precision import MixedPrecision


class Look(Callback):
    def __init__(self):
        self.dtypes, self.norms = set(), []

    def after_predict(self, learner):
        self.dtypes.add(learner.preds.dtype)

    def before_step(self, learner):
        grads = [p.grad.flatten() for p in learner.model.parameters()]
        self.norms.append(torch.cat(grads).norm().item())


@pytest.mark.parametrize("name", ["bf16", "fp16"])
def test_half_precision_is_inside_the_forward_pass_only(name):
    dtype = {"bf16": torch.bfloat16, "fp16": torch.float16}[name]
    look, full = Look(), Look()
    learner = small_learner([MixedPrecision(name), look])
    torch.manual_seed(0)
    learner.fit(2)
    assert look.dtypes == {dtype}
    assert {p.dtype for p in learner.model.parameters()} == {torch.float32}
    assert learner.history[-1]["train_loss"] < learner.history[0]["train_loss"]
    assert learner.get_preds().dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")
    assert learner.stepper is None
    torch.manual_seed(0)
    small_learner([full]).fit(2)
    # What others see before a step is the true gradient, not the scaled one.
    assert look.norms == pytest.approx(full.norms, rel=0.05)


def test_off_is_off():
    plain, off = small_learner(), small_learner([MixedPrecision("off")])
    for learner in (plain, off):
        torch.manual_seed(0)
        learner.fit(1)
    assert same_weights(weights_of(plain.model), weights_of(off.model))


class Overflow(Callback):
    def __init__(self):
        self.weights = []

    def after_backward(self, learner):
        if learner.step == 1:
            next(learner.model.parameters()).grad.fill_(torch.inf)
        self.weights.append(next(learner.model.parameters()).detach().clone())


def test_a_step_with_overflow_is_left_out_and_the_scale_halved():
    precision, overflow = MixedPrecision("fp16"), Overflow()
    small_learner([precision, overflow]).fit(1)
    assert torch.equal(overflow.weights[1], overflow.weights[2])
    assert not torch.equal(overflow.weights[0], overflow.weights[1])
    assert precision.state_dict()["scale"] == 2.0**15


def test_the_scale_is_part_of_the_state():
    first, second = MixedPrecision("fp16"), MixedPrecision("fp16")
    small_learner([first, Overflow()]).fit(1)
    small_learner([second]).fit(1)
    second.load_state_dict(first.state_dict())
    assert second.state_dict() == first.state_dict()


def test_it_works_with_accumulation():
    look = Look()
    learner = small_learner([MixedPrecision("fp16"), GradientAccumulation(2), look])
    learner.fit(2)
    assert len(look.norms) == 4  # 3 batches: a step of two and one of one
    assert max(look.norms) < 10


def test_an_error_in_the_model_leaves_autocast():
    learner = small_learner([MixedPrecision("bf16")])
    x, _ = digits(8)
    with pytest.raises(RuntimeError, match="expected input"):
        learner.get_preds([x.expand(-1, 3, -1, -1)])
    assert not torch.is_autocast_enabled("cpu")


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="must be 'auto', 'bf16', 'fp16' or 'off'"):
        MixedPrecision("half")
