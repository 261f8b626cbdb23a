import pytest
import torch
from small_learner import small_data, small_learner
from torch import nn
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    DistributedSampler,
    RandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from kaggle_kit.inference import get_preds, identity_view
from kaggle_kit.loaders import (
    Data,
    as_data,
    batch_count,
    check_in_order,
    set_batch_epoch,
    split_batch,
    step_count,
)

X, Y = torch.rand(4, 2), torch.arange(4)


def test_batches_are_split_into_inputs_and_targets():
    assert split_batch(X)[0] is X
    assert split_batch(X)[1] is None
    assert split_batch((X,))[1] is None
    assert split_batch([X, Y])[1] is Y
    inputs, targets = split_batch((X, X, Y))
    assert inputs[0] is X
    assert len(inputs) == 2
    assert targets is Y


@pytest.mark.parametrize("batch", [{"x": X}, None, (), "text"])
def test_other_batches_are_explained(batch):
    with pytest.raises(TypeError, match=r"a batch must be \(x, y\) or x alone, got"):
        split_batch(batch)


def test_data_may_be_a_plain_pair():
    assert as_data(([1], [2])) == Data([1], [2])
    assert as_data(([1],)) == Data([1], None)
    data = Data([1])
    assert as_data(data) is data
    for wrong in ((), (None, [1]), ([1], [2], [3])):
        with pytest.raises(ValueError, match=r"needs Data\(train, valid\)"):
            as_data(wrong)


def test_counts():
    assert batch_count([1, 2]) == 2
    assert batch_count(iter([1, 2])) is None
    assert step_count([1, 2], 3) == 6
    assert step_count(iter([1]), 3) is None


def test_samplers_hear_of_the_epoch():
    dataset = TensorDataset(X)
    sampler = DistributedSampler(dataset, num_replicas=2, rank=0)
    set_batch_epoch(DataLoader(dataset, sampler=sampler), 5)
    assert sampler.epoch == 5
    set_batch_epoch([1], 5)


ROWS = TensorDataset(torch.arange(10.0)[:, None], torch.arange(10))
SHUFFLED = [
    DataLoader(ROWS, 4, shuffle=True),
    DataLoader(ROWS, 4, sampler=WeightedRandomSampler([1.0] * 10, 10)),
    DataLoader(ROWS, batch_sampler=BatchSampler(RandomSampler(ROWS), 4, False)),
    DataLoader(
        ROWS, 4, sampler=DistributedSampler(ROWS, num_replicas=1, rank=0, shuffle=True)
    ),
]


@pytest.mark.parametrize("batches", SHUFFLED)
def test_predictions_on_shuffled_batches_are_refused(batches):
    with pytest.raises(ValueError, match="are shuffled, so the predictions would not"):
        check_in_order(batches)
    learner = small_learner(model=nn.Linear(1, 10))
    with pytest.raises(ValueError, match="predict on batches with shuffle=False and"):
        learner.get_preds(batches)
    with pytest.raises(ValueError, match="are shuffled"):
        learner.tta([identity_view], batches)
    with pytest.raises(ValueError, match="are shuffled"):
        get_preds(learner.model, batches, learner.device)
    _, targets = learner.get_preds(batches, with_targets=True)
    assert len(targets) == 10


def test_batches_that_leave_rows_out_are_refused():
    with pytest.raises(ValueError, match="leave out the last, incomplete one, so rows"):
        check_in_order(DataLoader(ROWS, 4, drop_last=True))
    for batches in (DataLoader(ROWS, 4), [ROWS[:4]], iter(()), small_data().valid):
        check_in_order(batches)
