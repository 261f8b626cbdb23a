import torch

from kaggle_kit.trees import count_items, join_tree, map_tree


def test_every_tensor_is_mapped_and_structure_kept():
    tree = {"a": torch.ones(2), "b": [torch.ones(3), "name", (torch.ones(1), None)]}
    doubled = map_tree(lambda tensor: tensor * 2, tree)
    assert doubled["a"].tolist() == [2, 2]
    assert doubled["b"][1] == "name"
    assert doubled["b"][2][0].tolist() == [2]
    assert doubled["b"][2][1] is None


def test_batches_are_joined_and_half_precision_widened():
    parts = [(torch.ones(2, 3).half(), {"n": torch.arange(2)}) for _ in range(3)]
    first, second = join_tree(parts)
    assert first.shape == (6, 3)
    assert first.dtype == torch.float32
    assert second["n"].tolist() == [0, 1] * 3
    assert join_tree([torch.ones(1).double()]).dtype == torch.float64


def test_items_are_counted_in_the_first_tensor():
    assert count_items(torch.ones(3, 2)) == 3
    assert count_items([(torch.ones(4),), torch.ones(5)]) == 4
    assert count_items({"x": torch.ones(6)}) == 6
    assert count_items(torch.tensor(1.0)) == 1
