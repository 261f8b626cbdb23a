"""Rules against code that could see how the program is divided into modules.

Joined into one file, everything belongs to `__main__` and stands on other lines. Code
that asks for modules, files, lines, frames or the full names of classes would notice.
"""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.emit.flat_classes import Classes
from kernel_builder.emit.flat_dynamic import check_computed, check_dynamic
from kernel_builder.emit.flat_inert import dotted_target
from kernel_builder.emit.flat_reach import Plan
from kernel_builder.emit.flat_shown import Shown
from kernel_builder.emit.flat_tables import Refusal, Table, Target, refuse
from kernel_builder.emit.flat_units import CLASS_SAFE_ROLES, Unit
from kernel_builder.read.project import KIT

# Modules that look at code, frames, files or names: they would see one file.
_SEES: Final = "sees files, lines or module names"
_REACHES: Final = "reaches modules by name"
_PICKLES: Final = "writes module names into files"
DENIED_MODULES: Final = {
    name: reason
    for reason, names in (
        (_SEES, "inspect traceback linecache tracemalloc trace dis symtable pdb bdb"),
        (_SEES, "pydoc doctest unittest timeit cProfile profile code codeop pyclbr"),
        (_SEES, "modulefinder faulthandler"),
        (_REACHES, "importlib imp pkgutil runpy zipimport pkg_resources builtins"),
        (_REACHES, "__main__ sysconfig site"),
        (_PICKLES, "pickle cPickle _pickle dill cloudpickle joblib shelve copyreg"),
        (_PICKLES, "marshal"),
    )
    for name in names.split()
}
# Of denied modules, what is harmless.
_ALLOWED_NAMES: Final = frozenset(
    {"inspect.cleandoc", "inspect.isawaitable", "inspect.iscoroutinefunction"}
    | {"inspect.isclass", "inspect.isfunction", "pickle.UnpicklingError"}
    | {"pickle.PicklingError", "pickle.PickleError", "importlib.metadata.version"}
)
DENIED_ATTRIBUTES: Final = frozenset(
    {"__module__", "__globals__", "__code__", "__builtins__", "__closure__"}
    | {"__subclasses__", "__annotations__", "__traceback__", "__loader__", "__spec__"}
    | {"__file__", "__path__", "__package__", "__mro__", "__bases__", "__base__"}
    | {"_getframe", "_current_frames", "settrace", "setprofile", "excepthook"}
    | {"f_back", "f_globals", "f_code", "f_lineno", "tb_frame", "tb_lineno"}
    | {"co_filename", "co_firstlineno", "meta_path", "path_hooks", "get_type_hints"}
    | {"get_annotations", "gi_frame", "cr_frame", "showwarning", "formatwarning"}
)
_DENIED_EXT: Final = frozenset(
    {"typing.get_type_hints", "sys.modules", "sys.path", "sys._getframe"}
    | {"gc.get_objects", "gc.get_referrers", "torch.jit.script", "torch.package"}
    | {"concurrent.futures.ProcessPoolExecutor", "multiprocessing.get_context"}
    | {"multiprocessing.set_start_method", "torch.multiprocessing.spawn"}
    | {"sys.getrefcount", "sys.exc_info", "logging.captureWarnings", "yaml.dump"}
)
_DENIED_FAMILIES: Final = ("torch.jit.", "torch.package.", "torch.fx.")
_ARGUMENTS: Final = frozenset({"sys.argv", "sys.orig_argv", "argparse.ArgumentParser"})
_CLASS_MAKERS: Final = frozenset(
    {"collections.namedtuple", "typing.NamedTuple", "typing.TypedDict"}
    | {"typing.NewType"}
)
_PLAIN_ACTIONS: Final = frozenset({"ignore", "error"})
# Record formats that show where a log call stands.
_LOG_PLACE: Final = re.compile(
    r"(?:%\(|\{)(?:module|filename|pathname|lineno|funcName)[):}!]"
    r"|\$\{?(?:module|filename|pathname|lineno|funcName)\b"
)
_DOTTED: Final = re.compile(r"[A-Za-z_]\w*(?:[.:][A-Za-z_]\w*)+")
# The kit was read with these rules in mind: what it breaks of them shows in no output
# of a kernel. tests/tools/test_flat_kit.py lists the places, so that no other slips in.
_TRUSTED: Final = KIT + "."


