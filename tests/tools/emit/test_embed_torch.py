"""What torch reads from source files and sends to workers survives the embed form."""

from pathlib import Path

from same_behaviour import embed, run, write_project

PROJECT = {
    "main.py": """\
import inspect
import io
import pickle

import torch
from torch.utils.data import DataLoader

from nets.data import Squares
from nets.model import Net, gate, scripted_gate


class Own(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.sum() > 0:
            return gate(x)
        return -x


def main():
    torch.manual_seed(0)
    net = Net(3)
    x = torch.ones(2, 3)
    scripted = torch.jit.script(net)
    print(torch.equal(scripted(x), net(x)))
    print(torch.jit.script(Own())(x[0, :2]), scripted_gate(x[0, :2]))
    compiled = torch.compile(net, backend="eager")
    print(torch.equal(compiled(x), net(x)))
    torch.save(net, "net.pt")
    loaded = torch.load("net.pt", weights_only=False)
    print(type(loaded).__module__, torch.equal(loaded(x), net(x)))
    print(pickle.loads(pickle.dumps(net)).n, "self.linear" in inspect.getsource(Net))
    batches = DataLoader(Squares(4), batch_size=2, num_workers=1,
                         multiprocessing_context="spawn")
    print([batch.tolist() for batch in batches])
    buffer = io.BytesIO()
    torch.save(net.state_dict(), buffer)
    buffer.seek(0)
    print(sorted(torch.load(buffer, weights_only=True)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
""",
    "nets/__init__.py": "",
    "nets/model.py": '''\
import torch
from torch import nn


def gate(x: torch.Tensor) -> torch.Tensor:
    """Twice what is positive."""
    return torch.relu(x) * 2


@torch.jit.script
def scripted_gate(x: torch.Tensor) -> torch.Tensor:
    return gate(x) + 1


class Net(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.n = n
        self.linear = nn.Linear(n, n)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return gate(self.linear(x))
''',
    "nets/data.py": """\
from torch.utils.data import Dataset


class Squares(Dataset):
    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        from nets.late import square
        return square(i)
""",
    "nets/late.py": "def square(i):\n    return i * i\n",
}


EXPECTED = """\
True
tensor([2., 2.]) tensor([3., 3.])
True
nets.model True
3 True
[[0, 1], [4, 9]]
['linear.bias', 'linear.weight']
"""


def test_torch_scripts_compiles_saves_and_loads_in_workers(tmp_path: Path) -> None:
    project = write_project(PROJECT, tmp_path / "project").parent
    embed(project / "main.py", tmp_path / "out")
    # Only the built one is run: torch takes seconds to start, in the worker again.
    seen = run(tmp_path / "out" / "main.py", tmp_path / "run")
    assert seen.stdout == EXPECTED, seen.stderr
    assert set(seen.files) == {"net.pt"}
