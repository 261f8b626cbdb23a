import pytest
import torch
from small_learner import same_weights, small_learner, small_net, weights_of
from torch import nn

from kaggle_kit.callbacks import GradientClip
from kaggle_kit.events import Callback
from kaggle_kit.hooks import ActivationStats, GradientNorms, activation_numbers


def hooks_of(model):
    return [hook for module in model.modules() for hook in module._forward_hooks]


def test_layers_are_watched_in_training_only():
    stats = ActivationStats()
    learner = small_learner([stats])
    learner.fit(2)
    assert list(stats.stats) == ["0", "1", "2", "5"]
    relu = stats.stats["2"]
    assert len(relu.means) == len(relu.deviations) == len(relu.dead) == 6
    assert len(relu.histograms) == 6
    assert sum(relu.histograms[0][:20]) == 0  # nothing below zero after a ReLU
    assert stats.stats["1"].means[0] == pytest.approx(0.0, abs=1e-5)  # normalised
    assert stats.stats["1"].deviations[0] == pytest.approx(1.0, abs=1e-2)


def test_layers_of_a_compiled_model_keep_their_names():
    stats = ActivationStats(lambda name, module: name == "2")
    small_learner([stats], torch.compile(small_net(), backend="eager")).fit(1)
    assert len(stats.stats["2"].means) == 3


def test_watching_changes_nothing():
    plain, watched = small_learner(), small_learner([ActivationStats()])
    for learner in (plain, watched):
        torch.manual_seed(0)
        learner.fit(2)
    assert same_weights(weights_of(plain.model), weights_of(watched.model))


def test_hooks_are_removed_after_a_fit_an_error_and_ctrl_c():
    class Fails(Callback):
        def __init__(self, error):
            self.error = error

        def after_backward(self, learner):
            assert hooks_of(learner.model)
            raise self.error

    for error in (OSError, KeyboardInterrupt):
        stats = ActivationStats()
        learner = small_learner([stats, Fails(error)])
        with pytest.raises(error):
            learner.fit(1)
        assert hooks_of(learner.model) == []
        assert len(stats.stats["0"].means) == 1
    learner = small_learner([ActivationStats()])
    learner.fit(1)
    assert hooks_of(learner.model) == []


def test_layers_and_steps_can_be_chosen():
    stats = ActivationStats(lambda name, module: name == "5", every=2, bins=4)
    small_learner([stats]).fit(2)
    assert list(stats.stats) == ["5"]
    assert len(stats.stats["5"].means) == 3
    assert len(stats.stats["5"].histograms[0]) == 4
    with pytest.raises(ValueError, match="every and bins must be at least 1"):
        ActivationStats(every=0)


def test_numbers_of_a_known_output():
    output = torch.tensor([[[1.0, 3.0], [0.0, 0.0]], [[5.0, 7.0], [0.0, 0.0]]])
    numbers = activation_numbers(output, bins=2, limit=10.0)
    expected = [output.mean(), output.std(correction=0), 0.5, 0.0, 8.0]
    torch.testing.assert_close(numbers, torch.tensor(expected))


def test_a_dead_unit_is_seen():
    model = small_net()
    with torch.no_grad():
        model[1].weight[2], model[1].bias[2] = 0.1, -50.0
    stats = ActivationStats(lambda name, module: isinstance(module, nn.ReLU))
    small_learner([stats], model=model, lr=0.0).fit(1)
    assert stats.stats["2"].dead == [0.25] * 3


def test_gradient_norms_are_those_before_clipping():
    norms, clipped = GradientNorms(), GradientNorms()
    for callbacks in ([norms], [clipped, GradientClip(1e-3)]):
        torch.manual_seed(0)
        small_learner(callbacks, lr=0.0).fit(1)
    assert len(norms.norms) == 3
    assert norms.norms == pytest.approx(clipped.norms)
    assert min(norms.norms) > 0.1
