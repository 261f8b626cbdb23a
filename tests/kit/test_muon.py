import copy

import numpy as np
import pytest
import torch
from small_learner import same_weights, small_learner, small_net, weights_of
from torch import nn

from kaggle_kit import muon as muon_module
from kaggle_kit.muon import MuonAdamW, orthogonalised

HALF, FULL = torch.bfloat16, torch.float32
# Of torch's Muon, whose order of rounding may change from one version to the next.
NEAR = {"rtol": 0, "atol": 4 * 0.02 * 0.2 * 3 / 128}  # steps x length x half precision
VALUES = {"lr": 0.02, "weight_decay": 0.1, "momentum": 0.9}


@pytest.fixture
def computed_in(monkeypatch):
    """Decides what Muon computes in; otherwise the hardware does."""

    def decide(dtype):
        monkeypatch.setattr(muon_module, "_muon_dtype", lambda device: dtype)

    return decide


def stepped(optimizer, parameters, n_steps=4):
    """The parameters after some steps along gradients that a seed decides."""
    generator = torch.Generator().manual_seed(3)
    for _ in range(n_steps):
        for parameter in parameters:
            grad = torch.randn(parameter.shape, generator=generator)
            parameter.grad = grad.to(memory_format=memory_format_of(parameter))
        optimizer.step()
    return [parameter.detach().clone() for parameter in parameters]


def memory_format_of(tensor):
    strided = tensor.ndim == 4 and not tensor.is_contiguous()
    return torch.channels_last if strided else torch.contiguous_format


