"""S09, S10, S27: writes that Kaggle refuses or that cost, and files beside the script.

Also what other rules ask: which calls write, and where to.
"""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from kernel_builder.check.findings import Finding
from kernel_builder.check.program import Unit
from kernel_builder.check.rules_base import Rule, Subject, argument, keyword
from kernel_builder.check.rules_text import basename, is_probed, names_in
from kernel_builder.check.values import BESIDE, UNKNOWN, WORKING, on_kaggle

# Where calls of known functions take the path they write.
_WRITERS: Final[dict[str, tuple[int, str]]] = {
    "torch.save": (1, "f"),
    "joblib.dump": (1, "filename"),
    **dict.fromkeys(
        ("numpy.save", "numpy.savez", "numpy.savez_compressed", "numpy.savetxt"),
        (0, "file"),
    ),
    "cv2.imwrite": (0, "filename"),
    "matplotlib.pyplot.savefig": (0, "fname"),
    **dict.fromkeys(
        ("shutil.copy", "shutil.copy2", "shutil.copyfile", "shutil.copytree"),
        (1, "dst"),
    ),
    **dict.fromkeys(("shutil.move", "os.rename", "os.replace"), (1, "dst")),
    **dict.fromkeys(("os.makedirs", "os.mkdir"), (0, "name")),
    **dict.fromkeys(
        ("os.remove", "os.unlink", "os.rmdir", "shutil.rmtree"), (0, "path")
    ),
    "shutil.unpack_archive": (1, "extract_dir"),
    "shutil.make_archive": (0, "base_name"),
    "zipfile.ZipFile().extractall": (0, "path"),
    "zipfile.ZipFile().extract": (1, "path"),
    "tarfile.open().extractall": (0, "path"),
    "kaggle_kit.submission.write_submission": (2, "folder"),
}
_WRITING_METHODS: Final = frozenset(
    (
        "to_csv",
        "to_parquet",
        "to_pickle",
        "to_feather",
        "to_json",
        "to_excel",
        "to_hdf",
        "write_csv",
        "write_parquet",
        "savefig",
        "save_model",
        "imsave",
        "save_weights",
        "save_pretrained",
        "save",
        "save_to_disk",
        "sink_csv",
    )
)
_PATH_METHODS: Final = frozenset(
    ("write_text", "write_bytes", "mkdir", "touch", "unlink", "rmdir")
)
_CACHES: Final = (
    *("HF_HOME", "HF_HUB_CACHE", "HF_DATASETS_CACHE", "TRANSFORMERS_CACHE"),
    *("TORCH_HOME", "XDG_CACHE_HOME", "PIP_CACHE_DIR", "KERAS_HOME", "TMPDIR"),
    *("TFHUB_CACHE_DIR", "KAGGLEHUB_CACHE", "NUMBA_CACHE_DIR", "WANDB_DIR"),
)
_STEPS: Final = re.compile(
    r"^(epoch|ep|step|it|iter|iteration|batch|i_epoch)s?(_?\w?)$"
)


@dataclass(frozen=True, eq=False)
class Write:
    """A call that writes: its node and the paths it may write, as on Kaggle."""

    unit: Unit
    call: ast.Call
    name: str
    expr: ast.expr | None
    paths: tuple[str, ...]


def find_writes(subject: Subject) -> tuple[Write, ...]:
    """Give every call of the user's modules that writes files or folders."""
    known = subject.memory.get("writes")
    if known is None:
        known = subject.memory["writes"] = tuple(_all_writes(subject))
    return cast(tuple[Write, ...], known)


def _all_writes(subject: Subject) -> Iterator[Write]:
    calls = list(subject.live_calls())
    moves = [(unit, call) for unit, call, name in calls if name == "os.chdir"]
    for unit, call, name in calls:
        found = written_path(subject, unit, call, name)
        if found is not None:
            folder = _folder_at(subject, unit, call, moves)
            texts = subject.texts(unit, found)
            paths = dict.fromkeys(on_kaggle(text, folder) for text in texts)
            yield Write(unit, call, name, found, tuple(paths))


def _folder_at(
    subject: Subject, unit: Unit, call: ast.Call, moves: list[tuple[Unit, ast.Call]]
) -> str:
    """Name the folder that os.chdir went to before a call of the same module."""
    folder = WORKING
    for where, move in moves:
        inside = next(where.around(move, ast.FunctionDef), None)
        same = inside is None or inside is next(
            unit.around(call, ast.FunctionDef), None
        )
        if where is unit and same and move.lineno < call.lineno:
            folder = on_kaggle(subject.texts(unit, argument(move, 0, "path"))[0])
    return folder


