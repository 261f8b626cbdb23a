"""Hidden test sets made of the visible one, as Kaggle's rerun would swap them in.

Each kind is what kernels of earlier competitions broke on:

    more rows    the visible units and clones of some under new ids
    one row      the first unit only (of every file that would else be empty)
    unseen ids   the same content under other ids
    shuffled     the same units in another order, in test and sample alike
    more files   as "more rows", the clones in further files of a numbered series; only
                 when asked for, because most competitions keep their number of files

A competition whose files hang together in another way brings a hook: `mutate =
"hidden.py"` in `rehearsal.toml`, a file with

    def mutate(folder: Path, out: Path, kind: str, seed: int) -> None: ...

that writes to `out` the files that differ from `folder`, the sample submission too.
"""

import random
import re
import runpy
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel_builder.errors import UsageError
from kernel_builder.rehearse.mounts import Config, link_or_copy
from kernel_builder.rehearse.tables import Rename, Table
from kernel_builder.rehearse.testset import (
    PART,
    SEPARATORS,
    Files,
    TestSet,
    read_test_set,
)
from kernel_builder.rehearse.verify import find_sample

USUAL = ("more rows", "one row", "unseen ids", "shuffled")
KINDS = (*USUAL, "more files")
SUFFIX = re.compile(r"\.[A-Za-z]\w{0,5}$")
MOST_CLONES, FEWEST_CLONES = 500, 3


@dataclass(frozen=True)
class Mutation:
    """One hidden test set.

    Attributes:
        entries: files and folders that replace those of the same name.
        removed: names that the visible test set has and this one has not.
        sample: what a submission must look like now.
        origin: for each sample id the visible id with the same content; empty when
            a hook made the test set.
        units: how many units it has, 0 when unknown.
    """

    kind: str
    entries: Mapping[str, Path]
    sample: Path
    origin: Mapping[str, str]
    units: int
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Unit:
    """A unit of the hidden test: its content's old id and its new one."""

    source: str
    id: str
    cloned: bool = False


def mutations(
    folder: Path, config: Config, out: Path, kinds: Sequence[str] = USUAL, seed: int = 0
) -> Iterator[Mutation]:
    """Make each kind of hidden test below `out`, except those that change nothing.

    Raises:
        UsageError: a kind is unknown, the test set cannot be understood, or the hook
            fails.
    """
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"unknown hidden test {kind!r}: {', '.join(KINDS)}")
    test = None if config.mutate else read_test_set(folder, config)
    for kind in kinds:
        target = out / kind.replace(" ", "-")
        target.mkdir(parents=True)
        if test is None:
            yield _hooked(folder, config, target, kind, seed)
        elif not (kind == "unseen ids" and _ids_are_row_numbers(test)):
            if kind == "more files" and not any(
                _next_part(test, t) for t in test.tables
            ):
                raise UsageError(f"{folder}: no numbered test files to add one to")
            yield _mutated(test, target, kind, random.Random(f"{seed} {kind}"))


def _hooked(folder: Path, config: Config, out: Path, kind: str, seed: int) -> Mutation:
    """Let the competition's own hook make the hidden test."""
    hook = config.mutate
    if hook is None or not hook.is_file():
        raise UsageError(f"{hook}: the hook that rehearsal.toml names does not exist")
    try:
        function = runpy.run_path(str(hook))["mutate"]
        function(folder, out, kind, seed)
    except KeyError as error:
        raise UsageError(
            f"{hook}: must define mutate(folder, out, kind, seed)"
        ) from error
    except Exception as error:
        raise UsageError(f"{hook}: {type(error).__name__}: {error}") from error
    entries = {path.name: path for path in sorted(out.iterdir())}
    sample = find_sample(out) or find_sample(folder, config.sample)
    if not entries or sample is None:
        raise UsageError(f"{hook}: wrote no file for {kind!r}, or there is no sample")
    return Mutation(kind, entries, sample, {}, 0)


def _ids_are_row_numbers(test: TestSet) -> bool:
    """Whether a kernel may number its rows itself, as for Digit Recognizer."""
    ids = next(iter(test.sample.keys.values()))
    first = ids[0] if ids else ""
    return (
        test.positional
        and first in ("0", "1")
        and ids == [str(int(first) + i) for i in range(len(ids))]
    )


