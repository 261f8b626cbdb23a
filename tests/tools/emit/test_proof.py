import ast
from dataclasses import replace

import pytest

from kernel_builder.emit.emitted import Emitted, Origin
from kernel_builder.emit.flat import emit_flat
from kernel_builder.emit.proof import ProofFailed, prove
from kernel_builder.read.closure import find_closure
from kernel_builder.read.project import load_project

KERNEL = '''\
"""Doc."""
import json

from helpers import add, twice as double

X = 1
print(add(X, 2), json.dumps(double(3)))
'''
HELPERS = '''\
"""Helpers."""
import math

# how much
AMOUNT = 2; EXTRA = 3


def add(a, b):
    return a + b + math.floor(0.5)


def twice(x):
    return x * AMOUNT


def unused():
    return EXTRA
'''
PLAIN = HELPERS.replace("; EXTRA = 3", "\nEXTRA = 3")


def closure_of(folder, kernel=KERNEL, helpers=HELPERS):
    (folder / "kernel.py").write_text(kernel)
    (folder / "helpers.py").write_text(helpers)
    return find_closure(load_project(folder / "kernel.py"))


@pytest.fixture(params=["statements compared", "lines compared"])
def built(request, tmp_path):
    """Give a closure and its joined text, which needs either way of proving it."""
    if request.param == "lines compared":
        kernel = KERNEL.replace("twice as double", "twice").replace("double", "twice")
        closure = closure_of(tmp_path, kernel, PLAIN)
    else:
        closure = closure_of(tmp_path)
    return closure, emit_flat(closure)


def edited(emitted: Emitted, old: str, new: str) -> Emitted:
    """Change lines of a text; lines that are new come from the tool."""
    assert emitted.text.count(old) == 1
    before = emitted.text[: emitted.text.index(old)].count("\n")
    gone = old.count("\n")
    kept = list(emitted.lines)
    count = new.count("\n")
    fresh = kept[before : before + min(gone, count)] + [None] * max(count - gone, 0)
    return replace(
        emitted,
        text=emitted.text.replace(old, new),
        lines=(*kept[:before], *fresh, *kept[before + gone :]),
    )


def test_what_the_tool_emits_is_proved(built):
    closure, emitted = built
    assert prove(emitted, closure) is emitted


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    return a + b +", "    return a - b +", "is not the statement of helpers"),
        ("X = 1\n", "", "kernel.py:6 is missing"),
        ("def twice(x):\n    return x * AMOUNT\n", "", "`twice` of .* is missing"),
        ("AMOUNT = 2\n", "", "`AMOUNT` of helpers.py is missing"),
        ("X = 1\n", "X = 1\nX = 5\n", "comes from no source"),
        ("X = 1\n", "X = 1\nimport zlib\n", "imports what no source imports"),
        ("X = 1\n", "X = 1\nfrom helpers import add\n", "imports helpers, first-party"),
        ("import math\n", "", "`math` of helpers.py is missing"),
        ("X = 1\n", "X = (1\n", "does not parse"),
    ],
)
def test_a_text_that_was_tampered_with_is_not(old, new, said, built):
    closure, emitted = built
    with pytest.raises(ProofFailed, match=said):
        prove(edited(emitted, old, new), closure)


def test_statements_out_of_order_are_not_proved(built):
    closure, emitted = built
    rows = emitted.text.split("\n")
    at = rows.index("X = 1")
    rows[at], rows[at + 1] = rows[at + 1], rows[at]
    lines = list(emitted.lines)
    lines[at], lines[at + 1] = lines[at + 1], lines[at]
    with pytest.raises(ProofFailed, match="out of order"):
        prove(replace(emitted, text="\n".join(rows), lines=tuple(lines)), closure)


def test_a_map_of_another_length_is_not_proved(built):
    closure, emitted = built
    with pytest.raises(ProofFailed, match="one entry per line"):
        prove(replace(emitted, lines=emitted.lines[1:]), closure)


def test_a_line_claimed_from_elsewhere_is_not_proved(built):
    closure, emitted = built
    at = emitted.text.split("\n").index("X = 1")
    lines = list(emitted.lines)
    lines[at] = Origin("kernel.py", 7, "__main__")
    with pytest.raises(ProofFailed, match=r"is not the statement of kernel\.py:7"):
        prove(replace(emitted, lines=tuple(lines)), closure)


def test_the_statements_are_those_of_the_sources_minus_what_is_left_out(built):
    closure, emitted = built
    found = [ast.dump(node) for node in ast.parse(emitted.text).body]
    for module in closure.everything:
        for node in module.tree.body:
            kept = not isinstance(node, ast.ImportFrom | ast.Import | ast.Expr)
            if kept and getattr(node, "name", "") != "unused" and not _is_extra(node):
                assert ast.dump(node) in found
    assert "unused" not in emitted.text
    assert "EXTRA" not in emitted.text


def _is_extra(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "EXTRA"


def test_a_statement_that_ends_in_a_backslash_is_compared_as_a_tree(tmp_path):
    helpers = "def add(a, b):\n    return a + b\ntwice = add \\\n\n\nOTHER = 1\n"
    closure = closure_of(tmp_path, helpers=helpers)
    emitted = emit_flat(closure)
    assert prove(emitted, closure) is emitted


# A kept definition, one that goes, and the line of the latter.
READERS = {
    "a plain name": ("def gone():\n    pass\n", "def kept():\n    return gone()\n"),
    "a mangled name": (
        "def _kept__gone():\n    pass\n",
        "class kept:\n    def __init__(self):\n        __gone()\n",
    ),
    "a name spelled in another way": (
        "def ﬁt():\n    pass\n",  # the ligature: Python reads `fit`
        "def kept():\n    return fit()\n",
    ),
    "a read of the ligature": (
        "def fit():\n    pass\n",
        "def kept():\n    return ﬁt()\n",
    ),
    "a name bound through global": (
        "def gone_too():\n    global gone\n    gone = 1\n",
        "def kept():\n    return gone\n",
    ),
}


def proof_of(folder, gone, kept):
    """Prove a joined text from which the definition `gone` was taken."""
    kernel = "from helpers import kept\nkept()\n"
    closure = closure_of(folder, kernel, f"{gone}\n\n{kept}")
    emitted = emit_flat(closure)
    rows = list(zip(emitted.text.split("\n"), emitted.lines, strict=False))
    last = gone.count("\n")
    left = [
        (row, origin)
        for row, origin in rows
        if origin is None or origin.path != "helpers.py" or origin.line > last
    ]
    text = "".join(f"{row}\n" for row, _ in left)
    lines = tuple(origin for _, origin in left)
    return prove(replace(emitted, text=text, lines=lines), closure)


@pytest.mark.parametrize(("gone", "kept"), READERS.values(), ids=READERS)
def test_a_name_that_is_read_must_be_there(gone, kept, tmp_path):
    with pytest.raises(ProofFailed, match=r"`\w+` of helpers\.py is missing"):
        proof_of(tmp_path, gone, kept)


@pytest.mark.parametrize(
    "kept",
    [
        'def kept():\n    """Not gone()."""\n',
        "def kept():\n    gone = 1\n    return gone\n",
        "def kept():\n    # as gone() did\n    return object.gone\n",
    ],
)
def test_a_word_that_is_no_global_name_is_no_read(kept, tmp_path):
    assert proof_of(tmp_path, "def gone():\n    pass\n", kept).form == "flat"
