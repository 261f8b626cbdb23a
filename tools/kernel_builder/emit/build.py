"""Make one standalone file of a kernel and the first-party modules it uses.

KERNEL is a folder with kernel-metadata.json, or a .py file. First-party are the modules
and packages beside it, kaggle_kit, and those of every --path. Written are the code
file, its source map and, for a kernel with metadata, a kernel-metadata.json with every
flag explicit.
"""

import argparse
import gc
import hashlib
import sys
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from kernel_builder.emit.emitted import MAX_BYTES, Emitted, Origin
from kernel_builder.emit.flat_tables import FlatRefused
from kernel_builder.emit.header import GIT_LINE, GitQuestion
from kernel_builder.emit.source_map import SourceMap
from kernel_builder.errors import ToolError, UsageError
from kernel_builder.files import write_atomic
from kernel_builder.metadata import FILE_NAME, normalised, to_json
from kernel_builder.read.closure import find_closure
from kernel_builder.read.modules import Closure
from kernel_builder.read.project import Project, load_project

FORMS: Final = ("auto", "flat", "embed")
_DEPTH: Final = 20_000
Form = Literal["auto", "flat", "embed"]


@dataclass(frozen=True)
class Built:
    """What a build wrote."""

    project: Project
    code_path: Path
    metadata_path: Path | None
    map_path: Path
    source_map: SourceMap
    form: str
    kernel_type: str
    notes: tuple[str, ...]
    sha256: str


@dataclass(frozen=True)
class _Product:
    """The files of a build by name, before anything is written."""

    files: dict[str, str]
    code_name: str
    map_name: str
    source_map: SourceMap
    emitted: Emitted
    kernel_type: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `build`."""
    add_build_options(parser)
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="folder to write to (out/build/<slug>)"
    )
    parser.add_argument(
        "--check",
        action="store_true",
        help="write nothing; exit 1 if the built file in DIR is stale or missing",
    )


def add_build_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say what to build, shared with the later steps."""
    parser.add_argument("kernel", metavar="KERNEL", help="kernel folder or .py file")
    add_form_options(parser)


