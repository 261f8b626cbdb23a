"""The walk over names against the compiler's own symbol tables."""

import ast
import symtable
import sysconfig
import warnings
from pathlib import Path

import pytest

from kernel_builder.emit.flat_scopes import units_of

STDLIB = Path(sysconfig.get_path("stdlib"))
# Files of the standard library with every kind of statement in them.
FILES = [
    *[
        "dataclasses.py",
        "enum.py",
        "typing.py",
        "functools.py",
        "argparse.py",
        "ast.py",
    ],
    *["collections/__init__.py", "contextlib.py", "inspect.py", "pathlib.py"],
    *["asyncio/tasks.py", "unittest/mock.py", "logging/__init__.py", "turtle.py"],
    *["test/test_patma.py", "test/test_scope.py", "test/test_named_expressions.py"],
    *["test/test_grammar.py", "test/test_generators.py", "test/test_type_params.py"],
]


def expected(text: str) -> tuple[set[str], set[str]]:
    """Give the global names a module reads and binds, as the compiler sees them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        top = symtable.symtable(text, "module", "exec")
    reads: set[str] = set()
    binds = {s.get_name() for s in top.get_symbols() if bound(s)}
    work = [top]
    while work:
        table = work.pop()
        for symbol in table.get_symbols():
            main = table.get_type() == "module"
            if symbol.is_referenced() and (main or symbol.is_global()):
                reads.add(symbol.get_name())
            declared = not main and symbol.is_declared_global()
            if declared and (symbol.is_assigned() or symbol.is_imported()):
                binds.add(symbol.get_name())
        work.extend(table.get_children())
    return reads, binds


def bound(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported() or symbol.is_annotated()


def class_locals(text: str) -> set[str]:
    """Names that a class body binds: there a read may be the global after all."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ClassDef):
            for item in ast.walk(node):
                name = getattr(item, "id", None) or getattr(item, "name", None)
                if isinstance(name, str):
                    names |= {name, f"_{node.name.lstrip('_')}{name}"}
    return names


def found(text: str) -> tuple[set[str], set[str]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        units = units_of(ast.parse(text))
    reads = {u.name for unit in units for u in unit.uses if u.role != "string"}
    binds = {name for unit in units for name in (*unit.binds, *unit.global_binds)}
    return reads, binds


@pytest.mark.parametrize("name", FILES)
def test_names_are_those_of_the_compiler(name):
    path = STDLIB / name
    if not path.is_file():
        pytest.skip("not in this Python")
    text = path.read_text("utf-8")
    reads, binds = expected(text)
    seen, made = found(text)
    assert reads - seen == set()  # nothing is missed
    assert seen - reads <= class_locals(text)  # and nothing else is taken for global
    assert made == binds


SNIPPETS = {
    "walrus in a comprehension": "def f():\n    return [y := x for x in z]\n",
    "class in a function": "def f(a):\n    class C:\n        a = a\n    return C\n",
    "nested global": "def f():\n    def g():\n        global h\n        h = 1\n",
    "mangled": "class _C:\n    def f(self):\n        return __x, __y__, self.__z\n",
    "only underscores": "class __:\n    def f(self):\n        return __x\n",
    "lambda defaults": "f = lambda a=b, *c, d=e, **g: (a, c, d, g, h)\n",
    "comprehensions": "[a for a in b for c in a if d]\n{e: f for e, f in g(e)}\n",
    "except and with": "try:\n    pass\nexcept E as e:\n"
    "    with w as (x, *y):\n        e\n",
    "match": "match m:\n    case C(a=b) | [b, *_]:\n"
    "        b\n    case {'k': b, **c}: d\n",
    "annotations": "def f(a: A, *b: B, c: C = D) -> E:\n    x: F = a\n    return x\n",
    "delete": "a = 1\ndef f():\n    b = 2\n    del b\ndel a\n",
    "loops": "for a, (b, c[d]) in e:\n    pass\nelse:\n    f\n",
    "imports": "import a.b, c.d as e\nfrom f import g as h, i\n"
    "def j():\n    import k\n",
    "async": "async def f():\n    async for a in b:\n"
    "        await c\n    return [d async for d in e]\n",
    "nonlocal": "def f():\n    a = 1\n    def g():\n"
    "        nonlocal a\n        a += b\n",
    "class scope is not seen inside": "class C:\n    a = 1\n"
    "    def f(self):\n        return a\n",
    "first iterator outside": "class C:\n    a = 1\n    b = [c for c in a]\n",
    "augmented": "a = 0\ndef f():\n    global a\n    a += 1\n",
    "star": "print(*a, **b)\n(c, *d) = e\n",
    "f-string": "f'{a!r:>{b}} {c.d[e]}'\n",
    "decorators": "@a.b(c)\ndef f(): pass\n@d\nclass E(F, metaclass=G): pass\n",
}


@pytest.mark.parametrize("case", SNIPPETS)
def test_names_of_a_snippet_are_those_of_the_compiler(case):
    text = SNIPPETS[case]
    reads, binds = expected(text)
    seen, made = found(text)
    assert seen - reads <= class_locals(text) | binds
    assert reads <= seen
    assert made == binds


@pytest.mark.parametrize(
    "text",
    [
        "type A[T: B] = list[T] | C\n",
        "def f[T: A, *U, **V](x: T, y: W) -> T:\n    return x\n",
        "class C[T](B[T]):\n    x: T\n    def f(self, y: T) -> D: ...\n",
    ],
)
def test_type_parameters_have_a_scope_of_their_own(text):
    try:
        reads, binds = expected(text)
    except SyntaxError:
        pytest.skip("Python 3.12 syntax")
    seen, made = found(text)
    assert reads <= seen
    assert seen - reads <= class_locals(text)
    assert made == binds
