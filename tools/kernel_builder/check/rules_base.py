"""What every rule of `check` looks at, and how it reports.

A rule is a function from a `Subject` to findings, listed with its id in the `RULES`
table of its module.
"""

import ast
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kernel_builder.check.conditions import Conditions, Run
from kernel_builder.check.findings import Finding, Severity
from kernel_builder.check.names import FunctionNode
from kernel_builder.check.program import Program, Unit
from kernel_builder.check.reach import Reach
from kernel_builder.check.values import Values
from kernel_builder.metadata import KernelMetadata
from kernel_builder.profiles import Accelerator, Profile
from kernel_builder.read.modules import Closure
from kernel_builder.read.project import Project

IMPORT_ERRORS: Final = ("ImportError", "ModuleNotFoundError")
NETWORK_ERRORS: Final = (
    *("OSError", "IOError", "ConnectionError", "URLError", "HTTPError"),
    *("RequestException", "TimeoutError", "EnvironmentError", "gaierror", "error"),
)


@dataclass(frozen=True)
class Rule:
    """One row of the table: its id, how bad it is, what it is about, and its check."""

    id: str
    severity: Severity
    title: str
    check: "Callable[[Subject], Iterable[Finding]]"


@dataclass(frozen=True)
class Sources:
    """What the metadata attaches; malformed entries are in none of the sets."""

    competitions: frozenset[str] = frozenset()
    datasets: frozenset[str] = frozenset()
    kernels: frozenset[str] = frozenset()
    models: frozenset[str] = frozenset()

    @property
    def everything(self) -> tuple[str, ...]:
        """Every attached source as it is written, sorted."""
        groups = (self.competitions, self.datasets, self.kernels, self.models)
        return tuple(sorted(set().union(*groups)))

    @property
    def parts(self) -> frozenset[str]:
        """Every owner, slug and name part in lower case: what a mount path may hold."""
        return frozenset(
            part.lower() for source in self.everything for part in source.split("/")
        )

    def holds(self, kind: str, slug: str) -> bool:
        """Say whether a mount of that kind and slug is attached."""
        slug = slug.lower()
        competitions = {name.lower() for name in self.competitions}
        owned = {
            "dataset": {_two(name) for name in self.datasets},
            "kernel_output": {_two(name) for name in self.kernels},
            "model": {_two(name) for name in self.models},
        }
        if kind == "competition":
            return slug in competitions
        if kind in owned:
            return slug in owned[kind]
        last = {name.partition("/")[2] for names in owned.values() for name in names}
        return slug in competitions or slug in last


def _two(source: str) -> str:
    return "/".join(source.lower().split("/")[:2])


