"""Foreign transforms, image by image."""

import torch
from torchvision.transforms import v2

from kaggle_kit.each_image import EachImage


def generator_of(seed=0):
    return torch.Generator().manual_seed(seed)


def test_a_torchvision_transform_draws_for_every_image():
    x = torch.rand(1, 1, 12, 12).expand(30, -1, -1, -1)
    augment = EachImage(v2.RandomAffine(degrees=20, translate=(0.2, 0.2)))
    changed = augment(x, generator_of())
    assert changed.shape == x.shape
    assert len({image.numpy().tobytes() for image in changed}) == 30
    assert torch.equal(changed, augment(x, generator_of()))
    assert not torch.equal(changed, augment(x, generator_of(1)))


def test_the_global_generator_goes_on_as_if_nothing_had_been_drawn():
    x = torch.rand(3, 1, 8, 8)
    with torch.random.fork_rng():
        torch.manual_seed(1)
        expected = torch.rand(4)
        torch.manual_seed(1)
        EachImage(v2.RandomHorizontalFlip())(x, generator_of())
        assert torch.equal(torch.rand(4), expected)


def test_the_transform_may_change_the_size():
    x = torch.rand(3, 2, 8, 8)
    assert EachImage(v2.RandomCrop(5))(x, generator_of()).shape == (3, 2, 5, 5)
