"""Which local folder stands for which data source, and where Kaggle mounts it.

A kernel's metadata names its sources. Each is looked up, in this order,

* in `rehearsal.toml` beside the kernel: `[sources]`, `"datasets/owner/slug" = "path"`;
* in the folder of `--input`, then in `input/` beside the kernel, in the repository and
  in the current directory, as `competitions/<slug>`, `datasets/<owner>/<slug>`,
  `models/<owner>/<model>/<framework>/<variation>/<version>` or
  `notebooks/<owner>/<slug>`, or simply as `<slug>`; `--input` may also be the
  competition's own folder;
* for a kernel's output: where `fetch` and `rehearse` put the newest one.
"""

import os
import shutil
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kernel_builder.errors import UsageError

CONFIG = "rehearsal.toml"
CONFIG_KEYS = {
    *("sources", "submission", "sample", "real", "test", "id", "hidden_rows", "mutate")
}
# Metadata key of each kind of source.
KINDS = {
    "competition": "competition_sources",
    "dataset": "dataset_sources",
    "model": "model_sources",
    "kernel output": "kernel_sources",
}
# Where each kind is mounted in the layout of 2026 and in the older one.
NEW = {
    "competition": "competitions/{slug}",
    "dataset": "datasets/{owner}/{slug}",
    "model": "models/{owner}/{slug}/{tail}",
    "kernel output": "notebooks/{owner}/{slug}",
}
OLD = dict.fromkeys(NEW, "{slug}") | {"model": "{slug}/{tail}"}
MOST_ENTRIES = 200_000


@dataclass(frozen=True)
class Mount:
    """A local folder or file and the absolute path it gets on Kaggle, read-only."""

    source: Path
    target: str


@dataclass(frozen=True)
class Source:
    """A data source of the kernel.

    Attributes:
        kind, reference: a key of KINDS, and how the metadata names it.
        folder: its local folder.
        replaced: top-level entries that are to come from elsewhere (hidden tests).
        removed: top-level entries that are not to be mounted.
    """

    kind: str
    reference: str
    folder: Path
    replaced: Mapping[str, Path] = field(default_factory=dict)
    removed: tuple[str, ...] = ()

    def target(self, layout: str) -> str:
        """Where Kaggle mounts it under layout "new" or "old"."""
        path = (NEW if layout == "new" else OLD)[self.kind]
        return "/kaggle/input/" + path.format(**_parts(self.kind, self.reference))


@dataclass(frozen=True)
class Config:
    """What `rehearsal.toml` beside a kernel may say.

    Attributes:
        sources: local folders by `<kind folder>/<reference>`.
        submission: False for a kernel that writes none although it has a competition.
        sample, test: file names in the competition's folder.
        real: the answers are real numbers although the sample shows whole ones.
        id: column (or file stem) that identifies a row of the test set.
        hidden_rows: rows of the hidden test set, for the projected time.
        mutate: a Python file with `mutate(folder, kind, rng)`.
    """

    folder: Path
    sources: Mapping[str, Path] = field(default_factory=dict)
    submission: bool = True
    sample: str = ""
    real: bool = False
    test: str = ""
    id: str = ""
    hidden_rows: int = 0
    mutate: Path | None = None


def load_config(folder: Path) -> Config:
    """Read `rehearsal.toml`; without one everything has its default.

    Raises:
        UsageError: the file is not TOML, or has an unknown or wrongly typed key.
    """
    path = folder / CONFIG
    if not path.is_file():
        return Config(folder)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    _check_keys(path, raw)
    sources = {key: folder / value for key, value in raw.pop("sources", {}).items()}
    mutate = raw.pop("mutate", None)
    return Config(folder, sources, mutate=folder / mutate if mutate else None, **raw)


def _check_keys(path: Path, raw: Mapping[str, Any]) -> None:
    types = {"sources": dict, "submission": bool, "real": bool, "hidden_rows": int}
    for key, value in raw.items():
        if key not in CONFIG_KEYS:
            allowed = ", ".join(sorted(CONFIG_KEYS))
            raise UsageError(f"{path}: unknown key {key!r}; allowed: {allowed}")
        wanted = types.get(key, str)
        if type(value) is not wanted:
            raise UsageError(f"{path}: {key} must be a {wanted.__name__}: {value!r}")
    for name, folder in raw.get("sources", {}).items():
        if not isinstance(folder, str):
            raise UsageError(
                f"{path}: sources: {name!r} must name a folder: {folder!r}"
            )


def _parts(kind: str, reference: str) -> dict[str, str]:
    """Owner, slug and (models) the rest of a reference; versions are not mounted."""
    if kind == "competition":
        return {"owner": "", "slug": reference, "tail": ""}
    owner, _, rest = reference.partition("/")
    slug, _, tail = rest.partition("/")
    if kind == "model":
        framework, _, rest = tail.partition("/")
        return {"owner": owner, "slug": slug, "tail": f"{framework.lower()}/{rest}"}
    return {"owner": owner, "slug": slug, "tail": ""}