def parameters_of(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [nn.Parameter(torch.randn(shape, generator=generator)) for shape in shapes]


def slow_muon_step(weights, buffer, grad, lr, weight_decay, momentum):
    """One step as its authors and Liu et al. write it, in float64."""
    buffer += (1 - momentum) * (grad - buffer)
    update = grad + momentum * (buffer - grad)
    rows, columns = update.shape
    x = update.T if rows > columns else update
    x = x / np.linalg.norm(x)
    for _ in range(5):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    update = x.T if rows > columns else x
    weights *= 1 - lr * weight_decay
    weights -= lr * 0.2 * np.sqrt(max(rows, columns)) * update


@pytest.mark.parametrize("shape", [(6, 4), (4, 6), (5, 2, 3, 3)])
def test_every_step_is_that_of_the_formula(shape, computed_in):
    computed_in(torch.float64)
    parameters = parameters_of(shape)
    weights = parameters[0].detach().double().flatten(1).numpy().copy()
    buffer = np.zeros_like(weights)
    optimizer = MuonAdamW(parameters, **VALUES)
    generator = torch.Generator().manual_seed(1)
    for _ in range(3):
        grad = torch.randn(shape, generator=generator)
        parameters[0].grad = grad
        optimizer.step()
        slow_muon_step(weights, buffer, grad.double().flatten(1).numpy(), **VALUES)
        moved = parameters[0].detach().flatten(1).numpy()
        np.testing.assert_allclose(moved, weights, atol=1e-6)


@pytest.mark.parametrize("dtype", [HALF, FULL])
@pytest.mark.parametrize("shape", [(40, 200), (200, 40), (64, 64), (1, 5)])
def test_singular_values_are_brought_near_one(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=generator)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = orthogonalised(matrix, dtype)
    assert turned.dtype == dtype
    kept = s > 0.02 * matrix.norm()
    values = (u.T @ turned.float() @ v.T).diagonal()
    assert kept.sum() > 0.8 * len(s)
    assert ((values > 0.6) & (values < 1.3))[kept].all()
    assert torch.equal(orthogonalised(torch.zeros(shape), dtype).float(), 0 * matrix)


def test_matrices_take_torchs_muon_and_vectors_its_adamw(computed_in):
    computed_in(HALF)
    shapes = [(6, 4), (4,), (3, 9), ()]
    ours = parameters_of(*shapes)
    theirs = parameters_of(*shapes)
    adamw = torch.optim.AdamW([theirs[1], theirs[3]], lr=0.02, weight_decay=0.1)
    muon = torch.optim.Muon(
        [theirs[0], theirs[2]], **VALUES, adjust_lr_fn="match_rms_adamw"
    )

    class Both:
        def step(self):
            muon.step()
            adamw.step()

    expected = stepped(Both(), theirs)
    for got, one in zip(
        stepped(MuonAdamW(ours, **VALUES), ours), expected, strict=True
    ):
        torch.testing.assert_close(got, one, **NEAR)


def test_filters_are_the_matrix_of_their_flattened_inputs(computed_in):
    computed_in(HALF)
    (filters,) = parameters_of((5, 2, 3, 3))
    matrix = nn.Parameter(filters.detach().flatten(1).clone())
    moved = stepped(MuonAdamW([filters], **VALUES), [filters])[0]
    generator = torch.Generator().manual_seed(3)
    optimizer = torch.optim.Muon([matrix], **VALUES, adjust_lr_fn="match_rms_adamw")
    for _ in range(4):
        matrix.grad = torch.randn((5, 2, 3, 3), generator=generator).flatten(1)
        optimizer.step()
    torch.testing.assert_close(moved.flatten(1), matrix.detach(), **NEAR)


def test_channels_last_filters_move_alike():
    (usual,) = parameters_of((5, 2, 3, 3))
    (other,) = parameters_of((5, 2, 3, 3))
    other.data = other.data.to(memory_format=torch.channels_last)
    before = other.data_ptr()
    moved = stepped(MuonAdamW([usual], **VALUES), [usual])[0]
    assert torch.equal(stepped(MuonAdamW([other], **VALUES), [other])[0], moved)
    assert other.data_ptr() == before


@pytest.mark.parametrize(("native", "dtype"), [(HALF, HALF), (None, FULL)])
def test_half_precision_only_where_it_is_native(monkeypatch, native, dtype):
    # On a T4 that is float16, whose range is another one.
    for answer, expected in ((native, dtype), (torch.float16, FULL)):
        muon_module._muon_dtype.cache_clear()
        monkeypatch.setattr(
            muon_module, "native_half_precision", lambda device, answer=answer: answer
        )
        assert muon_module._muon_dtype(torch.device("cpu")) is expected
    muon_module._muon_dtype.cache_clear()


def test_a_group_or_everything_can_be_left_to_adamw():
    theirs = parameters_of((6, 4))
    expected = stepped(torch.optim.AdamW(theirs, lr=0.02, weight_decay=0.1), theirs)
    group, alone = parameters_of((6, 4)), parameters_of((6, 4))
    optimizer = MuonAdamW([{"params": group, "muon": False}], **VALUES)
    assert torch.equal(stepped(optimizer, group)[0], expected[0])
    optimizer = MuonAdamW(alone, **VALUES, muon=False)
    assert torch.equal(stepped(optimizer, alone)[0], expected[0])


def test_parameters_without_a_gradient_stay():
    first, second, vector = parameters_of((6, 4), (6, 4), (3,))
    kept = second.detach().clone(), vector.detach().clone()
    optimizer = MuonAdamW([first, second, vector], **VALUES)
    first.grad = torch.ones(6, 4)
    optimizer.step()
    assert torch.equal(second, kept[0])
    assert torch.equal(vector, kept[1])
    assert len(optimizer.state) == 1


def test_it_trains_under_one_cycle_and_resumes_exactly():
    learner = small_learner(optimizer=MuonAdamW, lr=0.02)
    learner.fit_one_cycle(2, weight_decay=0.05)
    assert learner.history[1]["train_loss"] < learner.history[0]["train_loss"]
    assert learner.optimizer.param_groups[0]["momentum"] == pytest.approx(0.95)
    other = small_learner(model=small_net(4), optimizer=MuonAdamW, lr=0.02)
    other.model.load_state_dict(learner.model.state_dict())
    other.optimizer.load_state_dict(copy.deepcopy(learner.optimizer.state_dict()))
    for one in (learner, other):
        torch.manual_seed(5)
        one.fit(2)
    assert same_weights(weights_of(learner.model), weights_of(other.model))


def test_a_copy_goes_on_like_the_original():
    parameters = parameters_of((6, 4), (3,))
    optimizer = MuonAdamW(parameters, **VALUES)
    stepped(optimizer, parameters)
    copied = copy.deepcopy(optimizer)
    others = copied.param_groups[0]["params"]
    expected = stepped(optimizer, parameters)
    for got, one in zip(stepped(copied, others), expected, strict=True):
        assert torch.equal(got, one)


def test_a_closure_recomputes_the_loss():
    (weights,) = parameters_of((3, 3))
    optimizer = MuonAdamW([weights], **VALUES)
    before = weights.detach().square().sum()

    def closure():
        optimizer.zero_grad()
        loss = weights.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == before
    assert weights.square().sum() < before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"lr": -1.0}, "lr, eps and weight_decay must be >= 0, got -1.0, 1e-08"),
        ({"momentum": 1.0}, r"momentum and betas must lie in 0..1, got 1.0 and \(0.9"),
    ],
)
def test_impossible_values_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        MuonAdamW(parameters_of((3, 3)), **values)
