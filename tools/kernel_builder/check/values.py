"""What constants, paths and texts an expression may have when the kernel runs.

`Values.texts` gives the possible strings of an expression; `UNKNOWN` stands for a part
that only running code knows: `f"{root}/train.csv"` may be `"?/train.csv"` (with UNKNOWN
for `?`). Paths are those of a run on Kaggle: the current directory is /kaggle/working.
"""

import ast
import itertools
import posixpath
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from kernel_builder.check.assigned import Assigned
from kernel_builder.check.program import Unit

UNKNOWN: Final = "\0"
# Stands before a path that starts at `__file__`; what follows is the local path.
BESIDE: Final = "\1"
WORKING: Final = "/kaggle/working"
_LIMIT: Final = 8
_DEPTH: Final = 24
_NOTHING: Final = object()

# Calls that give back their first argument as far as the text goes.
_SAME_TEXT: Final = frozenset(
    (
        "builtins.str",
        "os.path.expanduser",
        "os.path.abspath",
        "os.path.realpath",
        "os.path.normpath",
        "os.fspath",
        "os.path.expandvars",
    )
)
_PATH_TYPES: Final = frozenset(
    (
        "pathlib.Path",
        "pathlib.PurePath",
        "pathlib.PosixPath",
        "pathlib.PurePosixPath",
        "fastcore.all.Path",
        "fastai.vision.all.Path",
        "fastai.basics.Path",
    )
)
_SAME_METHODS: Final = frozenset(
    ("as_posix", "resolve", "absolute", "expanduser", "rstrip", "strip", "lower")
)
_WORKING_CALLS: Final = frozenset(
    ("os.getcwd", "pathlib.Path.cwd", "kaggle_kit.paths.output_dir")
)
_FIELDS: Final = re.compile(r"\{[^{}]*\}|%[-+ #0]*\d*(?:\.\d+)?[a-zA-Z]")