def _mutated(test: TestSet, out: Path, kind: str, rng: random.Random) -> Mutation:
    units = _plan(test, kind, rng)
    entries: dict[str, Path] = {}
    removed: list[str] = []
    for number, table in enumerate(test.tables):
        written = _write_parts(test, number, units, out, kind == "more files")
        entries.update({path.name: path for path in written})
        if table.path.name not in entries:
            removed.append(table.path.name)
    for files in test.files:
        if kind != "shuffled":  # a folder has no order
            entries[files.top.name] = _write_files(files, units, out)
    sample = out / test.sample.path.name
    rows = list(_rows(test.sample_rows, units, test.positional))
    test.sample.write(sample, rows, test.id_columns)
    entries[sample.name] = sample
    old = next(iter(test.sample.keys.values()))
    origin = {rename(old[index]): old[index] for index, rename in rows}
    return Mutation(kind, entries, sample, origin, len(units), tuple(removed))


def _plan(test: TestSet, kind: str, rng: random.Random) -> list[_Unit]:
    """Which units the hidden test has, in their order."""
    units = list(test.units)
    if kind in ("more rows", "more files"):
        count = max(FEWEST_CLONES, min(len(units), MOST_CLONES))
        fresh = _fresh_ids(_ids(test), count, rng)
        clones = [_Unit(rng.choice(units), new, True) for new in fresh]
        return [*_unchanged(test, units), *clones]
    if kind == "one row":
        return _unchanged(test, _first_units(test))
    if kind == "unseen ids":
        fresh = _fresh_ids(_ids(test), len(units), rng)
        return [_Unit(unit, new) for unit, new in zip(units, fresh, strict=True)]
    order = [unit for part in _parts(test) for unit in rng.sample(part, len(part))]
    if not test.positional:
        return _unchanged(test, order)
    # The ids stay with the rows: 1, 2, 3 on shuffled content.
    return [_Unit(u, new) for u, new in zip(order, _ids(test), strict=True)]


def _ids(test: TestSet) -> list[str]:
    """The ids of the units; of the sample's rows where units are positions."""
    if test.positional:
        return next(iter(test.sample.keys.values()))
    return list(test.units)


def _unchanged(test: TestSet, units: Sequence[str]) -> list[_Unit]:
    if test.positional:
        ids = _ids(test)
        return [_Unit(unit, ids[int(unit)]) for unit in units]
    return [_Unit(unit, unit) for unit in units]


def _parts(test: TestSet) -> list[list[str]]:
    """The units grouped by the numbered file they are in, else all in one group."""
    series = [
        rows
        for table, rows in zip(test.tables, test.rows, strict=True)
        if len(rows) < len(test.units)
    ]
    grouped = [[u for u in test.units if u in rows] for rows in series]
    rest = [u for u in test.units if not any(u in rows for rows in series)]
    return [part for part in (*grouped, rest) if part]


def _first_units(test: TestSet) -> list[str]:
    """One unit for every file, so that none of a series is empty."""
    return [part[0] for part in _parts(test)]