def add_form_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options that say how to build it."""
    parser.add_argument(
        "--form",
        choices=FORMS,
        default="auto",
        help="flat: one joined file, or refused; embed: modules written to a temporary "
        "folder at start; auto (default): flat where it is safe",
    )
    parser.add_argument(
        "--type",
        dest="kernel_type",
        choices=("script", "notebook"),
        help="what to make (default: the metadata's kernel_type, or script)",
    )
    parser.add_argument(
        "--path",
        action="append",
        default=[],
        metavar="DIR",
        help="a folder whose modules and packages are first-party too (repeatable)",
    )
    parser.add_argument(
        "--inline",
        action="append",
        default=[],
        metavar="PACKAGE",
        help="an installed pure-Python package to take along (repeatable)",
    )


def run(args: argparse.Namespace) -> int:
    """Build, or check, as the command line says."""
    project = load_project(args.kernel, args.path, args.inline)
    out = args.out or default_out(project)
    if args.check:
        check_fresh(project, out=out, form=args.form, kernel_type=args.kernel_type)
        sys.stdout.write(f"up to date: {out}\n")
        return 0
    built = build(project, out=out, form=args.form, kernel_type=args.kernel_type)
    lines = [
        f"built {built.code_path} ({built.form} form, {built.kernel_type})",
        *(f"  {note}" for note in built.notes),
        f"  {built.map_path} leads its lines back to the sources (trace LOG)",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def default_out(project: Project) -> Path:
    """Give the folder a build goes to when --out does not say."""
    return Path("out") / "build" / project.slug


def build(
    project: Project,
    *,
    out: Path,
    form: str = "auto",
    kernel_type: str | None = None,
    run_id: str | None = None,
) -> Built:
    """Build a kernel into the folder `out`.

    `run_id` makes the built file print a line when it starts and when it ends, by which
    a run on Kaggle is recognised.

    Raises:
        UsageError: a source is malformed, or `out` would overwrite it.
        FlatRefused: `form` is flat, and flat would not be the same program.
        ToolError: the result is too large for Kaggle.
    """
    product = _make(project, form, kernel_type, run_id)
    _check_out(project, out, product)
    for name, text in product.files.items():
        write_atomic(out / name, text)
    code = product.files[product.code_name]
    return Built(
        project=project,
        code_path=out / product.code_name,
        metadata_path=out / FILE_NAME if FILE_NAME in product.files else None,
        map_path=out / product.map_name,
        source_map=product.source_map,
        form=product.emitted.form,
        kernel_type=product.kernel_type,
        notes=product.emitted.notes,
        sha256=hashlib.sha256(code.encode()).hexdigest(),
    )


def check_fresh(
    project: Project, *, out: Path, form: str = "auto", kernel_type: str | None = None
) -> None:
    """Compare a built file with what a build would write now.

    Raises:
        ToolError: the file is missing, or differs in more than the git line.
    """
    product = _make(project, form, kernel_type, None)
    for name in (product.code_name, FILE_NAME):
        if name not in product.files:
            continue  # a bare script has no metadata
        path = out / name
        try:
            found = path.read_bytes().decode("utf-8", "replace")
        except OSError as error:
            why = f"{path}: cannot be read: {error.strerror}; build it"
            raise ToolError(why) from None
        if _without_git(found) != _without_git(product.files[name]):
            raise ToolError(f"{path}: stale; it is not what its sources would give now")


def _without_git(text: str) -> list[str]:
    """A commit that touches no source leaves a built file as fresh as it was."""
    return [line for line in text.split("\n") if GIT_LINE not in line]


def emit(closure: Closure, form: str, kernel_type: str = "script") -> Emitted:
    """Make the built text in the form that is asked for.

    Raises:
        FlatRefused: `form` is flat, and flat would not be the same program.
    """
    from kernel_builder.emit.flat import emit_flat
    from kernel_builder.emit.import_origins import with_import_origins
    from kernel_builder.emit.proof import ProofFailed, prove

    if form == "embed":
        return prove(_embed(closure), closure)
    try:
        flat = prove(emit_flat(closure, kernel_type), closure)
        return with_import_origins(flat, closure)
    except FlatRefused as refused:
        if form == "flat":
            raise
        reasons = [f"not flat: {reason}" for reason in refused.refusals[:5]]
        more = len(refused.refusals) - len(reasons)
        if more > 0:
            reasons.append(f"not flat: {more} more reasons; --form flat lists them")
    except ProofFailed as failed:
        if form == "flat":
            raise
        reasons = [f"not flat: {failed}"]
    emitted = _embed(closure)
    return prove(replace(emitted, notes=(*reasons, *emitted.notes)), closure)


def _embed(closure: Closure) -> Emitted:
    from kernel_builder.emit.embed import emit_embed

    return emit_embed(closure)


def _make(
    project: Project, form: str, kernel_type: str | None, run_id: str | None
) -> _Product:
    kind = kernel_type or (
        project.metadata.kernel_type if project.metadata else "script"
    )
    # A sum of a thousand terms is a tree a thousand deep; Python itself can run it.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _DEPTH))
    collecting = gc.isenabled()
    gc.disable()  # syntax trees make no garbage, and looking for some takes long
    question = None
    try:
        closure = find_closure(project)
        question = GitQuestion(closure)
        emitted = emit(replace(closure, git=question), form, kind)
    finally:
        if question is not None:
            question.close()
        sys.setrecursionlimit(limit)
        if collecting:
            gc.enable()
    if run_id is not None:
        from kernel_builder.emit.stamp import stamp

        emitted = stamp(emitted, run_id)
    code, cells = _render(emitted, kind)
    suffix = ".ipynb" if kind == "notebook" else ".py"
    stem = project.entry.stem
    source_map = _source_map(closure, emitted, stem + suffix, cells)
    _check_size(code, emitted)
    files = {stem + suffix: code, f"{stem}.map.json": source_map.to_json()}
    if project.metadata is not None:
        files[FILE_NAME] = to_json(normalised(project.metadata, stem + suffix, kind))
    return _Product(files, stem + suffix, f"{stem}.map.json", source_map, emitted, kind)


def _render(
    emitted: Emitted, kind: str
) -> tuple[str, tuple[tuple[Origin | None, ...], ...]]:
    if kind == "script":
        return emitted.text, ()
    from kernel_builder.emit.notebook import to_notebook

    notebook = to_notebook(emitted)
    return notebook.text, notebook.cells


def _source_map(
    closure: Closure,
    emitted: Emitted,
    built: str,
    cells: tuple[tuple[Origin | None, ...], ...],
) -> SourceMap:
    seen = {o.path for table in (emitted.lines, *cells) for o in table if o}
    texts = {m.label: m.text for m in closure.everything if m.label in seen}
    # A module that no import names stands in the built text, line for line.
    carried: dict[str, list[str]] = {label: [] for label in sorted(seen - set(texts))}
    for row, origin in zip(emitted.text.split("\n"), emitted.lines, strict=False):
        if origin is not None and origin.path in carried:
            carried[origin.path].append(row)
    return SourceMap(
        built=built,
        kernel=closure.entry.label,
        form=emitted.form,
        lines=emitted.lines,
        sources=texts | {label: "\n".join(rows) for label, rows in carried.items()},
        cells=cells,
    )


def _check_out(project: Project, out: Path, product: _Product) -> None:
    """Never write over a source, nor where a file stands in the folder's place."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    if not there.is_dir():
        raise UsageError(f"--out {out}: {there} is a file; name a folder to write to")
    folder = out.resolve()
    for name in product.files:
        target = folder / name
        own_metadata = project.metadata.path.resolve() if project.metadata else None
        if target in (project.entry.resolve(), own_metadata):
            raise UsageError(
                f"--out {out}: the built file would overwrite {target.name}, which is "
                "a source; choose another folder"
            )


def _check_size(code: str, emitted: Emitted) -> None:
    size = len(code.encode())
    if size < MAX_BYTES:
        return
    parts: Counter[str] = Counter()
    for line, origin in zip(emitted.text.split("\n"), emitted.lines, strict=False):
        parts[origin.path if origin else "the builder's own text"] += len(line) + 1
    largest = ", ".join(f"{path} ({n:,} bytes)" for path, n in parts.most_common(5))
    raise ToolError(
        f"the built file has {size:,} bytes; Kaggle takes less than {MAX_BYTES:,}. "
        f"The largest parts: {largest}. Move data into a Kaggle dataset."
    )