def check_seen(plan: Plan) -> Iterator[Refusal]:
    """Find code that would see that its modules became one file."""
    shown = Shown(plan, Classes(plan.tables))
    pickled = Shown(plan, shown.classes, every=True)
    classes = _inlined_classes(plan)
    logs = _uses_logging(plan)
    for table in plan.tables.by_name.values():
        if table.module.name.startswith(_TRUSTED):
            continue
        for unit in plan.kept_units(table):
            yield from _denied_imports(plan, table, unit)
            yield from _denied_attributes(plan, table, unit)
            yield from _denied_strings(plan, table, unit, logs)
            yield from check_dynamic(plan, table, unit, pickled, logs)
            if plan.tables.inlined:
                yield from _denied_calls(plan, table, unit, logs)
                yield from shown.check(table, unit)
                yield from _metaclasses(plan, table, unit)
            if classes:
                yield from _class_values(plan, table, unit, classes, shown.classes)
    own = [
        table
        for table in plan.tables.by_name.values()
        if not table.module.name.startswith(_TRUSTED)
    ]
    if plan.tables.inlined:
        yield from check_computed(plan, own)


def check_arguments(plan: Plan) -> Iterator[Refusal]:
    """Find code that reads its arguments: a notebook's are the notebook server's."""
    for table in plan.tables.by_name.values():
        if table.module.name.startswith(_TRUSTED):
            continue
        for unit in plan.kept_units(table):
            nodes: list[ast.AST] = [
                node for node in unit.imports if "sys.argv" in _imported(node)
            ]
            for value in (*unit.attributes, *(call.func for call in unit.calls)):
                target = dotted_target(plan.tables, table, value)
                if target is not None and target.name in _ARGUMENTS:
                    nodes.append(value)
            for node in nodes:
                yield refuse(
                    table,
                    node,
                    "arguments",
                    "a notebook is started with arguments of the server, not yours",
                    "use kaggle_kit.config.override, or constants",
                )


def _uses_logging(plan: Plan) -> bool:
    return any(
        dotted.split(".")[0] == "logging"
        for table in plan.tables.by_name.values()
        for unit in table.units
        for node in unit.imports
        for dotted in _imported(node)
    )


