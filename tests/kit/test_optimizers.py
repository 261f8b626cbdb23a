import pytest
import torch
from small_learner import small_net

from kaggle_kit.optimizers import (
    has_hyper,
    make_optimizer,
    no_decay_groups,
    parameter_groups,
    read_hyper,
    set_hyper,
    spread_over_groups,
)


@pytest.mark.parametrize(
    ("lr", "groups", "expected"),
    [
        (0.1, 3, [0.1, 0.1, 0.1]),
        ([0.1, 0.2], 2, [0.1, 0.2]),
        (slice(1e-4, 1e-2), 3, [1e-4, 1e-3, 1e-2]),
        (slice(1e-4, 1e-2), 1, [1e-2]),
        (slice(0.1), 3, [0.01, 0.01, 0.1]),
    ],
)
def test_rates_are_spread_over_groups(lr, groups, expected):
    assert spread_over_groups(lr, groups) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ([0.1], "1 learning rates for 2 parameter groups"),
        (slice(0.1, None), "no rate for the last group"),
        (-1.0, "must be a number >= 0, got -1.0"),
        (float("nan"), "must be a number >= 0, got nan"),
    ],
)
def test_rates_that_do_not_fit_are_refused(lr, message):
    with pytest.raises(ValueError, match=message):
        spread_over_groups(lr, 2)


def test_groups_cover_the_model_once():
    model = small_net()
    (group,) = parameter_groups(model)
    assert len(group["params"]) == 6
    with pytest.raises(ValueError, match=r"left out 5\.weight, 5\.bias: put every"):
        parameter_groups(model, lambda m: [m[:3].parameters()])
    with pytest.raises(ValueError, match=r"put 0\.weight into two groups"):
        parameter_groups(model, lambda m: [m.parameters(), m[0].parameters()])


def test_frozen_parameters_are_left_out():
    model = small_net()
    model[0].requires_grad_(False)
    groups = parameter_groups(model, lambda m: [m[:1].parameters(), m[1:].parameters()])
    assert [len(group["params"]) for group in groups] == [4]
    model.requires_grad_(False)
    with pytest.raises(ValueError, match="no trainable parameters"):
        parameter_groups(model)


def test_biases_and_normalisation_are_spared_from_decay():
    model = small_net()
    optimizer = make_optimizer(model, torch.optim.AdamW, 0.1, no_decay_groups)
    spared, decayed = optimizer.param_groups
    assert {id(p) for p in spared["params"]} == {
        id(p) for p in (model[0].bias, model[1].weight, model[1].bias, model[5].bias)
    }
    assert (spared["weight_decay"], decayed["weight_decay"]) == (0.0, 0.01)


def test_a_ready_optimizer_keeps_its_groups():
    model = small_net()
    ready = torch.optim.SGD(model.parameters(), lr=0.5)
    assert make_optimizer(model, ready).param_groups[0]["lr"] == 0.5
    assert make_optimizer(model, ready, 0.25).param_groups[0]["lr"] == 0.25
    with pytest.raises(ValueError, match="drop the splitter"):
        make_optimizer(model, ready, splitter=no_decay_groups)


def test_hyper_parameters_are_read_and_set():
    model = small_net()
    adam = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99))
    assert read_hyper(adam.param_groups[0], "momentum") == 0.9
    set_hyper(adam, "momentum", [0.8])
    assert adam.param_groups[0]["betas"] == (0.8, 0.99)
    sgd = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    set_hyper(sgd, "momentum", [0.5])
    assert sgd.param_groups[0]["momentum"] == 0.5
    assert has_hyper(adam, "momentum")
    assert has_hyper(sgd, "momentum")
    assert not has_hyper(torch.optim.SGD(model.parameters(), lr=0.1), "momentum")
    assert not has_hyper(sgd, "betas")
    with pytest.raises(ValueError, match="no hyper-parameter 'beta'; it has"):
        set_hyper(sgd, "beta", [0.5])