@dataclass(eq=False)
class Subject:
    """One kernel under inspection.

    `metadata` is None for a bare script; it is then taken to run offline, and nothing
    is known about its accelerator. `sent` is what the client would send, if the kernel
    was built; `data` names the data files that go into the built file.
    """

    project: Project
    profile: Profile
    metadata: KernelMetadata | None
    metadata_path: str
    metadata_text: str
    notebook: bool
    program: Program
    sent: bytes | None = None
    parts: tuple[tuple[str, int], ...] = ()
    closure: Closure | None = None
    values: Values = field(init=False)
    reach: Reach = field(init=False)
    sources: Sources = field(init=False)
    memory: dict[str, object] = field(default_factory=dict)  # answers used again
    _carried: frozenset[Path] | None = None

    def __post_init__(self) -> None:
        self.sources = read_sources(self.metadata.raw if self.metadata else {})
        self.values = Values(self.program)
        self.reach = self.reach_when(None)
        self.values.live = self.reach.live

    def reach_when(self, rerun: bool | None) -> Reach:
        """Give the reachability for the hidden rerun, the visible run, or either."""
        run = Run(
            environment=dict(self.profile.runtime["env"]),
            python=self.profile.python_version,
            notebook=self.notebook,
            gpu=self.gpu,
            rerun=rerun,
            attached=None if self.metadata is None else self.sources.parts,
            has_module=self.profile.has_module,
        )
        return Reach(self.program, Conditions(self.program, self.values, run))

    # -- the metadata's flags as the tool would push them

    def flag(self, key: str) -> bool:
        """Give a boolean of the metadata; false where it is missing or malformed."""
        value = self.metadata.raw.get(key) if self.metadata else None
        return value is True or (isinstance(value, str) and value.lower() == "true")

    @property
    def internet(self) -> bool:
        """Whether the run has internet; a bare script is taken to have none."""
        return self.flag("enable_internet")

    @property
    def shape(self) -> str:
        """The machine_shape, or an empty string."""
        value = self.metadata.raw.get("machine_shape") if self.metadata else None
        return value if isinstance(value, str) else ""

    @property
    def gpu(self) -> bool | None:
        """Whether the metadata asks for a GPU; None for a bare script."""
        if self.metadata is None:
            return None
        machine = self.profile.machine(self.shape) if self.shape else None
        if machine is not None and machine.kind != "gpu":
            return False
        if "enable_gpu" in self.metadata.raw:
            return self.flag("enable_gpu")
        return machine is not None

    @property
    def tpu(self) -> bool:
        """Whether the metadata asks for a TPU."""
        machine = self.profile.machine(self.shape) if self.shape else None
        return self.flag("enable_tpu") or (
            machine is not None and machine.kind == "tpu"
        )

    @property
    def machine(self) -> Accelerator | None:
        """The GPU that the run gets, as far as the metadata tells."""
        if not self.gpu:
            return None
        shape = self.shape or self.profile.default_gpu
        return self.profile.machine(shape)

    # -- reporting

    def found(
        self,
        rule: str,
        severity: Severity,
        unit: Unit,
        node: ast.AST,
        message: str,
        fix: str = "",
    ) -> Finding:
        """Make a finding at a node."""
        line = getattr(node, "lineno", 1)
        statement = unit.statement(node)
        simple = not hasattr(statement, "body")
        last = (statement if simple else node).__dict__.get("end_lineno", line)
        first = statement.lineno if simple else line
        return Finding(
            rule, severity, unit.path, line, message, fix, max(last, line, first)
        )

    def in_metadata(
        self, rule: str, severity: Severity, key: str, message: str, fix: str = ""
    ) -> Finding:
        """Make a finding at a key of kernel-metadata.json."""
        match = re.search(rf'"{re.escape(key)}"\s*:', self.metadata_text)
        start = match.start() if match else 0
        line = self.metadata_text.count("\n", 0, start) + 1
        return Finding(rule, severity, self.metadata_path, line, message, fix)

    # -- what rules ask about code

    def carried(self) -> frozenset[Path]:
        """Give the files that the embed form takes along, modules included."""
        if self._carried is None and self.closure is not None:
            from kernel_builder.read.companions import find_companions

            found = find_companions(self.closure)
            modules = (*self.closure.modules, *found.extra)
            self._carried = frozenset(
                [*(file.path for file in found.data), *(m.path for m in modules)]
            )
        return self._carried or frozenset()

    def live(self, unit: Unit, node: ast.AST) -> bool:
        """Say whether a node may run on Kaggle."""
        return self.reach.live(unit, node)

    def live_calls(self) -> Iterator[tuple[Unit, ast.Call, str]]:
        """Give every call that may run on Kaggle, with its dotted name if any."""
        for unit, call, name in self.program.calls():
            if self.live(unit, call):
                yield unit, call, name

    def texts(self, unit: Unit, expr: ast.expr | None) -> tuple[str, ...]:
        """Give the texts an expression may have; see `values.Values.texts`."""
        return self.values.texts(unit, expr)

    def constant(self, unit: Unit, expr: ast.expr | None) -> object:
        """Give the constant an expression is bound to, or None."""
        return self.values.constant(unit, expr)

    def may_be(self, unit: Unit, expr: ast.expr | None, value: object) -> bool:
        """Say whether an expression may be bound to the constant `value`."""
        return any(item is value for item in self.values.possible(unit, expr))

    def dotted(self, unit: Unit, expr: ast.AST) -> str:
        """Give the dotted name of an expression, or an empty string."""
        return self.program.dotted(unit, expr) or ""

    def caught(self, unit: Unit, node: ast.AST, kinds: Iterable[str]) -> bool:
        """Say whether an exception of one of `kinds` at `node` is caught and handled.

        A handler that raises again or ends the program handles nothing.
        """
        wanted = {*kinds, "Exception", "BaseException", ""}
        for above, child in unit.scopes.ancestors(node):
            if isinstance(above, FunctionNode):
                return False
            if isinstance(above, ast.Try) and any(child is s for s in above.body):
                for handler in above.handlers:
                    if wanted & set(caught_names(handler)):
                        return not self._gives_up(unit, handler)
            if isinstance(above, ast.With) and any(child is s for s in above.body):
                for item in above.items:
                    if self._suppresses(unit, item.context_expr, wanted):
                        return True
        return False

    def _suppresses(self, unit: Unit, expr: ast.expr, wanted: set[str]) -> bool:
        if not isinstance(expr, ast.Call):
            return False
        if self.dotted(unit, expr.func) != "contextlib.suppress":
            return False
        return any(_last_name(item) in wanted for item in expr.args)

    def _gives_up(self, unit: Unit, handler: ast.ExceptHandler) -> bool:
        for node in ast.walk(handler):
            if isinstance(node, ast.Raise):
                return True
            if isinstance(node, ast.Call):
                name = self.dotted(unit, node.func)
                if name in ("sys.exit", "builtins.exit", "builtins.quit", "os._exit"):
                    return True
        return False

    def sets_variable(self, name: str) -> list[tuple[Unit, ast.AST, tuple[str, ...]]]:
        """Find where the kernel sets an environment variable, and to what."""
        answer: list[tuple[Unit, ast.AST, tuple[str, ...]]] = []
        for unit in self.program.units:
            for target, value in unit.scopes.items:
                if self.dotted(unit, target.value) != "os.environ":
                    continue
                if self.constant(unit, target.slice) == name:
                    answer.append((unit, target, self.texts(unit, value)))
            for call in unit.nodes(ast.Call):
                answer.extend(self._set_by_call(unit, call, name))
        return answer

    def _set_by_call(
        self, unit: Unit, call: ast.Call, name: str
    ) -> Iterator[tuple[Unit, ast.AST, tuple[str, ...]]]:
        function = self.dotted(unit, call.func)
        if function in ("os.environ.setdefault", "os.putenv") and len(call.args) == 2:
            if self.constant(unit, call.args[0]) == name:
                yield unit, call, self.texts(unit, call.args[1])
        elif function == "os.environ.update":
            for item in call.keywords:
                if item.arg == name:
                    yield unit, call, self.texts(unit, item.value)
            for box in call.args:
                if isinstance(box, ast.Dict):
                    for key, value in zip(box.keys, box.values, strict=True):
                        if key is not None and self.constant(unit, key) == name:
                            yield unit, call, self.texts(unit, value)