def find_sources(
    metadata: Mapping[str, Any] | None,
    config: Config,
    roots: Sequence[Path],
    given: Path | None = None,
    outputs: Sequence[Path] = (),
) -> tuple[Source, ...]:
    """The local folder of every source that the metadata names.

    Args:
        metadata: kernel-metadata.json, None for a bare script.
        config: what `rehearsal.toml` says.
        roots: `input` folders, first match wins.
        given: the folder of `--input`: a root, or the competition's own folder. A bare
            script gets it as its competition.
        outputs: the tool's own `out` folders, for the outputs of other kernels.

    Raises:
        UsageError: a source has no local folder; says where it was looked for.
    """
    found = []
    for kind, key in KINDS.items():
        for reference in (metadata or {}).get(key) or ():
            places = list(_places(kind, str(reference), config, roots, given, outputs))
            folder = next((place for place in places if place.is_dir()), None)
            if folder is None:
                raise UsageError(_not_found(kind, str(reference), places, config))
            found.append(Source(kind, str(reference), folder))
    if given is not None:
        _require_folder(given)
    # Metadata that name no source get none, as on Kaggle.
    if metadata is None and given is not None:
        found.append(Source("competition", given.resolve().name, given))
    return tuple(found)


def _require_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise UsageError(f"--input {folder}: no such folder")


def _places(
    kind: str,
    reference: str,
    config: Config,
    roots: Sequence[Path],
    given: Path | None,
    outputs: Sequence[Path],
) -> Iterator[Path]:
    """Candidate folders for one source, best first."""
    parts = _parts(kind, reference)
    new, old = NEW[kind].format(**parts), OLD[kind].format(**parts)
    for name in (new, f"{new.split('/')[0]}/{reference}"):
        if name in config.sources:
            yield config.sources[name]
    if given is not None:
        _require_folder(given)
        yield from (given / new, given / old)
        if kind == "competition" and _is_competition(given, reference):
            yield given
    for root in roots:
        yield from (root / new, root / old)
    if kind == "kernel output":
        for out in outputs:
            yield from _newest(out / "runs" / parts["slug"], "v*", "outputs")
            yield from _newest(out / "rehearsals" / parts["slug"], "[0-9]*", "output")


def _is_competition(folder: Path, slug: str) -> bool:
    """Whether a folder can be the competition's own: a root holds only folders."""
    if folder.resolve().name == slug:
        return True
    return any(path.is_file() for path in folder.iterdir())


def _newest(folder: Path, pattern: str, inner: str) -> Iterator[Path]:
    """The newest numbered run's outputs in `folder`."""
    runs = [p for p in folder.glob(pattern) if p.name.strip("v").isdigit()]
    for run in sorted(runs, key=lambda path: -int(path.name.strip("v"))):
        yield run / inner if (run / inner).is_dir() else run


def _not_found(kind: str, ref: str, places: Sequence[Path], config: Config) -> str:
    looked = "".join(f"\n  {place}" for place in dict.fromkeys(places))
    name = NEW[kind].format(**_parts(kind, ref))
    archives = [Path(f"{place}.zip") for place in places]
    packed = next((f"\nunpack {path} there" for path in archives if path.is_file()), "")
    return (
        f"the {kind} {ref} has no local folder; looked for{looked}{packed}\n"
        f"put its files at input/{name}, pass --input DIR, or name the folder in "
        f'{config.folder / CONFIG}: [sources] "{name}" = "path"'
    )


def mounts(sources: Sequence[Source], layout: str, stage: Path) -> tuple[Mount, ...]:
    """Where each source appears under `layout`.

    Kaggle holds regular files, so a folder with links that lead out of it is copied
    (or hard-linked) to `stage` first: a link would dangle inside the sandbox.

    Raises:
        UsageError: two sources would be mounted at one place (old layout).
    """
    targets: dict[str, Source] = {}
    result: list[Mount] = []
    for number, source in enumerate(sources):
        target = source.target(layout)
        if target in targets:
            raise UsageError(
                f"under the {layout} layout both {targets[target].reference} and "
                f"{source.reference} would be mounted at {target}"
            )
        targets[target] = source
        folder = source.folder.resolve()
        if _has_links(folder):
            folder = _without_links(folder, stage / str(number))
        if source.replaced or source.removed:
            result += _entries(source, folder, target)
        else:
            result.append(Mount(folder, target))
    return tuple(result)


def _entries(source: Source, folder: Path, target: str) -> Iterator[Mount]:
    """Each entry of a changed source by itself, nothing copied."""
    entries = {path.name: path for path in folder.iterdir()} | dict(source.replaced)
    for name, path in sorted(entries.items()):
        if name not in source.removed or name in source.replaced:
            yield Mount(path.resolve(), f"{target}/{name}")


def _has_links(folder: Path) -> bool:
    """Whether something below is a symbolic link; big trees are taken as they are."""
    seen = 0
    for parent, folders, files in os.walk(folder):
        seen += len(files)
        if any(Path(parent, name).is_symlink() for name in [*folders, *files]):
            return True
        if seen > MOST_ENTRIES:
            return False
    return False


def _without_links(folder: Path, copy: Path) -> Path:
    """A copy of `folder` in which every link is the file it leads to."""
    if not copy.exists():
        shutil.copytree(folder, copy, copy_function=link_or_copy)
    return copy


def link_or_copy(source: str, target: str) -> None:
    """Give a file a second name; on another file system, a copy."""
    real = Path(source).resolve()
    try:
        Path(target).hardlink_to(real)
    except OSError:  # another file system
        shutil.copyfile(real, target)
