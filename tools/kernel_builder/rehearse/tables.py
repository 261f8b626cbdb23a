"""Tables of a test set as they are on disk: rows taken, repeated and renamed.

A CSV keeps the text of every row it does not rename, a parquet file its exact column
types, so that the changed file differs from the real one in nothing else.
"""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from kernel_builder.errors import UsageError

Rename = Callable[[str], str]


class Table(Protocol):
    """What a mutation needs of a table; `keys` are the columns that may hold ids."""

    path: Path
    keys: dict[str, list[str]]

    def __len__(self) -> int: ...

    def write(
        self, path: Path, rows: Sequence[tuple[int, Rename]], columns: Sequence[str]
    ) -> None:
        """Write the given rows; each one's `columns` go through its own function."""
        ...


def _may_hold_ids(name: str, position: int) -> bool:
    lowered = name.lower()
    return position == 0 or lowered.endswith("id") or lowered.startswith("id")


def read_table(path: Path, wanted: Iterable[str] = ()) -> Table:
    """Read a CSV or parquet file.

    Raises:
        UsageError: the file cannot be read, or pyarrow is missing for parquet.
    """
    try:
        if path.suffix == ".parquet":
            return _read_parquet(path, set(wanted))
        return _read_csv(path, set(wanted))
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as a table: {error}") from error


@dataclass
class CsvTable:
    """A CSV file: the header, each record's own text, and the id columns."""

    path: Path
    columns: list[str]
    header: str
    records: list[str]
    keys: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records)

    def write(
        self, path: Path, rows: Sequence[tuple[int, Rename]], columns: Sequence[str]
    ) -> None:
        """Write the given rows; only renamed ones are formatted anew."""
        places = [self.columns.index(name) for name in columns if name in self.columns]
        end = "\r\n" if self.header.endswith("\r\n") else "\n"
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator=end)
            file.write(self.header)
            for index, rename in rows:
                record = self.records[index]
                if all(self._same(name, index, rename) for name in columns):
                    file.write(record)
                    continue
                cells = next(csv.reader(io.StringIO(record, newline="")))
                for place in places:
                    cells[place] = rename(cells[place])
                writer.writerow(cells)

    def _same(self, name: str, index: int, rename: Rename) -> bool:
        if name not in self.keys:
            return name not in self.columns
        return rename(self.keys[name][index]) == self.keys[name][index]


def _read_csv(path: Path, wanted: set[str]) -> CsvTable:
    with path.open(encoding="utf-8-sig", newline="") as file:
        consumed: list[str] = []
        reader = csv.reader(_remembering(file, consumed))
        columns = next(reader, [])
        if not columns:
            raise ValueError("it is empty")
        table = CsvTable(path, columns, _ended(_taken(consumed)), [])
        keys = {
            place: name
            for place, name in enumerate(columns)
            if _may_hold_ids(name, place) or name in wanted
        }
        values: dict[str, list[str]] = {name: [] for name in keys.values()}
        for cells in reader:
            text = _ended(_taken(consumed))
            if not cells:
                continue  # a blank line
            if len(cells) != len(columns):
                number = len(table.records) + 1
                raise ValueError(
                    f"row {number} has {len(cells)} of {len(columns)} cells"
                )
            table.records.append(text)
            for place, name in keys.items():
                values[name].append(cells[place])
    table.keys = values
    return table


def _remembering(lines: Iterable[str], consumed: list[str]) -> Iterator[str]:
    """Hand lines on; a record with a quoted line break consumes several."""
    for line in lines:
        consumed.append(line)
        yield line


def _taken(consumed: list[str]) -> str:
    text = "".join(consumed)
    consumed.clear()
    return text


def _ended(text: str) -> str:
    """The last line of a file may lack its end."""
    return text if text.endswith("\n") else text + "\n"


@dataclass
class ParquetTable:
    """A parquet file, held as an Arrow table."""

    path: Path
    data: Any
    keys: dict[str, list[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.data.num_rows)

    def write(
        self, path: Path, rows: Sequence[tuple[int, Rename]], columns: Sequence[str]
    ) -> None:
        """Write the given rows in one row group, types unchanged."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        taken = self.data.take(pa.array([index for index, _ in rows], pa.int64()))
        for name in columns:
            if name in self.keys:
                values = [rename(self.keys[name][index]) for index, rename in rows]
                place = taken.schema.get_field_index(name)
                column = pa.array(values, pa.string()).cast(
                    taken.schema.field(name).type
                )
                taken = taken.set_column(place, taken.schema.field(name), column)
        pq.write_table(taken, path, row_group_size=max(1, taken.num_rows))


def _read_parquet(path: Path, wanted: set[str]) -> ParquetTable:
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(f"{path}: changing a parquet test needs pyarrow") from error
    data = pq.read_table(path)
    keys = {
        name: [str(value) for value in data.column(name).to_pylist()]
        for place, name in enumerate(data.column_names)
        if _may_hold_ids(name, place) or name in wanted
    }
    return ParquetTable(path, data, keys)