def read_sources(raw: dict[str, Any]) -> Sources:
    """Read the source lists of the metadata, prefixes and versions taken off."""

    def listed(key: str, parts: int) -> frozenset[str]:
        value = raw.get(key)
        items = value if isinstance(value, list) else []
        names = [item.strip("/") for item in items if isinstance(item, str)]
        prefix = r"^(?:competitions|datasets|models|code|kernels|notebooks|c|d)/"
        if parts == 1:
            return frozenset(re.sub(prefix, "", name) for name in names)
        return frozenset(
            re.sub(prefix, "", name) if name.count("/") > parts - 1 else name
            for name in names
        )

    return Sources(
        competitions=listed("competition_sources", 1),
        datasets=frozenset(
            "/".join(name.split("/")[:2]) for name in listed("dataset_sources", 2)
        ),
        kernels=frozenset(
            "/".join(name.split("/")[:2]) for name in listed("kernel_sources", 2)
        ),
        models=listed("model_sources", 5),
    )


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Give the value of a keyword argument, or None."""
    for item in call.keywords:
        if item.arg == name:
            return item.value
    return None


def argument(call: ast.Call, position: int, *names: str) -> ast.expr | None:
    """Give an argument by position or, failing that, by one of its names."""
    for name in names:
        value = keyword(call, name)
        if value is not None:
            return value
    plain = call.args[: position + 1]
    if len(plain) <= position or any(isinstance(a, ast.Starred) for a in plain):
        return None
    return plain[position]


def caught_names(handler: ast.ExceptHandler) -> list[str]:
    """Name the exceptions of a handler by their last part; "" for a bare except."""
    if handler.type is None:
        return [""]
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [_last_name(kind) for kind in kinds]


def _last_name(expr: ast.expr) -> str:
    if isinstance(expr, ast.Attribute):
        return expr.attr
    return expr.id if isinstance(expr, ast.Name) else "?"
