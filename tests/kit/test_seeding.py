"""Seeds."""

import os
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from kaggle_kit.seeding import seed_everything, torch_generator, worker_init


def draws():
    return random.random(), float(np.random.rand()), float(torch.rand(()))


def test_the_same_seed_gives_the_same_draws_everywhere():
    seed_everything(3)
    first = draws()
    assert draws() != first
    seed_everything(3)
    assert draws() == first
    seed_everything(4)
    assert all(a != b for a, b in zip(draws(), first, strict=True))


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_out_of_range_is_refused(seed):
    with pytest.raises(ValueError, match=rf"from 0 to 2\*\*32 - 1, got {seed}"):
        seed_everything(seed)


def test_the_extreme_seeds_are_allowed():
    seed_everything(0)
    seed_everything(2**32 - 1)


def test_deterministic_switches_pytorch(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    before = torch.backends.cudnn.benchmark
    try:
        seed_everything(1, deterministic=True)
        assert torch.are_deterministic_algorithms_enabled()
        assert not torch.backends.cudnn.benchmark
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.benchmark = before


def test_a_generator_is_apart_from_the_global_state():
    seed_everything(0)
    expected = torch.rand(3)
    seed_everything(0)
    drawn = torch.rand(3, generator=torch_generator(7))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(drawn, torch.rand(3, generator=torch_generator(7)))
    assert not torch.equal(drawn, expected)


class Noise(Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return np.random.rand() + random.random()


def epochs_of(seed):
    loader = DataLoader(
        Noise(),
        batch_size=2,
        num_workers=2,
        worker_init_fn=worker_init,
        generator=torch_generator(seed),
        multiprocessing_context="fork",
    )
    return [torch.cat(list(loader)).tolist() for _ in range(2)]


@pytest.mark.skipif(os.name == "nt", reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*use of fork.*:DeprecationWarning")
def test_workers_draw_apart_from_each_other_and_anew_each_epoch():
    first, second = epochs_of(5)
    assert len(set(first + second)) == 16
    assert epochs_of(5) == [first, second]
    assert epochs_of(6)[0] != first
