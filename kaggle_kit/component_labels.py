"""Labels of several components per image, and what their classes are called.

Bengali.AI's train.csv has a column per component (grapheme_root, vowel_diacritic,
consonant_diacritic); its class_map.csv names the classes of each. Faults of both files,
and images without a row or rows without an image, are found before training starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

BENGALI_COMPONENTS = ("grapheme_root", "vowel_diacritic", "consonant_diacritic")
_LABEL_SHOWN = 5
_LABEL_MAP_COLUMNS = ("component_type", "label", "component")


@dataclass(frozen=True)
class ClassMap:
    """The classes of each component.

    Attributes:
        components: their names, in the order of the label columns.
        classes: for each component the names of its classes, in the order of labels.
    """

    components: tuple[str, ...]
    classes: tuple[tuple[str, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many classes each component has."""
        return tuple(len(names) for names in self.classes)


@dataclass(frozen=True, eq=False)
class ComponentLabels:
    """Images with a label for each component.

    Attributes:
        ids: (N,) str objects, no two alike.
        labels: (N, components) int64, from 0 up.
        class_map: what the labels mean.
    """

    ids: npt.NDArray[np.object_]
    labels: npt.NDArray[np.int64]
    class_map: ClassMap

    def __len__(self) -> int:
        """Count the images."""
        return len(self.ids)

    def class_counts(self) -> dict[str, npt.NDArray[np.int64]]:
        """Count the images of each class, by component: (classes,) int64 each."""
        return {
            name: np.bincount(self.labels[:, k], minlength=self.class_map.sizes[k])
            for k, name in enumerate(self.class_map.components)
        }

    def in_order_of(self, ids: Sequence[str] | npt.NDArray[Any]) -> "ComponentLabels":
        """The same labels in the order of the images, one row for each.

        Args:
            ids: of the images, such as `ImageTable.ids`.

        Raises:
            ValueError: an image has no row, or a row no image; the message names some.
        """
        rows = {name: row for row, name in enumerate(self.ids.tolist())}
        wanted = [str(name) for name in ids]
        unlabelled = [name for name in wanted if name not in rows]
        unseen = sorted(rows.keys() - set(wanted), key=rows.__getitem__)
        faults = []
        if unlabelled:
            faults.append(f"{_label_list(unlabelled, 'image')} without a row of labels")
        if unseen:
            faults.append(f"{_label_list(unseen, 'row')} of labels without an image")
        if faults:
            raise ValueError(
                f"{len(wanted):,} images and {len(rows):,} rows of labels do not fit "
                f"together: {'; '.join(faults)}. Are all image files there?"
            )
        order = np.array([rows[name] for name in wanted], np.int64)
        return ComponentLabels(self.ids[order], self.labels[order], self.class_map)


def _label_list(names: Sequence[Any], noun: str) -> str:
    """`3 rows (a, b, c)`, or the first few of many."""
    shown = ", ".join(map(str, names[:_LABEL_SHOWN]))
    more = ", ..." if len(names) > _LABEL_SHOWN else ""
    return f"{len(names):,} {noun}{'s' if len(names) > 1 else ''} ({shown}{more})"


def _label_table(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A CSV file that has at least these columns; all cells are text, empty ones ""."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"{path}: not readable as CSV: {reason}") from None
    if missing := [name for name in columns if name not in table.columns]:
        raise ValueError(
            f"{path}: no column {', '.join(map(repr, missing))}; there are "
            f"{', '.join(map(repr, table.columns))}"
        )
    return table


def _label_rows(mask: "pd.Series[bool]") -> str:
    """Which rows a mask means."""
    rows = np.flatnonzero(mask.to_numpy())
    return f"{_label_list(rows.tolist(), 'row')}, counted from 0"


def _label_numbers(path: Path, name: str, cells: "pd.Series[str]") -> pd.Series:
    """Labels of one column: whole numbers from 0 up, also spelt 3.0."""
    text = cells.str.strip()
    numeric = text.str.fullmatch(r"[0-9]{1,9}(\.0+)?")
    if not bool(numeric.all()):
        first = text[~numeric].iloc[0]
        empty = first == "" or first.lower() in ("nan", "na", "none", "null", "<na>")
        what = "no label" if empty else f"{first!r}"
        raise ValueError(
            f"{path}: column {name!r} holds {what}, expected whole numbers from 0 up: "
            f"{_label_rows(~numeric)}"
        )
    return text.str.partition(".")[0].astype("int64")


def read_class_map(
    path: str | Path, components: Sequence[str] = BENGALI_COMPONENTS
) -> ClassMap:
    """Read class_map.csv: component_type, label, component.

    Args:
        path: CSV with a row per class.
        components: in the order in which the label columns are wanted.

    Raises:
        FileNotFoundError: no such file.
        ValueError: columns missing; other components; labels of a component that are
            not 0, 1, 2, ... each once.
    """
    path = Path(path)
    table = _label_table(path, _LABEL_MAP_COLUMNS)
    found = list(dict.fromkeys(table["component_type"]))
    if sorted(found) != sorted(components):
        raise ValueError(
            f"{path}: classes of {', '.join(found) or 'nothing'}; expected "
            f"{', '.join(components)}. For other components: components=(...)"
        )
    labels = _label_numbers(path, "label", table["label"])
    classes = []
    for component in components:
        own = labels[table["component_type"] == component].sort_values()
        if own.tolist() != list(range(len(own))):
            raise ValueError(
                f"{path}: the labels of {component} are not 0 to {len(own) - 1}, each "
                f"once: {', '.join(map(str, own.tolist()[:20]))}"
                f"{', ...' if len(own) > 20 else ''}"
            )
        classes.append(tuple(table["component"].loc[own.index]))
    return ClassMap(tuple(components), tuple(classes))


def read_component_labels(
    path: str | Path, class_map: ClassMap, id: str = "image_id"
) -> ComponentLabels:
    """Read train.csv: an id and a label per component, other columns ignored.

    Args:
        path: CSV with a row per image.
        class_map: which labels there are, see `read_class_map`.
        id: name of the column that identifies the images.

    Raises:
        FileNotFoundError: no such file.
        ValueError: columns missing; no rows; an id empty or there twice; a label
            missing, no whole number, or not in the class map. The message names column
            and rows.
    """
    path = Path(path)
    table = _label_table(path, (id, *class_map.components))
    if table.empty:
        raise ValueError(f"{path}: no rows after the header")
    ids = table[id]
    for mask, what in (
        (ids.str.strip() == "", "no id"),
        (ids.duplicated(keep=False), "an id that is there more than once"),
    ):
        if bool(mask.any()):
            raise ValueError(f"{path}: column {id!r} holds {what}: {_label_rows(mask)}")
    labels = np.empty((len(table), len(class_map.components)), np.int64)
    for k, (name, size) in enumerate(
        zip(class_map.components, class_map.sizes, strict=True)
    ):
        numbers = _label_numbers(path, name, table[name])
        outside = numbers >= size
        if bool(outside.any()):
            raise ValueError(
                f"{path}: column {name!r} holds {numbers[outside].iloc[0]}, but the "
                f"class map only 0 to {size - 1}: {_label_rows(outside)}"
            )
        labels[:, k] = numbers
    return ComponentLabels(ids.to_numpy(dtype=object), labels, class_map)
