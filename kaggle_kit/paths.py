"""Where am I, where is the input, where do outputs go: on Kaggle and off it.

Kaggle mounts sources in one of two layouts, and which one a run gets is not announced:

    source         2026                                        older, still seen
    competition    /kaggle/input/competitions/<slug>           /kaggle/input/<slug>
    dataset        /kaggle/input/datasets/<owner>/<slug>       /kaggle/input/<slug>
    model          /kaggle/input/models/<owner>/<model>/...    /kaggle/input/<model>/...
    kernel output  /kaggle/input/notebooks/<owner>/<slug>      /kaggle/input/<slug>

Every folder is asked for by name: a walk over /kaggle/input can take minutes.
"""

import contextlib
import errno
import os
import re
import uuid
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

# What a person, or the rehearsal, sets to point a kernel elsewhere.
PATHS_INPUT_VARIABLE = "KAGGLE_KIT_INPUT"
PATHS_OUTPUT_VARIABLE = "KAGGLE_KIT_OUTPUT"
PATHS_ROOT_VARIABLE = "KAGGLE_KIT_ROOT"  # stands for /kaggle
PATHS_REHEARSAL_VARIABLE = "KAGGLE_KIT_REHEARSAL"

PATHS_LISTED = 12  # entries named per folder in an error
PATHS_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def runtime() -> str:
    """Where this program runs: kaggle-batch, kaggle-interactive, rehearsal or local."""
    if os.environ.get(PATHS_REHEARSAL_VARIABLE):
        return "rehearsal"
    run_type = os.environ.get("KAGGLE_KERNEL_RUN_TYPE", "")
    if not run_type:
        return "local"
    return "kaggle-interactive" if run_type == "Interactive" else "kaggle-batch"


def is_rerun() -> bool:
    """Whether Kaggle is rerunning the kernel on the hidden test set."""
    value = os.environ.get("KAGGLE_IS_COMPETITION_RERUN", "")
    return value.lower() not in ("", "0", "false")


def _paths_root() -> Path:
    return Path(os.environ.get(PATHS_ROOT_VARIABLE) or "/kaggle")


def _paths_names(folder: Path) -> list[str]:
    """Up to PATHS_LISTED entries of `folder`, folders with a slash, then an ellipsis.

    The scan stops there: a folder of a million images costs nothing.
    """
    try:
        with os.scandir(folder) as entries:
            some = list(islice(entries, PATHS_LISTED + 1))
    except OSError as error:
        return [f"({error.strerror})"]
    names = sorted(entry.name + "/" * entry.is_dir() for entry in some[:PATHS_LISTED])
    return names + ["..."] * (len(some) > PATHS_LISTED)


def _paths_listing(root: Path) -> str:
    """What lies in `root`, two levels deep, a line for each folder of the first."""
    if not root.is_dir():
        return f"  {root}: no such folder"
    lines = [f"  {root}: {', '.join(_paths_names(root)) or 'empty'}"]
    for name in _paths_names(root):
        if name.endswith("/"):
            inner = ", ".join(_paths_names(root / name)) or "empty"
            lines.append(f"  {root / name}: {inner}")
    return "\n".join(lines)


def _paths_first(
    what: str, roots: Sequence[Path], layouts: Sequence[str], advice: str
) -> Path:
    for root in roots:
        for layout in layouts:
            if (root / layout).is_dir():
                return root / layout
    tried = "\n".join(f"  {root / layout}" for root in roots for layout in layouts)
    found = "\n".join(_paths_listing(root) for root in roots)
    raise FileNotFoundError(
        f"the {what} is not mounted. Looked for\n{tried}\nThere is\n{found}\n{advice}"
    )


def _paths_parts(reference: str, form: str) -> list[str]:
    """Split `owner/slug` and the like, held to the shape of `form`."""
    parts = reference.split("/")
    well_formed = all(PATHS_SLUG.fullmatch(part) for part in parts)
    if len(parts) != form.count("/") + 1 or not well_formed:
        raise ValueError(f"expected {form}, as in the address on Kaggle: {reference!r}")
    return parts


def _paths_standard_roots() -> list[Path]:
    return [_paths_root() / "input", Path("input")]


def _paths_holds_files(folder: Path) -> bool:
    """Whether `folder` holds data itself; a root of mounts holds only folders."""
    with os.scandir(folder) as entries:
        return any(entry.is_file() for entry in islice(entries, 1000))


def _paths_named_input(slug: str, folder: Path, origin: str) -> Path:
    """The competition's folder, given that folder itself or a root that holds it."""
    if not folder.is_dir():
        raise FileNotFoundError(
            f"the input folder {folder}, from {origin}, does not exist"
        )
    for inner in (folder / "competitions" / slug, folder / slug):
        if inner.is_dir():
            return inner
    if folder.name == slug or _paths_holds_files(folder):
        return folder
    raise FileNotFoundError(
        f"the input folder {folder}, from {origin}, holds neither files nor a folder "
        f"{slug} or competitions/{slug}. There is\n{_paths_listing(folder)}"
    )