def _denied_imports(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for node in unit.imports:
        for dotted in _imported(node):
            root = dotted.split(".")[0]
            if root in DENIED_MODULES and dotted not in _ALLOWED_NAMES:
                if DENIED_MODULES[root] == _PICKLES and not plan.tables.inlined:
                    continue
                message = f"`{root}` {DENIED_MODULES[root]}"
            elif _denied_name(dotted):
                message = f"`{dotted}` sees modules"
            else:
                continue
            yield refuse(
                table, node, "introspection", message, "do without it, or use embed"
            )


def _denied_name(dotted: str) -> bool:
    return dotted in _DENIED_EXT or dotted.startswith(_DENIED_FAMILIES)


def _imported(node: ast.Import | ast.ImportFrom) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif not node.level:
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _denied_attributes(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for node in unit.attributes:
        denied = node.attr in DENIED_ATTRIBUTES or _class_dict(plan, table, node)
        if not denied:
            target = dotted_target(plan.tables, table, node)
            denied = (
                target is not None
                and target.kind == "ext"
                and _denied_name(target.name)
            )
        if denied:
            yield refuse(
                table,
                node,
                "introspection",
                f"`.{node.attr}` shows how the program is divided into modules",
                "do without it, or use embed",
            )


def _class_dict(plan: Plan, table: Table, node: ast.Attribute) -> bool:
    """`Class.__dict__` holds `__module__`; that of an object does not."""
    if node.attr != "__dict__":
        return False
    if not isinstance(node.value, ast.Name):
        asked = node.value
        if isinstance(asked, ast.Call):
            return isinstance(asked.func, ast.Name) and asked.func.id == "type"
        return isinstance(asked, ast.Attribute) and asked.attr == "__class__"
    target = plan.tables.resolve(table.module.name, node.value.id)
    return node.value.id == "cls" or (target is not None and target.kind == "own")


def _metaclasses(plan: Plan, table: Table, unit: Unit) -> Iterator[Refusal]:
    for use in unit.uses:
        if use.role == "base" and use.name == "type" and "type" not in table.bindings:
            yield refuse(
                table,
                use.node,
                "introspection",
                "a metaclass is given the module's name",
                "use `__init_subclass__` or a decorator",
            )


def _denied_calls(
    plan: Plan, table: Table, unit: Unit, logs: bool
) -> Iterator[Refusal]:
    for node in unit.calls:
        target = dotted_target(plan.tables, table, node.func)
        name = target.name if target is not None and target.kind == "ext" else ""
        method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        keywords = {item.arg for item in node.keywords}
        if name.startswith("warnings.") and _sees_place(name, node, keywords):
            message = "a warning filter or record that depends on module or line"
        elif logs and (method == "exception" or keywords & {"exc_info", "stack_info"}):
            message = "a log with a traceback shows files and lines"
        elif name == "torch.save" and not _plain_state(unit, node):
            message = "`torch.save` of an object names its module in the file"
        elif method in ("to_pickle", "__repr__") or "allow_pickle" in keywords:
            message = f"`{method or 'allow_pickle'}` may name modules"
        else:
            continue
        yield refuse(
            table, node, "introspection", message, "do without it, or use embed"
        )


def _sees_place(name: str, node: ast.Call, keywords: set[str | None]) -> bool:
    if name == "warnings.catch_warnings":
        return "record" in keywords or bool(node.args)
    if name in ("warnings.filterwarnings", "warnings.simplefilter"):
        action = node.args[0] if node.args else None
        known = isinstance(action, ast.Constant) and action.value in _PLAIN_ACTIONS
        return not known or len(node.args) > 3 or bool(keywords & {"module", "lineno"})
    return name != "warnings.warn"


def _plain_state(unit: Unit, node: ast.Call) -> bool:
    """Say whether what is saved is a state_dict, or a dict made on the spot."""
    if not node.args:
        return False
    values = [node.args[0]]
    if isinstance(values[0], ast.Name):
        values = unit.assigned.get(values[0].id, [])
    return bool(values) and all(
        isinstance(value, ast.Dict)
        or (
            isinstance(value, ast.Call)
            and isinstance(value.func, ast.Attribute)
            and value.func.attr == "state_dict"
        )
        for value in values
    )


def _denied_strings(
    plan: Plan, table: Table, unit: Unit, logs: bool
) -> Iterator[Refusal]:
    for node in unit.strings:
        text = str(node.value)
        if text in DENIED_ATTRIBUTES:
            message = f"the string {text!r} names something about modules"
        elif logs and _LOG_PLACE.search(text):
            message = "this format shows the file or line of the code"
        elif _DOTTED.fullmatch(text) and plan.tables.by_name.get(_owner(plan, text)):
            message = f"the string {text!r} names a module of your own"
        else:
            continue
        yield refuse(
            table, node, "dotted-string", message, "refer to the object itself"
        )


def _owner(plan: Plan, text: str) -> str:
    parts = re.split(r"[.:]", text)
    for count in range(len(parts), 0, -1):
        name = ".".join(parts[:count])
        if name in plan.tables.by_name:
            return name
    return ""


def _class_values(
    plan: Plan, table: Table, unit: Unit, classes: set[Target], known: Classes
) -> Iterator[Refusal]:
    """A printed or stored class shows the module it was defined in."""
    for node in unit.class_values:
        if table is plan.tables.entry and getattr(node, "id", "") == "cls":
            continue  # the kernel's own class is the same in one file
        yield refuse(
            table,
            node,
            "class-identity",
            "the class of an object may be shown with its module's name",
            "use `type(x).__name__`, or isinstance",
        )
    for use in unit.uses:
        if use.role in CLASS_SAFE_ROLES and use.role != "subscript":
            continue
        target = plan.tables.resolve(table.module.name, use.name)
        if target is not None and use.role == "subscript" and known.is_enum(target):
            continue  # a member; of any other class it is a generic alias
        if target in classes and not target.module.startswith(_TRUSTED):
            yield refuse(
                table,
                use.node,
                "class-identity",
                f"the class `{use.name}` is used as a value; shown or stored, it names "
                "its module",
                "call it, or use embed",
            )


def _inlined_classes(plan: Plan) -> set[Target]:
    found = set()
    for table in plan.tables.inlined:
        for unit in plan.kept_units(table):
            for name, node in unit.binds.items():
                if isinstance(node, ast.ClassDef) or _makes_class(
                    plan, table, unit.node
                ):
                    found.add(Target("own", table.module.name, name))
    return found


def _makes_class(plan: Plan, table: Table, node: ast.stmt) -> bool:
    """`Point = namedtuple("Point", "x y")` and its like."""
    if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
        return False
    target = dotted_target(plan.tables, table, node.value.func)
    return target is not None and target.name in _CLASS_MAKERS