@dataclass(eq=False)
class Values(Assigned):
    """Evaluates constants and texts over a whole program."""

    _busy: set[int] = field(default_factory=set)
    _texts: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def constant(
        self, unit: Unit, expr: ast.expr | None, default: object = None
    ) -> object:
        """Give the one Python constant an expression is bound to, or `default`."""
        if expr is None or id(expr) in self._busy or len(self._busy) > _DEPTH:
            return default
        self._busy.add(id(expr))
        try:
            value = self._constant(unit, expr)
        finally:
            self._busy.discard(id(expr))
        return default if value is _NOTHING else value

    def possible(self, unit: Unit, expr: ast.expr | None) -> list[object]:
        """Give every constant an expression may be bound to, as far as is known."""
        whole = self.constant(unit, expr, _NOTHING)
        if expr is None or whole is not _NOTHING:
            return [] if whole is _NOTHING else [whole]
        found = [self.constant(u, e, _NOTHING) for u, e in self.sources(unit, expr)]
        return [value for value in found if value is not _NOTHING]

    def _constant(self, unit: Unit, expr: ast.expr) -> object:
        match expr:
            case ast.Constant():
                return expr.value
            case ast.UnaryOp(op=ast.USub()):
                value = self.constant(unit, expr.operand)
                return -value if isinstance(value, int | float) else _NOTHING
            case ast.BinOp(op=ast.Mult() | ast.Add() | ast.Sub() | ast.FloorDiv()):
                return self._arithmetic(unit, expr)
            case ast.IfExp():
                chosen = [e for e in (expr.body, expr.orelse) if self.live(unit, e)]
                return self.constant(unit, chosen[0]) if len(chosen) == 1 else _NOTHING
            case ast.Call() if self.program.dotted(unit, expr.func) == "builtins.min":
                numbers = [self.constant(unit, item) for item in expr.args]
                known = [n for n in numbers if isinstance(n, int | float)]
                return min(known) if known else _NOTHING  # an upper bound
            case _:
                return self._bound_constant(unit, expr)

    def _arithmetic(self, unit: Unit, expr: ast.BinOp) -> object:
        left = self.constant(unit, expr.left)
        right = self.constant(unit, expr.right)
        if not (isinstance(left, int | float) and isinstance(right, int | float)):
            return _NOTHING
        match expr.op:
            case ast.Mult():
                return left * right
            case ast.Add():
                return left + right
            case ast.Sub():
                return left - right
            case _:
                return left // right if right else _NOTHING

    def _bound_constant(self, unit: Unit, expr: ast.expr) -> object:
        found = self.sources(unit, expr)
        if len(found) != 1:
            return _NOTHING
        where, value = found[0]
        return self.constant(where, value, _NOTHING) if value else _NOTHING

    def texts(self, unit: Unit, expr: ast.expr | None) -> tuple[str, ...]:
        """Give the texts an expression may have, at most 8, with UNKNOWN parts."""
        if expr is None or len(self._busy) > _DEPTH or id(expr) in self._busy:
            return (UNKNOWN,)
        if id(expr) in self._texts:
            return self._texts[id(expr)]
        self._busy.add(id(expr))
        try:
            found = tuple(dict.fromkeys(self._find_texts(unit, expr)))[:_LIMIT]
        finally:
            self._busy.discard(id(expr))
        if not self._busy:
            self._texts[id(expr)] = found or (UNKNOWN,)
        return found or (UNKNOWN,)

    def _find_texts(self, unit: Unit, expr: ast.expr) -> Iterable[str]:
        match expr:
            case ast.Constant():
                return [str(expr.value)] if expr.value is not None else []
            case ast.JoinedStr():
                return self._product(unit, expr.values, "".join)
            case ast.FormattedValue():
                return self.texts(unit, expr.value)
            case ast.BinOp():
                return self._operation(unit, expr)
            case ast.IfExp():
                chosen = [e for e in (expr.body, expr.orelse) if self.live(unit, e)]
                return [t for e in chosen for t in self.texts(unit, e)]
            case ast.BoolOp():
                return [t for e in expr.values for t in self.texts(unit, e)]
            case ast.NamedExpr():
                return self.texts(unit, expr.value)
            case ast.Call():
                return self._call(unit, expr)
            case ast.Name(id="__file__"):
                return self._file(unit)
            case ast.Attribute(attr="parent"):
                return [parent_of(t) for t in self.texts(unit, expr.value)]
            case ast.Subscript(value=ast.Attribute(attr="parents")):
                return self._parents(unit, expr)
            case ast.Attribute(attr="executable"):
                known = self.program.dotted(unit, expr) == "sys.executable"
                return ["python"] if known else [UNKNOWN]
            case _:
                found = self.sources(unit, expr)
                return [t for where, value in found for t in self.texts(where, value)]

    def _file(self, unit: Unit) -> list[str]:
        return [BESIDE + unit.module.path.as_posix()]

    def _parents(self, unit: Unit, expr: ast.Subscript) -> list[str]:
        above = self.constant(unit, expr.slice)
        path = expr.value.value if isinstance(expr.value, ast.Attribute) else None
        if not isinstance(above, int):
            return [UNKNOWN]
        found = self.texts(unit, path)
        for _ in range(above + 1):
            found = tuple(parent_of(text) for text in found)
        return list(found)

    def _product(
        self, unit: Unit, parts: Sequence[ast.expr], join: Callable[[list[str]], str]
    ) -> list[str]:
        choices = [self.texts(unit, part) for part in parts]
        some = itertools.islice(itertools.product(*choices), _LIMIT)
        return [join(list(choice)) for choice in some]

    def _operation(self, unit: Unit, expr: ast.BinOp) -> list[str]:
        match expr.op:
            case ast.Div():
                return self._product(unit, [expr.left, expr.right], join_paths)
            case ast.Add():
                return self._product(unit, [expr.left, expr.right], "".join)
            case ast.Mod():
                return self._formatted(unit, expr.left, [expr.right])
            case _:
                return [UNKNOWN]

    def _formatted(
        self, unit: Unit, template: ast.expr, arguments: Sequence[ast.expr]
    ) -> list[str]:
        if len(arguments) == 1 and isinstance(arguments[0], ast.Tuple):
            arguments = arguments[0].elts
        filled = []
        for text in self.texts(unit, template):
            values = [self.texts(unit, item)[0] for item in arguments]
            if len(_FIELDS.findall(text)) != len(values):
                values = [UNKNOWN] * len(_FIELDS.findall(text))
            pieces = _FIELDS.split(text)
            mixed = itertools.chain.from_iterable(
                itertools.zip_longest(pieces, values, fillvalue="")
            )
            filled.append("".join(mixed))
        return filled

    def _call(self, unit: Unit, call: ast.Call) -> Iterable[str]:
        name = self.program.dotted(unit, call.func) or ""
        if name in _WORKING_CALLS and not call.args:
            return [WORKING]
        if name in _PATH_TYPES or name == "os.path.join":
            if any(isinstance(item, ast.Starred) for item in call.args):
                return [UNKNOWN]
            return self._product(unit, call.args, join_paths) if call.args else ["."]
        if name in _SAME_TEXT and call.args:
            return self.texts(unit, call.args[0])
        if name == "os.path.dirname" and call.args:
            return [parent_of(t) for t in self.texts(unit, call.args[0])]
        if name in ("os.environ.get", "os.getenv") and len(call.args) == 2:
            return [*self.texts(unit, call.args[1]), UNKNOWN]
        if name == "pathlib.Path.home":
            return ["~"]
        if isinstance(call.func, ast.Attribute):
            return self._method(unit, call, call.func)
        return [UNKNOWN]

    def _method(
        self, unit: Unit, call: ast.Call, function: ast.Attribute
    ) -> Iterable[str]:
        method = function.attr
        if method in _SAME_METHODS:
            return self.texts(unit, function.value)
        if method == "joinpath":
            return self._product(unit, [function.value, *call.args], join_paths)
        if method == "format" and not call.keywords:
            return self._formatted(unit, function.value, call.args)
        if method == "format":
            filled = self.texts(unit, function.value)
            return [_FIELDS.sub(UNKNOWN, text) for text in filled]
        if method == "with_suffix":
            found = self.texts(unit, function.value)
            return [t if t == UNKNOWN else posixpath.splitext(t)[0] for t in found]
        if method == "with_name" and len(call.args) == 1:
            names = self.texts(unit, call.args[0])
            folders = [parent_of(t) for t in self.texts(unit, function.value)]
            return [join_paths([a, b]) for a in folders for b in names]
        return [UNKNOWN]


def join_paths(parts: Sequence[str]) -> str:
    """Join as pathlib does: an absolute part starts anew."""
    anew = max((i for i, part in enumerate(parts) if part[:1] == BESIDE), default=0)
    return posixpath.join(*parts[anew:])


def parent_of(path: str) -> str:
    """Give the folder of a path; UNKNOWN where the path is unknown."""
    if path == UNKNOWN:
        return UNKNOWN
    if path.startswith(BESIDE):
        return BESIDE + posixpath.dirname(path[1:])
    return posixpath.dirname(path) or "."


def on_kaggle(path: str, folder: str = WORKING) -> str:
    """Make a path absolute as in a run on Kaggle, `..` resolved, UNKNOWN kept.

    A relative path starts at `folder`, the current directory.

    >>> on_kaggle("../input/titanic/train.csv")
    '/kaggle/input/titanic/train.csv'
    """
    if path.startswith(("~", UNKNOWN, BESIDE)) or re.match(r"[A-Za-z]:[\\/]", path):
        return path
    return posixpath.normpath(posixpath.join(folder, path))
