"""S07, S08, S20: paths that do not exist on Kaggle, or may not, or are slow."""

import ast
import re
from collections.abc import Iterator
from typing import Final

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject, keyword
from kernel_builder.check.rules_text import is_message, is_probed, mounts, text_nodes
from kernel_builder.check.rules_writes import written_path
from kernel_builder.check.values import UNKNOWN, on_kaggle

_READERS: Final = re.compile(
    r"(builtins\.open|pandas\.read_\w+|polars\.(read|scan)_\w+|numpy\.(load|loadtxt|"
    r"fromfile|genfromtxt)|torch\.load|cv2\.imread|PIL\.Image\.open|os\.listdir|"
    r"os\.scandir|os\.walk|os\.chdir|glob\.i?glob|joblib\.load|zipfile\.ZipFile|"
    r"pathlib\.Path|os\.path\.join|json\.load|shutil\.\w+|sqlite3\.connect|"
    r"torchvision\.io\.\w+|skimage\.io\.imread|tifffile\.imread|pydicom\.dcmread)"
)
_FOREIGN: Final = re.compile(
    r"[A-Za-z]:[\\/](?!/)|\\\\[\w.-]{2,}\\[\w$]|/home/|/Users/|/Volumes/"
    r"|/content(?:/|$)|/mnt/|/media/|/gdrive|/workspace/|~[\\/]|/root/(?!\.)"
)
# Below the home folder these are made by libraries, or made for them.
_HOME_OK: Final = re.compile(r"~[\\/]?$|~/\.(cache|config|keras|torch|local|fastai)\b")
_INPUT_ROOTS: Final = re.compile(
    r"(/kaggle|/kaggle/input)(/(competitions|datasets|models|notebooks))?(/\*+)*/?"
)
# -- S07


def check_foreign(subject: Subject) -> Iterator[Finding]:
    """S07: an absolute path of somebody's own machine."""
    seen: set[tuple[str, int, str]] = set()
    for unit, node, texts in text_nodes(subject):
        for text in texts:
            if not _is_foreign(subject, unit, node, text):
                continue
            if is_probed(subject, unit, node) or is_message(subject, unit, node):
                continue
            if not _is_used(subject, unit, node):
                continue
            key = (unit.path, node.lineno, text)
            if key not in seen:
                seen.add(key)
                yield subject.found(
                    "S07",
                    "error",
                    unit,
                    node,
                    f"path {text.replace(UNKNOWN, '...')} does not exist on Kaggle",
                    "read from /kaggle/input, write to /kaggle/working or /tmp",
                )


def _is_foreign(subject: Subject, unit: Unit, node: ast.expr, text: str) -> bool:
    if not text or " " in text.strip()[:2] or "\n" in text or len(text) > 400:
        return False
    if _FOREIGN.match(text):
        # `~` alone is a regular expression's or a formula's sign as often as a path.
        return not _HOME_OK.match(text)
    if not text.startswith("/") or text.startswith("//") or UNKNOWN in text[:2]:
        return False
    return subject.reach.conditions.exists(text) is False and _is_consumed(
        subject, unit, node
    )


def _is_used(subject: Subject, unit: Unit, node: ast.expr) -> bool:
    """Say whether anything reads the setting of a class that a text is the value of.

    Configuration classes keep what only a run elsewhere reads.
    """
    statement = unit.statement(node)
    if isinstance(statement, ast.Assign):
        target = statement.targets[0]
    elif isinstance(statement, ast.AnnAssign):
        target = statement.target
    else:
        return True
    scope = unit.scopes.of[id(statement)]
    if not scope.is_class or not isinstance(target, ast.Name):
        return True
    owner = f"{unit.name}.{scope.path}"
    return any(
        subject.dotted(where, use.value) in ("", owner, f"{owner}()")
        for where, use in subject.program.nodes(ast.Attribute)
        if use.attr == target.id and isinstance(use.ctx, ast.Load)
    )


def _is_consumed(subject: Subject, unit: Unit, node: ast.expr) -> bool:
    """Say whether a path-reading or path-writing call takes the expression."""
    if on_kaggle(subject.texts(unit, node)[0]).startswith("/kaggle/"):
        return False  # an input that is not attached is M07's business
    above = unit.parent(node)
    call = node if isinstance(node, ast.Call) else above
    if not isinstance(call, ast.Call):
        return False
    name = subject.dotted(unit, call.func)
    return bool(_READERS.fullmatch(name)) or (
        written_path(subject, unit, call, name) is node
    )


