"""The visible test set: its units (images, rows), and where each unit appears.

A unit is what a hidden test has more of: a row of test.csv, an image of test/, an image
that is a row of some parquet file and three rows of the sample submission. Its id links
the files; where no file holds an id (Digit Recognizer), a unit is a row's position.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kernel_builder.errors import UsageError
from kernel_builder.rehearse.mounts import CONFIG, Config
from kernel_builder.rehearse.tables import Table, read_table
from kernel_builder.rehearse.verify import find_sample

MOST_FOLDERS = 20
SEPARATORS = "_-/:. "
TABLES = {".csv", ".parquet"}
TEST_NAME = re.compile(r"(?<![a-z])test")
PART = re.compile(r"^(.*?)(\d+)(\.\w+)$")


@dataclass(frozen=True)
class Files:
    """A folder with a file (or folder) for each unit, which may hold others as well.

    `top` is the entry of the competition's folder that it lies in, or is; `names` are
    by unit id.
    """

    path: Path
    top: Path
    names: dict[str, str]


@dataclass(frozen=True)
class TestSet:
    """The test set by units, in the order of the first table.

    Attributes:
        column: the column that holds unit ids; "" when units are positions.
        id_columns: every column that holds sample ids or unit ids.
        rows: for each table its row numbers by unit.
        sample_rows: the sample's row numbers by unit.
    """

    __test__ = False  # not a test class, whatever its name looks like

    folder: Path
    units: tuple[str, ...]
    column: str
    id_columns: tuple[str, ...]
    tables: tuple[Table, ...]
    rows: tuple[dict[str, list[int]], ...]
    files: tuple[Files, ...]
    sample: Table
    sample_rows: dict[str, list[int]]

    @property
    def positional(self) -> bool:
        """Whether ids are mere row numbers."""
        return not self.column and not self.files


def read_test_set(folder: Path, config: Config) -> TestSet:
    """Find out how the files of a competition's test set hang together.

    Raises:
        UsageError: there is no sample, no test file, or no link between them; says how
            to help with `rehearsal.toml`.
    """
    path = find_sample(folder, config.sample)
    if path is None:
        raise _cannot(folder, "there is no sample_submission.csv", "sample")
    sample = read_table(path, [config.id])
    ids = _sample_ids(sample, config)
    entries = [p for p in _test_entries(folder, config) if p != path]
    tables = [read_table(p, [config.id]) for p in entries if p.suffix in TABLES]
    folders = [p for p in entries if p.is_dir()]
    if not tables and not folders:
        raise _cannot(folder, "no test file or folder was found", "test")
    known = set(ids).union(*(v for t in tables for v in t.keys.values()))
    files = [_files(p, known) for p in folders]
    column, units = _units(tables, files, sample, ids, config)
    files += _files_by_path(folder, units)
    linked = [t for t in tables if not column or column in t.keys]
    if not units:
        raise _cannot(folder, "nothing links the test files to the sample's ids", "id")
    positional = not column and not files
    sample_units = _units_of_sample(ids, units, linked, column, positional)
    return TestSet(
        folder=folder,
        units=units,
        column=column,
        id_columns=_id_columns(linked, sample, column, ids),
        tables=tuple(linked),
        rows=tuple(_rows_by(t.keys[column] if column else units) for t in linked),
        files=tuple(files),
        sample=sample,
        sample_rows=_rows_by(sample_units),
    )


def _cannot(folder: Path, problem: str, key: str) -> UsageError:
    return UsageError(
        f"{folder}: {problem}, so no hidden test can be imitated. Say it in {CONFIG} "
        f'beside the kernel ({key} = "..."), or write a hook (mutate = "file.py")'
    )


def _sample_ids(sample: Table, config: Config) -> list[str]:
    column = config.id if config.id in sample.keys else next(iter(sample.keys))
    return sample.keys[column]


def _test_entries(folder: Path, config: Config) -> list[Path]:
    """The files and folders of the test set: `test = "pattern"`, else by their name."""
    if config.test:
        return sorted(folder.glob(config.test))
    named = [p for p in sorted(folder.iterdir()) if TEST_NAME.search(p.name.lower())]
    return [p for p in named if p.is_dir() or p.suffix in TABLES]


def _files(top: Path, known: set[str]) -> Files:
    """The folder, or one of its own folders, whose entries bear known ids.

    Raises:
        UsageError: there is none: renaming a unit would lose its file.
    """
    inner = sorted(path for path in top.iterdir() if path.is_dir())
    for folder in (top, *inner[:MOST_FOLDERS]):
        names = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
        for id_of in (str, lambda name: name.split(".")[0]):
            by_id = {id_of(name): name for name in names}
            if len(by_id) == len(names) and known & by_id.keys():
                return Files(folder, top, by_id)
    raise _cannot(top, "its files bear none of the ids", "test")


def _files_by_path(folder: Path, units: Sequence[str]) -> list[Files]:
    """The folder of files that the ids themselves name, as `images/18353.jpg` does."""
    parents = {Path(unit).parent for unit in units}
    if len(parents) != 1 or not all((folder / unit).is_file() for unit in units):
        return []
    (parent,) = parents
    if not parent.parts or ".." in parent.parts or parent.is_absolute():
        return []
    names = {unit: Path(unit).name for unit in units}
    return [Files(folder / parent, folder / parent.parts[0], names)]


def _units(
    tables: Sequence[Table],
    files: Sequence[Files],
    sample: Table,
    ids: Sequence[str],
    config: Config,
) -> tuple[str, tuple[str, ...]]:
    """The unit column (or "") and the units in order."""
    if files:
        units = set(files[0].names)
        for table in tables:
            for name, values in table.keys.items():
                if units <= set(values) or set(values) <= units:
                    return name, _ordered(values, units)
        return "", _ordered(_prefixes(ids, units), units)
    column = _column(tables, sample, ids, config)
    if column:
        having = [t.keys[column] for t in tables if column in t.keys]
        return column, tuple(dict.fromkeys(value for v in having for value in v))
    if len(tables) == 1 and len(tables[0]) == len(ids):
        return "", tuple(str(number) for number in range(len(ids)))
    return "", ()


def _column(
    tables: Sequence[Table], sample: Table, ids: Sequence[str], config: Config
) -> str:
    """The column that links the files to the sample's ids; the named one first."""
    everywhere = [
        name for name in tables[0].keys if all(name in table.keys for table in tables)
    ]
    names = everywhere or [name for table in tables for name in table.keys]
    likely = [config.id, *(name for name in names if name in sample.keys), *names]
    for name in likely:
        values = {v for table in tables for v in table.keys.get(name, ())}
        if values and values.issuperset(_prefixes(ids, values)):
            return name
    return ""


