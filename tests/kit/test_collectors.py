import pytest
import torch
from torch import nn

from kaggle_kit.collectors import loss_per_item


def test_losses_per_item():
    preds, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    expected = nn.functional.cross_entropy(preds, targets, reduction="none")
    module = nn.CrossEntropyLoss()
    torch.testing.assert_close(loss_per_item(module, preds, targets), expected)
    assert module.reduction == "mean"
    torch.testing.assert_close(
        loss_per_item(nn.functional.cross_entropy, preds, targets), expected
    )
    squares = loss_per_item(nn.MSELoss(), preds, torch.zeros(4, 3))
    torch.testing.assert_close(squares, preds.square().mean(1))
    with pytest.raises(TypeError, match="has no `reduction`"):
        loss_per_item(lambda preds, targets: preds.mean(), preds, targets)
