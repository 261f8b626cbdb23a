"""Long submissions: one row for each component of an image (Bengali.AI's form).

test.csv says which image and which component a row_id asks for; sample_submission.csv
says which row_ids are answered, in which order. The images come from other files, in
any order.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

_ASKED_SHOWN = 5


class AskedRowsError(ValueError):
    """test.csv, sample_submission.csv and the images do not belong together."""


@dataclass(frozen=True, eq=False)
class AskedRows:
    """What the rows of a sample submission ask for, in its order.

    Attributes:
        row_ids: (N,) str.
        images: (N,) str, id of the image each row asks about.
        heads: (N,) int64, number of the component it asks for.
        name: of the file, for messages.
    """

    row_ids: npt.NDArray[Any]
    images: npt.NDArray[Any]
    heads: npt.NDArray[np.int64]
    name: str

    def check_images(
        self, ids: Sequence[str], log: Callable[[str], None] = print
    ) -> None:
        """Compare the images that are there with those asked for.

        Args:
            ids: of the images that are there, all files together.
            log: told of images that no row asks for; they do no harm.

        Raises:
            AskedRowsError: an image is asked for and not there, or is there twice.
        """
        there = pd.Index(ids)
        if not there.is_unique:
            twice = there[there.duplicated()].unique()
            raise AskedRowsError(f"images are there twice: {_asked_some(twice)}")
        wanted = pd.Index(self.images).unique()
        if len(missing := wanted.difference(there, sort=False)):
            raise AskedRowsError(
                f"{self.name} asks for images that no file holds: "
                f"{_asked_some(missing)}. Are all test files attached?"
            )
        if len(extra := there.difference(wanted, sort=False)):
            log(f"no row of {self.name} asks for: {_asked_some(extra)}; left out")

    def answers(
        self, ids: Sequence[str], labels: npt.NDArray[np.integer[Any]]
    ) -> npt.NDArray[np.int64]:
        """Pick each row's answer.

        Args:
            ids: (M,) of the images, in any order.
            labels: (M, heads) predicted classes.

        Returns:
            (N,) int64 in the order of the sample submission.

        Raises:
            AskedRowsError: see `check_images`.
        """
        self.check_images(ids, log=lambda line: None)
        places = pd.Index(ids).get_indexer(pd.Index(self.images))
        return np.asarray(labels)[places, self.heads].astype(np.int64)


def read_asked_rows(
    test: str | Path,
    sample: str | Path,
    components: Sequence[str],
    image: str = "image_id",
    component: str = "component",
) -> AskedRows:
    """Read what a sample submission asks for.

    Args:
        test: test.csv, with the sample's first column, `image` and `component`.
        sample: sample_submission.csv; its first column names the rows.
        components: names of the heads in the order of the predictions.
        image: column of the image's id.
        component: column of the component's name.

    Raises:
        FileNotFoundError: a file is not there.
        AskedRowsError: a column or a row_id is missing, a row_id is there twice, or a
            component has no head.
    """
    test, sample = Path(test), Path(sample)
    asked = _asked_table(sample)
    row = str(asked.columns[0])
    known = _asked_table(test)
    absent = [name for name in (row, image, component) if name not in known.columns]
    if absent:
        raise AskedRowsError(
            f"{test}: no column {absent[0]!r}; there are {', '.join(known.columns)}"
        )
    for path, table in ((sample, asked), (test, known)):
        if len(twice := table[row][table[row].duplicated()]):
            raise AskedRowsError(f"{path}: {row} twice: {_asked_some(twice)}")
    if len(missing := asked[row][~asked[row].isin(known[row])]):
        raise AskedRowsError(
            f"{test} lacks rows of {sample.name}: {_asked_some(missing)}"
        )
    table = known.set_index(row).loc[asked[row]]
    numbers = {name: number for number, name in enumerate(components)}
    heads = table[component].map(numbers)
    if len(strange := table[component][heads.isna()].unique()):
        raise AskedRowsError(
            f"{test}: component {_asked_some(strange)} is unknown; the model predicts "
            f"{', '.join(components)}"
        )
    return AskedRows(
        asked[row].to_numpy(dtype=object),
        table[image].to_numpy(dtype=object),
        np.asarray(heads, np.int64),
        test.name,
    )


def _asked_table(path: Path) -> pd.DataFrame:
    """All cells as text: ids keep their spelling."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (pd.errors.EmptyDataError, pd.errors.ParserError) as error:
        raise AskedRowsError(f"{path}: not a table: {error}") from error
    if not len(table):
        raise AskedRowsError(f"{path} has no rows")
    return table


def _asked_some(values: Iterable[str]) -> str:
    names = [str(value) for value in values]
    shown, more = ", ".join(names[:_ASKED_SHOWN]), len(names) - _ASKED_SHOWN
    return f"{shown} and {more:,} more" if more > 0 else shown