def _prefixes(ids: Sequence[str], units: set[str]) -> list[str]:
    """The unit each id stands for: itself, or its longest part before a separator."""
    found = []
    for id in ids:
        candidates = [id[:i] for i, letter in enumerate(id) if letter in SEPARATORS]
        best = [c for c in (*candidates, id) if c in units]
        found.append(best[-1] if best else "")
    return found


def _units_of_sample(
    ids: Sequence[str],
    units: Sequence[str],
    tables: Sequence[Table],
    column: str,
    positional: bool,
) -> list[str]:
    if positional:
        return list(units)
    linked: dict[str, str] = {}
    for table in tables:
        for values in table.keys.values():
            if column and set(ids) <= set(values):
                linked.update(zip(values, table.keys[column], strict=True))
    known = set(units)
    return [
        linked.get(id) or unit
        for id, unit in zip(ids, _prefixes(ids, known), strict=True)
    ]


def _id_columns(
    tables: Sequence[Table], sample: Table, column: str, ids: Sequence[str]
) -> tuple[str, ...]:
    wanted = set(ids)
    names = {column} if column else set()
    for table in (*tables, sample):
        names |= {n for n, values in table.keys.items() if wanted <= set(values)}
    return tuple(sorted(names))


def _ordered(values: Iterable[str], units: set[str]) -> tuple[str, ...]:
    """Units in the order of `values`, those that do not occur there last."""
    first = dict.fromkeys(value for value in values if value in units)
    return (*first, *sorted(units - first.keys()))


def _rows_by(units: Sequence[str]) -> dict[str, list[int]]:
    rows: dict[str, list[int]] = {}
    for number, unit in enumerate(units):
        rows.setdefault(unit, []).append(number)
    return rows