def written_path(
    subject: Subject, unit: Unit, call: ast.Call, name: str
) -> ast.expr | None:
    """Give the expression of the path that a call writes; None if it writes none."""
    method = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    if name in _WRITERS:
        position, label = _WRITERS[name]
        return argument(call, position, label)
    if subject.program.definition(name.replace("()", "")) is not None:
        return None  # the kernel's own function: what it does is seen inside
    if name in ("builtins.open", "gzip.open", "bz2.open"):
        return argument(call, 0, "file") if _is_write(subject, unit, call, 1) else None
    if name.endswith("zipfile.ZipFile") and _is_write(subject, unit, call, 1):
        return argument(call, 0, "file")
    path = not name or name.startswith("pathlib.")
    if method == "open" and path and isinstance(call.func, ast.Attribute):
        return call.func.value if _is_write(subject, unit, call, 0) else None
    if method in _PATH_METHODS and isinstance(call.func, ast.Attribute):
        return call.func.value
    if method in _WRITING_METHODS:
        return argument(
            call, 0, "path_or_buf", "path", "fname", "filepath", "fp", "filename"
        )
    return None


def _is_write(subject: Subject, unit: Unit, call: ast.Call, position: int) -> bool:
    mode = subject.constant(unit, argument(call, position, "mode"))
    return isinstance(mode, str) and bool(set(mode) & set("wax+"))


# -- S09, S10


def check_read_only(subject: Subject) -> Iterator[Finding]:
    """S09: a write where Kaggle is read-only."""
    roots = tuple(subject.profile.runtime["read_only"])
    for write in find_writes(subject):
        for path in write.paths:
            beside = path.startswith(BESIDE) and write.unit.is_entry
            if (not beside and not _below(path, roots)) or _makes_nothing(write):
                continue
            shown = "the folder of the script" if beside else path
            yield subject.found(
                "S09",
                "error",
                write.unit,
                write.call,
                f"{shown.replace(UNKNOWN, '...')} is read-only on Kaggle",
                "write to /kaggle/working, or to /tmp for scratch",
            )
            break


def _below(path: str, roots: tuple[str, ...]) -> bool:
    return any(path == root or path.startswith(f"{root}/") for root in roots)


def _makes_nothing(write: Write) -> bool:
    """`mkdir(exist_ok=True)` of a folder that is there does nothing."""
    exists = [item for item in write.call.keywords if item.arg == "exist_ok"]
    return bool(exists) and all(
        path.rstrip("/") in ("/kaggle/input", "/kaggle/src") for path in write.paths
    )


def check_beside(subject: Subject) -> Iterator[Finding]:
    """S10: a file beside the script that does not go along.

    The embed form carries the small files beside the modules; anything else that a path
    from `__file__` leads to is not there on Kaggle.
    """
    for unit in subject.program.units:
        asks = unit.own and "__file__" in unit.module.text
        for node in _path_expressions(unit) if asks else ():
            if _climbs_out(subject, unit, node):
                yield _beside(subject, unit, node)
            elif _is_inner(unit, node) or not subject.live(unit, node):
                continue
            elif _is_missing(subject, unit, node):
                yield _beside(subject, unit, node)


def _beside(subject: Subject, unit: Unit, node: ast.expr) -> Finding:
    script = subject.profile.runtime["script_file"]
    return subject.found(
        "S10",
        "error",
        unit,
        node,
        f"only {basename(script)} exists in {script.rpartition('/')[0]}: "
        f"{ast.unparse(node)}",
        "attach the file as a dataset, or write its content into the code",
    )


def _path_expressions(unit: Unit) -> list[ast.expr]:
    kinds = (ast.BinOp, ast.Call, ast.Subscript, ast.JoinedStr)
    return [node for kind in kinds for node in unit.nodes(kind)]


