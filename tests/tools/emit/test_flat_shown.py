"""Objects that would show the name of their module, whichever way they come."""

import re

import pytest

from kernel_builder.emit.flat import plan_flat
from kernel_builder.emit.flat_tables import FlatRefused
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

# `Box` has no `__repr__`: where one is printed, `<boxes.Box object at ...>` is seen.
BOXES = """\
from collections import namedtuple
from contextlib import contextmanager
from typing import NamedTuple

Pair = namedtuple("Pair", "left right")
Typed = NamedTuple("Typed", [("left", object), ("right", int)])


class Box:
    def clone(self):
        return __class__()


class Bad(Exception):
    def __init__(self, owner):
        super().__init__("bad")
        self.owner = owner


class Lazy:
    def __getattr__(self, name):
        return Box()


class Holder:
    def __init__(self, inner=None):
        self.inner = inner or Box()

    def make(self):
        return Box()


@contextmanager
def opened():
    yield Box()


def pair():
    return [1, Box()]


def generate():
    return Box()
    yield


def show_all(*values):
    print(values)


def show_named(**values):
    print(values)


def show_second(first, second):
    print(second)
"""
SHOWN = {
    "an argument of an exception": """
try:
    raise ValueError(Box())
except ValueError as error:
    print(error)
""",
    "an exception's arguments": """
def fail():
    raise RuntimeError("x", Box())
try:
    fail()
except RuntimeError as error:
    print(error.args[1])
""",
    "an attribute of an exception": """
try:
    raise Bad(Box())
except Bad as error:
    print(error.owner)
""",
    "the message of an assertion": """
try:
    assert False, Box()
except AssertionError as error:
    print(error)
""",
    "a group of exceptions": """
try:
    raise ExceptionGroup("g", [ValueError(Box())])
except* ValueError as group:
    for error in group.exceptions:
        print(error)
""",
    "the result of a generator": """
try:
    next(generate())
except StopIteration as stop:
    print(stop.value)
""",
    "a part that a pattern captures": """
match pair():
    case [first, second]:
        print(second)
""",
    "the rest that a pattern captures": """
match pair():
    case [1, *rest]:
        print(rest)
""",
    "an attribute that a pattern captures": """
match Holder():
    case Holder(inner=value):
        print(value)
""",
    "the rest of a mapping": """
match {"a": 1, "b": Box()}:
    case {"a": 1, **rest}:
        print(rest)
""",
    "a value under another name": """
match Box():
    case object() as value:
        print(value)
""",
    "a field of a named tuple": "print(Pair(1, Box()).right)",
    "a named tuple": "print(Pair(Box(), 1))",
    "a typed named tuple, unpacked": "left, right = Typed(Box(), 2)\nprint(left)",
    "a field of the kernel's own dataclass": """
from dataclasses import dataclass
@dataclass
class Mine:
    value: object
print(Mine(Box()).value)
""",
    "any attribute of a lazy object": "print(Lazy().anything)",
    "what a context manager gives": "with opened() as box:\n    print(box)",
    "any of several arguments": "show_all(1, Box())",
    "any of several keywords": "show_named(a=1, b=Box())",
    "arguments from a list": "values = [1, Box()]\nshow_second(*values)",
    "arguments from a dict": 'show_second(**{"first": 1, "second": Box()})',
    "arguments of a lambda": "show = lambda *a: print(a)\nshow(Box())",
    "an object of the class around": "print(Box().clone())",
    "the result of a method asked for by name": 'print(getattr(Holder(), "make")())',
    "a row of a CSV file": "import csv, sys\ncsv.writer(sys.stdout).writerow([Box()])",
    "a dump by an imported function": """
from json import dumps
dumps([Box()], default=str)
""",
    "a table that is written out": """
import pandas as pd
pd.DataFrame({"a": [Box()]}).to_csv("a.csv")
""",
}
NOT_SHOWN = {
    "an exception of text": """
try:
    raise ValueError("no")
except ValueError as error:
    print(error)
box = Box()
""",
    "a value of the object in an exception": """
try:
    raise ValueError(len(pair()))
except ValueError as error:
    print(error, error.args)
""",
    "an assertion of text": """
try:
    assert Box() is None, "a box"
except AssertionError as error:
    print(error)
""",
    "a pattern over numbers": """
match [1, 2]:
    case [first, *rest]:
        print(first, rest)
box = Box()
""",
    "a pattern over a type": """
match pair():
    case list():
        print("a list")
""",
    "several numbers as arguments": "show_all(1, 2)\nbox = Box()",
    "a row of text": """
import csv, sys
csv.writer(sys.stdout).writerow([str(len(pair()))])
""",
}


def plan_of(kernel, folder):
    names = "Bad, Box, Holder, Lazy, Pair, Typed, generate, opened, pair"
    header = f"from boxes import {names}, show_all, show_named, show_second\n"
    used = [name for name in re.findall(r"\w+", header)[3:] if name in kernel]
    (folder / "boxes.py").write_text(BOXES)
    (folder / "kernel.py").write_text(f"from boxes import {', '.join(used)}\n{kernel}")
    return plan_flat(find_closure(load_project(folder / "kernel.py")))


@pytest.mark.parametrize("kernel", SHOWN.values(), ids=SHOWN)
def test_an_object_that_would_be_shown_is_found(kernel, tmp_path):
    with pytest.raises(FlatRefused, match=r"\[class-identity\]"):
        plan_of(kernel, tmp_path)


@pytest.mark.parametrize("kernel", NOT_SHOWN.values(), ids=NOT_SHOWN)
def test_what_shows_no_object_is_accepted(kernel, tmp_path):
    assert plan_of(kernel, tmp_path).kept
