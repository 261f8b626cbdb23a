"""Conditions, read as a batch run on Kaggle would see them.

`if not os.path.exists("/kaggle")`, `if "google.colab" in sys.modules` and
`if __name__ == "__main__"` have a known answer there; most others have none.
"""

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kernel_builder.check.names import FunctionNode
from kernel_builder.check.program import Program, Unit
from kernel_builder.check.values import BESIDE, UNKNOWN, Values, on_kaggle

RERUN: Final = "KAGGLE_IS_COMPETITION_RERUN"
_UNKNOWN: Final = object()
_UNSET: Final = None
_EXISTS: Final = frozenset(
    ("os.path.exists", "os.path.isdir", "os.path.isfile", "os.path.lexists")
)
EXISTS_METHODS: Final = frozenset(("exists", "is_dir", "is_file"))
_COMPARE: Final[dict[type[ast.cmpop], Callable[..., bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
}
# Folders at the top of the image; anything else at the top does not exist there.
_TOP: Final = frozenset(
    (
        "kaggle",
        "tmp",
        "usr",
        "etc",
        "dev",
        "proc",
        "sys",
        "var",
        "opt",
        "bin",
        "lib",
        "lib64",
        "sbin",
        "run",
        "root",
        "boot",
        "srv",
    )
)


@dataclass(frozen=True)
class Run:
    """What a condition may ask about the run.

    `rerun` says whether the hidden test set is mounted; None for either. `attached`
    are the slugs below /kaggle/input, None where nothing is known about them.
    """

    environment: dict[str, str]
    python: tuple[int, int]
    notebook: bool = False
    gpu: bool | None = None
    rerun: bool | None = None
    attached: frozenset[str] | None = None
    has_module: Callable[[str], bool] = lambda name: True


@dataclass(eq=False)
class Conditions:
    """Decides conditions for one kind of run."""

    program: Program
    values: Values
    run: Run
    _busy: set[int] = field(default_factory=set)

    def truth(self, unit: Unit, test: ast.expr) -> bool | None:
        """Say whether a condition holds on Kaggle; None if it may or may not."""
        if id(test) in self._busy or len(self._busy) > 200:
            return None
        self._busy.add(id(test))
        try:
            return self._truth(unit, test)
        finally:
            self._busy.discard(id(test))

    def _truth(self, unit: Unit, test: ast.expr) -> bool | None:
        match test:
            case ast.UnaryOp(op=ast.Not()):
                inner = self.truth(unit, test.operand)
                return None if inner is None else not inner
            case ast.BoolOp():
                return self._junction(unit, test)
            case ast.Compare() if len(test.ops) == 1:
                return self._compare(unit, test)
            case ast.NamedExpr():
                return self.truth(unit, test.value)
            case ast.Call():
                answer = self._call(unit, test)
                return answer if answer is not None else self._known(unit, test)
            case _:
                return self._known(unit, test)

    def _known(self, unit: Unit, test: ast.expr) -> bool | None:
        value = self.value(unit, test)
        if value is not _UNKNOWN:
            return bool(value)
        found = self.values.sources(unit, test)
        if len(found) != 1 or found[0][1] is None:
            return None
        where, source = found[0]
        return self.truth(where, source) if source is not None else None

    def _junction(self, unit: Unit, test: ast.BoolOp) -> bool | None:
        deciding = isinstance(test.op, ast.Or)
        answers = [self.truth(unit, value) for value in test.values]
        if deciding in answers:
            return deciding
        return None if None in answers else not deciding

    def _compare(self, unit: Unit, test: ast.Compare) -> bool | None:
        left, op, right = test.left, test.ops[0], test.comparators[0]
        if isinstance(op, ast.In | ast.NotIn):
            inside = self._contains(unit, left, right)
            return None if inside is None else inside == isinstance(op, ast.In)
        first, second = self.value(unit, left), self.value(unit, right)
        compare = _COMPARE.get(type(op))
        if _UNKNOWN in (first, second) or compare is None:
            return None
        try:
            return bool(compare(first, second))
        except TypeError:
            return None

    def _contains(self, unit: Unit, item: ast.expr, box: ast.expr) -> bool | None:
        name = self.program.dotted(unit, box) or ""
        key = self.values.constant(unit, item)
        if name in ("os.environ", "os.environ.keys()") and isinstance(key, str):
            value = self._variable(key)
            return None if value is _UNKNOWN else value is not _UNSET
        if name == "sys.modules" and isinstance(key, str):
            return {
                "google.colab": False,
                "ipykernel": self.run.notebook,
                "IPython": None if self.run.notebook else False,
            }.get(key)
        if name in ("builtins.globals()", "builtins.dir()") and key == "get_ipython":
            return self.run.notebook
        if name in ("builtins.globals()", "builtins.dir()") and key == "__file__":
            return not self.run.notebook
        whole = self.value(unit, box)
        if isinstance(whole, str) and isinstance(key, str):
            return key in whole
        value = self.value(unit, item)
        if value is not _UNKNOWN and isinstance(box, ast.Tuple | ast.List | ast.Set):
            members = [self.value(unit, member) for member in box.elts]
            return value in members if _UNKNOWN not in members else None
        return None

    def _call(self, unit: Unit, call: ast.Call) -> bool | None:
        name = self.program.dotted(unit, call.func) or ""
        method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
        if name == "builtins.bool" and len(call.args) == 1:
            return self.truth(unit, call.args[0])
        if name in _EXISTS and call.args:
            return self._exists(unit, call.args[0])
        if method in EXISTS_METHODS and isinstance(call.func, ast.Attribute):
            return self._exists(unit, call.func.value)
        if name == "torch.cuda.is_available":
            return self.run.gpu
        if name == "kaggle_kit.paths.is_rerun":
            return self.run.rerun
        if name == "kaggle_kit.plots.in_notebook":
            return self.run.notebook
        return self._returned(unit, name)

    def _returned(self, unit: Unit, name: str) -> bool | None:
        """Decide a call of a function that does nothing but return an expression."""
        found = self.program.definition(name)
        if found is None or not isinstance(found[1], FunctionNode):
            return None
        body = [s for s in found[1].body if not _is_docstring(s)]
        if len(body) == 1 and isinstance(body[0], ast.Return) and body[0].value:
            return self.truth(found[0], body[0].value)
        return None

    def _exists(self, unit: Unit, expr: ast.expr) -> bool | None:
        answers = {self.exists(text) for text in self.values.texts(unit, expr)}
        return answers.pop() if len(answers) == 1 else None

    def exists(self, path: str) -> bool | None:
        """Say whether a path exists when the kernel starts on Kaggle."""
        place = on_kaggle(path)
        if place.startswith(("~", UNKNOWN, BESIDE)):
            return None
        if not place.startswith("/"):
            return False
        parts = place.strip("/").split("/")
        if parts[0] not in _TOP and UNKNOWN not in parts[0]:
            return False
        if place in ("/kaggle", "/kaggle/input", "/kaggle/working", "/tmp", "/root"):
            return True
        if parts[:2] == ["kaggle", "input"] and UNKNOWN not in place:
            return None if self._is_attached(place) else False
        return None

    def _is_attached(self, place: str) -> bool:
        attached = self.run.attached
        parts = {part.lower() for part in place.split("/")[3:]}
        groups = {"competitions", "datasets", "models", "notebooks"}
        return attached is None or bool(parts & attached) or parts <= groups

    # -- values that the run decides

    def value(self, unit: Unit, expr: ast.expr) -> object:
        """Give the value an expression has on Kaggle, or a private marker."""
        match expr:
            case ast.Tuple():
                items = [self.value(unit, item) for item in expr.elts]
                return _UNKNOWN if _UNKNOWN in items else tuple(items)
            case ast.Subscript():
                return self._item(unit, expr)
            case ast.Call():
                return self._called(unit, expr)
            case ast.Name(id="__name__"):
                return "__main__" if unit.is_entry else unit.name
            case ast.Name() | ast.Attribute():
                return self._named(unit, expr)
            case _:
                return self.values.constant(unit, expr, _UNKNOWN)

    def _named(self, unit: Unit, expr: ast.expr) -> object:
        name = self.program.dotted(unit, expr) or ""
        if name.endswith("()") and not isinstance(expr, ast.Call):
            found = self.values.sources(unit, expr)
            if len(found) == 1 and isinstance(found[0][1], ast.Call):
                return self._called(found[0][0], found[0][1])
        known = {
            "os.name": "posix",
            "sys.platform": "linux",
            "sys.version_info": self.run.python,
            "sys.version_info.minor": self.run.python[1],
            "typing.TYPE_CHECKING": False,
        }
        if name in known:
            return known[name]
        return self.values.constant(unit, expr, _UNKNOWN)

    def _item(self, unit: Unit, expr: ast.Subscript) -> object:
        name = self.program.dotted(unit, expr.value)
        key = self.values.constant(unit, expr.slice)
        if name == "os.environ" and isinstance(key, str):
            return self._variable(key)
        if name == "sys.version_info" and isinstance(key, int) and key < 2:
            return self.run.python[key]
        return self.values.constant(unit, expr, _UNKNOWN)

    def _called(self, unit: Unit, call: ast.Call) -> object:
        name = self.program.dotted(unit, call.func) or ""
        if name in ("os.environ.get", "os.getenv") and call.args:
            key = self.values.constant(unit, call.args[0])
            found = self._variable(key) if isinstance(key, str) else _UNKNOWN
            if found is _UNSET and len(call.args) > 1:
                return self.values.constant(unit, call.args[1], _UNKNOWN)
            return found
        if name.endswith("util.find_spec") and call.args:
            module = self.values.constant(unit, call.args[0])
            root = module.partition(".")[0] if isinstance(module, str) else "os"
            return _UNKNOWN if self.run.has_module(root) else None
        if name == "platform.system":
            return "Linux"
        if name == "kaggle_kit.paths.runtime":
            return "kaggle-batch"
        if name == "torch.cuda.device_count" and self.run.gpu is False:
            return 0
        if name in ("builtins.int", "builtins.str") and len(call.args) == 1:
            return self._converted(unit, name, call.args[0])
        return _UNKNOWN

    def _converted(self, unit: Unit, name: str, expr: ast.expr) -> object:
        value = self.value(unit, expr)
        if not isinstance(value, str | int):
            return _UNKNOWN
        try:
            return int(value) if name.endswith("int") else str(value)
        except ValueError:
            return _UNKNOWN

    def _variable(self, name: str) -> object:
        if name == RERUN:
            return {True: "1", False: _UNSET, None: _UNKNOWN}[self.run.rerun]
        value = self.run.environment.get(name, _UNKNOWN)
        if isinstance(value, str) and (value.startswith("<") or "..." in value):
            return "set"  # a secret or a digest: set, to something
        return value


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