def _fresh_ids(ids: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """New ids that look like the given ones: counted on, or of the same letters."""
    start, end = _common_ends(ids)
    cores = [id[len(start) : len(id) - len(end)] for id in ids]
    fresh = _counted_on(cores, count) or _alike(cores, count, rng)
    return [f"{start}{core}{end}" for core in fresh]


def _common_ends(ids: Sequence[str]) -> tuple[str, str]:
    """The folder and the suffix that all ids share, as in `images/18353.jpg`."""
    folders = {id[: id.rfind("/") + 1] for id in ids}
    suffixes = {match[0] if (match := SUFFIX.search(id)) else "" for id in ids}
    return (
        folders.pop() if len(folders) == 1 else "",
        suffixes.pop() if len(suffixes) == 1 else "",
    )


def _counted_on(ids: Sequence[str], count: int) -> list[str]:
    """The numbers after the highest one; empty when the ids are not numbered."""
    matches = [re.fullmatch(r"(.*?)(\d+)", id) for id in ids]
    found = [match for match in matches if match is not None]
    if len(found) < len(ids) or len({match.group(1) for match in found}) != 1:
        return []
    numbers = [match.group(2) for match in found]
    padded = any(n[0] == "0" for n in numbers) and len({len(n) for n in numbers}) == 1
    width = len(numbers[0]) if padded and len(numbers) > 1 else 0
    first = max(int(number) for number in numbers) + 1
    prefix = found[0].group(1)
    return [f"{prefix}{first + i:0{width}d}" for i in range(count)]


def _alike(ids: Sequence[str], count: int, rng: random.Random) -> list[str]:
    """Ids of the same lengths, letters and separators, none of them given."""
    letters = sorted(set("".join(ids)) - set(SEPARATORS)) or list("abcdef")
    known, fresh, longer = set(ids), list[str](), ""
    while len(fresh) < count:
        model = rng.choice(ids) + longer
        new = "".join(c if c in SEPARATORS else rng.choice(letters) for c in model)
        if new in known:
            longer += "a"  # ids this short may all be taken
            continue
        known.add(new)
        fresh.append(new)
    return fresh


def _renamed(old: str, new: str) -> Rename:
    """Turn the id `old`, alone or before a separator, into `new`."""

    def rename(value: str) -> str:
        if value == old:
            return new
        if value.startswith(old) and value[len(old)] in SEPARATORS:
            return new + value[len(old) :]
        return value

    return rename


def _rows(
    by_unit: Mapping[str, list[int]], units: Sequence[_Unit], positional: bool
) -> Iterator[tuple[int, Rename]]:
    """A table's rows for these units, each with the renaming of its ids."""
    for unit in units:
        rename = _to(unit.id) if positional else _renamed(unit.source, unit.id)
        for index in by_unit.get(unit.source, ()):
            yield index, rename


def _to(new: str) -> Rename:
    return lambda _: new


def _write_parts(
    test: TestSet, number: int, units: Sequence[_Unit], out: Path, more_files: bool
) -> Iterator[Path]:
    """Write one table, its clones in a further file of its series if wanted."""
    table, by_unit = test.tables[number], test.rows[number]
    kept = [unit for unit in units if unit.source in by_unit]
    sibling = _next_part(test, table) if more_files else ""
    clones = [unit for unit in kept if unit.cloned]
    if sibling and clones:
        kept = [unit for unit in kept if not unit.cloned]
        yield _write(test, table, by_unit, clones, out / sibling)
    yield _write(test, table, by_unit, kept, out / table.path.name)


def _write(
    test: TestSet,
    table: Table,
    by_unit: Mapping[str, list[int]],
    units: Sequence[_Unit],
    path: Path,
) -> Path:
    # Where units are positions the test files hold no ids to rename.
    columns = () if test.positional else test.id_columns
    table.write(path, list(_rows(by_unit, units, positional=False)), columns)
    return path


def _next_part(test: TestSet, table: Table) -> str:
    """A name of its own in the table's numbered series, "" when it is in none."""
    matches = [PART.match(t.path.name) for t in test.tables]
    own = matches[test.tables.index(table)]
    if own is None:
        return ""
    series = [m for m in matches if m is not None and m.group(1) == own.group(1)]
    last = max(int(m.group(2)) for m in series)
    return f"{own.group(1)}{last + 1 + series.index(own)}{own.group(3)}"


def _write_files(files: Files, units: Sequence[_Unit], out: Path) -> Path:
    """Write the top folder with these units' files, linked where possible.

    What belongs to no unit (training images beside test images) stays.
    """
    top = out / files.top.name
    folder = top / files.path.relative_to(files.top)
    folder.mkdir(parents=True)
    owned = set(files.names.values())
    for path in files.path.iterdir():
        if path.name not in owned:
            _place(path, folder / path.name)
    if files.path != files.top:
        for path in files.top.iterdir():
            if path != files.path and not (top / path.name).exists():
                _place(path, top / path.name)
    for unit in units:
        if name := files.names.get(unit.source):
            # The name is the id, or its last part, and perhaps a suffix.
            suffix = name[len(Path(unit.source).name) :]
            _place(files.path / name, folder / (Path(unit.id).name + suffix))
    return top


def _place(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, copy_function=link_or_copy)
    else:
        link_or_copy(str(source), str(target))