def _climbs_out(subject: Subject, unit: Unit, node: ast.expr) -> bool:
    """Say whether `Path(__file__).parents[n]` has no such parent on Kaggle."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.value, ast.Attribute):
        return False
    above = subject.constant(unit, node.slice)
    depth = subject.profile.runtime["script_file"].count("/")
    if node.value.attr != "parents" or not isinstance(above, int) or above < depth:
        return False
    texts = subject.texts(unit, node.value.value)
    return any(t.startswith(BESIDE) for t in texts) and subject.live(unit, node)


def _is_missing(subject: Subject, unit: Unit, node: ast.expr) -> bool:
    texts = [t[1:] for t in subject.texts(unit, node) if t.startswith(BESIDE)]
    if not texts or isinstance(node, ast.Subscript):
        return False
    if isinstance(node, ast.Call) and not _path_call(node):
        return False
    if any(id(node) == id(write.expr) for write in find_writes(subject)):
        return False  # S09
    if _is_search_path(subject, unit, node) or is_probed(subject, unit, node):
        return False
    return any(not _goes_along(subject, unit, Path(text)) for text in texts)


def _goes_along(subject: Subject, unit: Unit, path: Path) -> bool:
    """Say whether the embed form carries what a path beside a module leads to."""
    project = subject.project
    known = str(path).partition(UNKNOWN)[0]
    path = Path(known) if known != str(path) else path
    folders = {*project.search, *project.named.values(), unit.module.path.parent}
    if path == unit.module.path or path in folders or UNKNOWN in str(path):
        return True
    files = subject.carried()
    return path in files or any(path in file.parents for file in files)


def _is_inner(unit: Unit, node: ast.expr) -> bool:
    above = unit.parent(node)
    if isinstance(above, ast.BinOp | ast.JoinedStr | ast.FormattedValue):
        return True
    if isinstance(above, ast.Attribute):
        return above.attr in ("parent", "parents", "resolve", "absolute", "joinpath")
    return isinstance(above, ast.Call) and node in above.args and _path_call(above)


def _path_call(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    return name in ("Path", "join", "joinpath", "str", "abspath", "dirname", "realpath")


def _is_search_path(subject: Subject, unit: Unit, node: ast.AST) -> bool:
    """Say whether the folder only goes onto sys.path, which does no harm."""
    for above, _ in unit.scopes.ancestors(node):
        if isinstance(above, ast.Call):
            name = subject.dotted(unit, above.func)
            return name in ("sys.path.append", "sys.path.insert")
        if isinstance(above, ast.stmt):
            break
    return False


# -- S27


def check_scratch(subject: Subject) -> Iterator[Finding]:
    """S27: caches, or every epoch's checkpoint, in the folder that is the output."""
    limit = subject.profile.limits["working_bytes"] // 10**9
    fix = (
        f"put scratch in /tmp: /kaggle/working is capped at {limit} GB and is the "
        "output"
    )
    for variable in _CACHES:
        for unit, node, texts in subject.sets_variable(variable):
            if unit.own and any(_in_working(text) for text in texts):
                message = f"{variable} is in /kaggle/working"
                yield subject.found("S27", "warning", unit, node, message, fix)
    for unit, call, _ in subject.live_calls():
        cache = keyword(call, "cache_dir")
        if cache is not None and any(
            _in_working(t) for t in subject.texts(unit, cache)
        ):
            message = "cache_dir is in /kaggle/working"
            yield subject.found("S27", "warning", unit, call, message, fix)
    for write in find_writes(subject):
        if write.name == "torch.save" and _per_step(write):
            message = (
                f"every checkpoint is kept: {ast.unparse(write.expr or write.call)}"
            )
            keep = "keep the last and the best one, under names that do not change"
            yield subject.found("S27", "warning", write.unit, write.call, message, keep)


def _in_working(text: str) -> bool:
    if not text or UNKNOWN in text[:1]:
        return False
    return on_kaggle(text).startswith("/kaggle/working")


def _per_step(write: Write) -> bool:
    """Say whether a file name changes with an epoch or step, in its loop, always."""
    if write.expr is None or not any(_in_working(path) for path in write.paths):
        return False
    names = names_in(write.expr)
    for above, _ in write.unit.scopes.ancestors(write.call):
        if isinstance(above, ast.If):
            return False
        if isinstance(above, ast.For):
            loop = {name for name in names_in(above.target) if _STEPS.match(name)}
            if loop & names:
                return True
    return False


RULES: Final = (
    Rule("S09", "error", "write to a read-only folder", check_read_only),
    Rule("S10", "error", "file beside the script", check_beside),
    Rule("S27", "warning", "scratch in the output folder", check_scratch),
)
