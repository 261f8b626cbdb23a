import re

import pytest

from kernel_builder.emit.flat import emit_flat
from kernel_builder.emit.flat_imports import Wanted, format_imports
from kernel_builder.emit.flat_text import shorten
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

FILES = {
    "kernel.py": '''\
"""Predict the digits."""

# %% [markdown]
# # Digits

# %%
import numpy as np
from dataclasses import dataclass
from tools.read import read_images

# %%
@dataclass(frozen=True)
class CFG:
    """Settings."""

    size: int = 3  # pixels


# %%
import json  # stays where it is

print(json.dumps(read_images(CFG().size).tolist()), np.pi > 3)
''',
    "tools/__init__.py": '"""Tools of mine."""\n',
    "tools/read.py": '''\
"""Read images.

They are square.
"""

import os
from typing import Any

import numpy as np

from tools.sizes import area as pixels

# The colour of paper.
PAPER = 255  # white


# Goes with what nobody needs.
def nobody_needs_this() -> Any:
    return os.sep


def read_images(size: int) -> np.ndarray:
    # (size * size,)
    blank = """a

    b"""
    return np.full(pixels(size), PAPER - len(blank))


if __name__ == "__main__":
    print(read_images(2))
''',
    "tools/sizes.py": "def area(size: int) -> int:\n    return size * size\n",
}

EXPECTED = '''\
"""Predict the digits."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np


# ======================================================================================
# tools/sizes.py
# ======================================================================================

def area(size: int) -> int:
    return size * size


# ======================================================================================
# tools/read.py
#
# Read images.
#
# They are square.
# ======================================================================================

pixels = area

# The colour of paper.
PAPER = 255  # white


def read_images(size: int) -> np.ndarray:
    # (size * size,)
    blank = """a

    b"""
    return np.full(pixels(size), PAPER - len(blank))


# ======================================================================================
# kernel.py: the kernel
# ======================================================================================

# %% [markdown]
# # Digits

# %%
@dataclass(frozen=True)
class CFG:
    """Settings."""

    size: int = 3  # pixels


# %%
import json  # stays where it is

print(json.dumps(read_images(CFG().size).tolist()), np.pi > 3)
'''


@pytest.fixture
def emitted(tmp_path):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return emit_flat(find_closure(load_project(tmp_path / "kernel.py")))


def test_the_file_reads_as_if_written_by_hand(emitted):
    assert (
        emitted.text.partition('"""Predict')[2] == EXPECTED.partition('"""Predict')[2]
    )


def test_the_header_says_what_it_was_made_of(emitted):
    head = emitted.text.partition('"""Predict')[0]
    assert head.startswith("# kaggle-kit build ")
    assert "flat form, of kernel.py" in head
    assert [line.split()[-1] for line in re.findall(r"#   [0-9a-f]{64}.*", head)] == [
        "tools/__init__.py",
        "tools/sizes.py",
        "tools/read.py",
        "kernel.py",
    ]
    assert not re.search(r"\b20\d\d-\d\d|\d\d:\d\d", head)  # no time


def test_the_contents_name_the_lines_where_sections_start(emitted):
    lines = emitted.text.split("\n")
    contents = re.findall(r"^#  +(\d+)  (.+)$", emitted.text, flags=re.M)
    assert [title for _, title in contents] == [
        "tools.sizes",
        "tools.read: Read images",
        "the kernel",
    ]
    starts = [lines[int(number) - 1] for number, _ in contents]
    assert starts == ["# tools/sizes.py", "# tools/read.py", "# kernel.py: the kernel"]


def test_every_line_of_a_source_leads_back_to_it(emitted):
    for text, origin in zip(emitted.text.split("\n"), emitted.lines, strict=False):
        if origin is not None and text != "pixels = area":
            assert text == FILES[origin.path].split("\n")[origin.line - 1]


def test_the_cells_are_the_text_in_order(emitted):
    lines = emitted.text.split("\n")
    for cell in emitted.cells:
        rows = cell.text.split("\n")
        assert lines[cell.first_line - 1 : cell.first_line - 1 + len(rows)] == rows
    assert [cell.heading for cell in emitted.cells if cell.heading] == [
        "tools.sizes",
        "tools.read: Read images",
    ]
    assert all(cell.collapsed == bool(cell.heading) for cell in emitted.cells)


def test_what_was_left_out_is_counted(emitted):
    assert emitted.notes == ("left out 1 definition that the kernel does not reach",)


def test_imports_are_written_as_isort_would():
    wanted = [
        Wanted("torch", "", ""),
        Wanted("os", "", ""),
        Wanted("torch.nn.functional", "", "F"),
        Wanted("torch", "nn", ""),
        Wanted("torch", "Tensor", ""),
        Wanted("pathlib", "Path", "P"),
        Wanted("torch", "A_CONSTANT", ""),
    ]
    assert format_imports(wanted) == [
        "import os",
        "from pathlib import Path as P",
        "",
        "import torch",
        "import torch.nn.functional as F",
        "from torch import A_CONSTANT, Tensor, nn",
    ]


def test_long_imports_are_broken():
    wanted = [Wanted("package", f"a_rather_long_name_{n}", "") for n in range(5)]
    lines = format_imports(wanted)
    assert lines[0] == "from package import ("
    assert lines[-1] == ")"
    assert all(len(line) <= 88 for line in lines)


def test_a_title_is_cut_at_a_word():
    assert shorten("one two three four", 14) == "one two ..."
    assert shorten("one two", 14) == "one two"