def find_input(slug: str, folder: str | Path = "") -> Path:
    """Find the folder of the competition `slug`.

    The first that applies: `folder`, then the environment variable KAGGLE_KIT_INPUT
    (either the competition's folder itself, or a root that holds `<slug>` or
    `competitions/<slug>`); else both layouts under /kaggle/input, then under ./input.

    Raises:
        ValueError: `slug` is no slug.
        FileNotFoundError: no such folder; the message lists what is mounted.
    """
    _paths_parts(slug, "competition-slug")
    if str(folder):
        return _paths_named_input(slug, Path(folder), "the argument")
    if named := os.environ.get(PATHS_INPUT_VARIABLE):
        return _paths_named_input(slug, Path(named), PATHS_INPUT_VARIABLE)
    advice = (
        f"On Kaggle, add {slug!r} to competition_sources in kernel-metadata.json. "
        f"Elsewhere, put the files into input/{slug} or name their folder in "
        f"{PATHS_INPUT_VARIABLE}."
    )
    layouts = (f"competitions/{slug}", slug)
    return _paths_first(f"competition {slug}", _paths_standard_roots(), layouts, advice)


def _paths_source_roots(folder: str | Path) -> list[Path]:
    """The roots that may hold attached sources; a given `folder` is the only one."""
    if str(folder):
        return [Path(folder)]
    named = os.environ.get(PATHS_INPUT_VARIABLE)
    return ([Path(named)] if named else []) + _paths_standard_roots()


def find_dataset(reference: str, folder: str | Path = "") -> Path:
    """Find the folder of the attached dataset `owner/slug`, under `folder` if given.

    Raises:
        ValueError: `reference` has another form.
        FileNotFoundError: no such folder; the message lists what is mounted.
    """
    owner, slug = _paths_parts(reference, "owner/slug")
    advice = f"Add {reference!r} to dataset_sources in kernel-metadata.json."
    layouts = (f"datasets/{owner}/{slug}", slug)
    roots = _paths_source_roots(folder)
    return _paths_first(f"dataset {reference}", roots, layouts, advice)


def find_model(reference: str, folder: str | Path = "") -> Path:
    """Find an attached model, `owner/model/framework/variation/version`.

    Raises:
        ValueError: `reference` has another form.
        FileNotFoundError: no such folder; the message lists what is mounted.
    """
    form = "owner/model/framework/variation/version"
    owner, model, framework, variation, version = _paths_parts(reference, form)
    # The mount spells the framework in lower case, the address on Kaggle does not.
    spellings = dict.fromkeys((framework.lower(), framework))
    tails = [f"{model}/{spelling}/{variation}/{version}" for spelling in spellings]
    layouts = [f"models/{owner}/{tail}" for tail in tails] + tails
    advice = f"Add {reference!r} to model_sources in kernel-metadata.json."
    roots = _paths_source_roots(folder)
    return _paths_first(f"model {reference}", roots, layouts, advice)


def find_kernel_output(reference: str, folder: str | Path = "") -> Path:
    """Find the attached output of the kernel `owner/slug`, under `folder` if given.

    Raises:
        ValueError: `reference` has another form.
        FileNotFoundError: no such folder; the message lists what is mounted.
    """
    owner, slug = _paths_parts(reference, "owner/slug")
    advice = f"Add {reference!r} to kernel_sources in kernel-metadata.json."
    layouts = (f"notebooks/{owner}/{slug}", slug)
    roots = _paths_source_roots(folder)
    return _paths_first(f"kernel output {reference}", roots, layouts, advice)


def output_dir(folder: str | Path = "") -> Path:
    """The folder for outputs, created when missing.

    `folder`, else the environment variable KAGGLE_KIT_OUTPUT, else /kaggle/working on
    Kaggle and in a rehearsal, else the current directory.
    """
    working = _paths_root() / "working"
    if named := str(folder) or os.environ.get(PATHS_OUTPUT_VARIABLE):
        chosen = Path(named)
    elif runtime() != "local" and working.is_dir():
        chosen = working
    else:
        chosen = Path.cwd()
    chosen.mkdir(parents=True, exist_ok=True)
    return chosen


@contextlib.contextmanager
def atomic_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; the file written there becomes `path`.

    On an exception `path` keeps what it held and the temporary file is removed. The
    temporary name keeps the suffix, from which many writers guess the format.

    Raises:
        OSError: It could not be written; also that of a full disk names the file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        if error.filename is not None:
            raise
        why = error.strerror or str(error)
        raise OSError(error.errno or errno.EIO, why, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)
