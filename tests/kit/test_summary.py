import torch
from small_learner import digits, small_learner, small_net
from torch import nn

from kaggle_kit.summary import summarise_model


def test_layers_shapes_parameters_and_work():
    summary = small_learner().summary()
    rows = {row.name: row for row in summary.rows}
    assert [row.kind for row in summary.rows] == [
        "Conv2d",
        "BatchNorm2d",
        "ReLU",
        "Flatten",
        "Dropout",
        "Linear",
    ]
    assert rows["0"].input == (32, 1, 8, 8)
    assert rows["0"].output == (32, 4, 8, 8)
    assert rows["0"].parameters == 4 * 9 + 4
    assert rows["0"].multiply_adds == 4 * 64 * 9
    assert rows["5"].multiply_adds == 2560
    assert summary.parameters == sum(p.numel() for p in small_net().parameters())
    assert summary.total == (
        "2,618 parameters, 2,618 trained, 0.00 million multiply-adds per item"
    )


def test_text_and_table():
    summary = small_learner().summary()
    lines = str(summary).splitlines()
    assert lines[0].split() == [
        "layer",
        "class",
        "input",
        "output",
        "parameters",
        "Mmult-adds",
    ]
    assert lines[2].split() == ["0", "Conv2d", "32x1x8x8", "32x4x8x8", "40", "0.00"]
    assert repr(summary) == str(summary)
    table = summary._repr_html_()
    assert table.count("<tr>") == 7
    assert "<td>Conv2d</td>" in table


def test_the_model_is_left_as_it_was():
    model = small_net().train()
    model[1].eval()
    modes = [module.training for module in model.modules()]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    summarise_model(model, digits(4)[0])
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_shared_layers_grouped_convolutions_and_frozen_weights():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
            self.extra = nn.Parameter(torch.zeros(5))

        def forward(self, x):
            return self.conv(self.conv(x))

    model = Shared()
    model.conv.weight.requires_grad_(False)
    summary = summarise_model(model, torch.zeros(2, 4, 5, 5))
    assert [row.parameters for row in summary.rows] == [36, 0]
    assert [row.multiply_adds for row in summary.rows] == [4 * 25 * 9] * 2
    assert (summary.parameters, summary.trained) == (41, 5)


def test_a_compiled_model_shows_the_layers_within():
    model, x = small_net(), digits(2)[0]
    plain = summarise_model(model, x)
    assert str(summarise_model(torch.compile(model), x)) == str(plain)