# -- S08


def check_layouts(subject: Subject) -> Iterator[Finding]:
    """S08: competition data named in one of the two mount layouts only."""
    seen: dict[str, dict[str, tuple[Unit, ast.expr, str]]] = {}
    for unit, node, text, kind, slug in mounts(subject):
        if not _is_resolver(unit):
            name = slug.rpartition("/")[2]
            seen.setdefault(name.lower(), {}).setdefault(
                "old" if kind == "flat" else "new", (unit, node, text)
            )
    for name, layouts in seen.items():
        if len(layouts) == 1:
            (unit, node, _), layout = next(iter(layouts.values())), next(iter(layouts))
            other = "newer" if layout == "old" else "older"
            yield subject.found(
                "S08",
                "warning",
                unit,
                node,
                f"only one mount layout: {name} may be at {_places(subject, name)}",
                f"try the {other} layout too, or use kaggle_kit.paths.find_input",
            )


def _is_resolver(unit: Unit) -> bool:
    return unit.name == "kaggle_kit.paths"


def _places(subject: Subject, name: str) -> str:
    sources = subject.sources
    kind = "competition"
    for group, names in (
        ("dataset", sources.datasets),
        ("kernel_output", sources.kernels),
    ):
        if any(item.lower().endswith(f"/{name}") for item in names):
            kind = group
    forms = subject.profile.runtime["input_mounts"][kind]
    owner = "<owner>"
    return " or ".join(
        form.replace("{slug}", name).replace("{owner}", owner) for form in forms
    )


# -- S20


def check_walks(subject: Subject) -> Iterator[Finding]:
    """S20: a search through the whole of /kaggle/input."""
    for unit, call, name in subject.live_calls():
        where = _walked(subject, unit, call, name)
        if where and not _is_bounded(unit, call):
            yield subject.found(
                "S20",
                "warning",
                unit,
                call,
                f"{ast.unparse(call.func)} walks all of {where}: 144 s in public "
                "reports",
                "search in the one folder that is meant",
            )


def _walked(subject: Subject, unit: Unit, call: ast.Call, name: str) -> str:
    method = getattr(call.func, "attr", "")
    texts: tuple[str, ...] = ()
    if name in ("os.walk", "os.fwalk") and call.args:
        texts = subject.texts(unit, call.args[0])
    elif name in ("glob.glob", "glob.iglob") and call.args:
        if subject.constant(unit, keyword(call, "recursive")) is True:
            found = subject.texts(unit, call.args[0])
            texts = tuple(t.partition("**")[0] for t in found if "**" in t)
    elif (method in ("rglob", "walk") and isinstance(call.func, ast.Attribute)) or (
        method == "glob"
        and isinstance(call.func, ast.Attribute)
        and call.args
        and any("**" in text for text in subject.texts(unit, call.args[0]))
    ):
        texts = subject.texts(unit, call.func.value)
    for text in texts:
        place = on_kaggle(text)
        if _INPUT_ROOTS.fullmatch(place):
            return place.rstrip("/*") or place
    return ""


def _is_bounded(unit: Unit, call: ast.Call) -> bool:
    """Say whether the loop over the walk stops early or prunes the folders."""
    above = unit.parent(call)
    if isinstance(above, ast.Call) and getattr(above.func, "id", "") == "next":
        return True
    if isinstance(above, ast.Call) and getattr(above.func, "id", "") == "islice":
        return True
    if not isinstance(above, ast.For):
        return False
    for node in ast.walk(above):
        if isinstance(node, ast.Break | ast.Return):
            return True
        if isinstance(node, ast.Assign | ast.Delete):
            targets = node.targets
            if any(isinstance(t, ast.Subscript) for t in targets):
                slices = [t for t in targets if isinstance(t, ast.Subscript)]
                if any(isinstance(t.slice, ast.Slice) for t in slices):
                    return True
        if isinstance(node, ast.Attribute) and node.attr == "clear":
            return True
    return False


RULES: Final = (
    Rule("S07", "error", "path of another machine", check_foreign),
    Rule("S08", "warning", "only one mount layout", check_layouts),
    Rule("S20", "warning", "walk of the whole input", check_walks),
)
