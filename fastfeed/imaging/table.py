"""Pictures from a list or a pandas DataFrame: a name and labels for each."""

from __future__ import annotations

import itertools
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.imaging.folder import EXTENSIONS
from fastfeed.imaging.found import Array, Found, Several, Split, part_of
from fastfeed.imaging.names import Names

CLASS_MODES_WITHOUT_CLASSES = ("input", "multi_output", "raw", None)

Index = npt.NDArray[np.int64]


@dataclass
class Table:
    """Names of files and what stands beside each.

    Attributes
    ----------
    names : list of str
    columns : list of sequences
        Labels, one entry a sample.
    weights : array or None
    where : str
        The labels in messages: ``column 'class'``.
    """

    names: list[str]
    columns: list[Any]
    weights: Array | None
    where: str


def find_in_table(
    table: Table,
    directory: str,
    classes: Sequence[str] | None,
    class_mode: str | None,
    split: Split | None,
    validate_filenames: bool,
) -> Found:
    """Take the rows whose file is there and whose class is asked for, then the split's part.

    Raises
    ------
    SourceError
        If no row is left.
    ArgumentError
        If the labels do not go with `class_mode`.
    """
    rows = np.arange(len(table.names), dtype=np.int64)
    if validate_filenames:
        rows = rows_with_files(table.names, directory)
    if not len(rows):
        raise no_files(table.names, directory)
    numbers: Any = None
    class_indices: dict[str, int] | None = None
    if class_mode not in CLASS_MODES_WITHOUT_CLASSES:
        labels = [table.columns[0][row] for row in rows]
        check_labels(labels, class_mode, classes, table.where)
        class_indices = indices_of(labels, classes)
        kept, numbers = class_numbers(labels, class_indices)
        rows = rows[kept]
    if not len(rows):
        raise no_label_wanted(table, classes)
    n_pictures = len(rows)
    rows, numbers = part_of(rows, split), part_of_numbers(numbers, split)
    if not len(rows):
        raise nothing_of_the_split(n_pictures, split)
    if split is not None and class_indices is not None:
        warn_of_absent_classes(numbers, class_indices)
    values = None
    if class_mode in ("raw", "multi_output"):
        values = [value_array(column, table.where)[rows] for column in table.columns]
    names = Names([table.names[row] for row in rows])
    weights = None if table.weights is None else table.weights[rows]
    check_numbers(values, weights, table.where)
    return Found(directory, names, numbers, class_indices, values, weights)


# -- which rows -----------------------------------------------------------------------------


def rows_with_files(names: list[str], directory: str) -> Index:
    """Return the rows whose file exists and is a picture by its name; warn of the others."""
    good = [
        name.lower().endswith(EXTENSIONS) and os.path.isfile(os.path.join(directory, name))
        for name in names
    ]
    rows = np.flatnonzero(good)
    if 0 < len(rows) < len(names):
        bad = names[good.index(False)]
        warnings.warn(
            f"{len(names) - len(rows)} of {len(names)} pictures are left out, because there is no "
            f"such file or its name does not end as a picture's does; the first is "
            f"{os.path.join(directory, bad)!r}. Correct the names or `directory`; "
            "validate_filenames=False takes them all unseen.",
            stacklevel=6,  # the line that calls images
        )
    return rows


def no_files(names: list[str], directory: str) -> SourceError:
    """Say why there is no picture before anything was chosen."""
    if not names:
        return SourceError("There are no pictures: the list (or DataFrame) is empty.")
    first = os.path.abspath(os.path.join(directory, names[0]))
    ending = next((end for end in EXTENSIONS if os.path.isfile(f"{first}.{end}")), None)
    cure = "Correct the names or `directory`."
    if ending is not None:
        cure = f"There is {first + '.' + ending!r}: add '.{ending}' to the names."
    return SourceError(
        f"None of {len(names)} pictures is left: none of their files exists and has a name that "
        f"ends in {', '.join('.' + end for end in EXTENSIONS)}. The first is {first!r}. {cure}"
    )


def no_label_wanted(table: Table, classes: Sequence[str] | None) -> SourceError:
    """Say why no class is left."""
    labels = f"their labels must be among classes={classes}" if classes else "all lists are empty"
    first = next(iter(table.columns[0]))
    return SourceError(
        f"None of {len(table.names)} pictures is left: {labels}, in {table.where}. The first label "
        f"is {first!r}."
    )


def nothing_of_the_split(n_pictures: int, split: Split | None) -> SourceError:
    """Say why a subset is empty."""
    assert split is not None
    return SourceError(
        f"None of {n_pictures} pictures is left: the split takes those from {split[0]:.0%} to "
        f"{split[1]:.0%} of them. Change validation_split."
    )


def warn_of_absent_classes(numbers: Any, class_indices: dict[str, int]) -> None:
    """Warn of a split that leaves classes out, because the rows are sorted by class."""
    present = set(np.unique(numbers.numbers if isinstance(numbers, Several) else numbers).tolist())
    absent = [name for name, number in class_indices.items() if number not in present]
    if absent:
        warnings.warn(
            f"This subset has no picture of {len(absent)} of {len(class_indices)} classes: "
            f"{', '.join(absent[:5])}. The split cuts the rows in their order; shuffle them once, "
            "always alike: frame.sample(frac=1, random_state=0).",
            stacklevel=6,  # the line that calls images
        )


# -- classes --------------------------------------------------------------------------------


def check_labels(
    labels: list[Any], class_mode: str | None, classes: Sequence[str] | None, where: str
) -> None:
    """Refuse labels that are no names of classes, and two classes that are not two.

    Raises
    ------
    ArgumentError
        With the first one that is wrong.
    """
    for row, label in enumerate(labels):
        if not is_class(label, class_mode):
            wanted = "texts, or lists of texts" if class_mode == "categorical" else "texts"
            raise ArgumentError(
                f'class_mode="{class_mode}" makes classes of {wanted}, but {where} has a '
                f"{type(label).__name__} (picture {row}). Numbers go to the model as they are with "
                'class_mode="raw"; to make classes of them, turn them into texts: str(label), '
                "frame[y_col].astype(str). Drop rows without a label.",
                repr(label),
            )
    if class_mode == "binary":
        found = set(classes or labels)
        if len(found) != 2:
            raise ArgumentError(
                f'class_mode="binary" needs 2 classes, and {where} has {len(found)}. Use '
                '"categorical" or "sparse", or name two in classes=[...].',
                f"{sorted(found)[:10]}",
            )


def is_class(label: Any, class_mode: str | None) -> bool:
    """Tell whether this is a name, or for "categorical" several; a row of ones and zeros is not."""
    if class_mode == "categorical" and isinstance(label, (list, tuple)):
        return all(isinstance(name, str) for name in label)
    return isinstance(label, str)


def indices_of(labels: list[Any], classes: Sequence[str] | None) -> dict[str, int]:
    """Return the number of each class: as `classes` gives them, or sorted."""
    if not classes:
        each = ([label] if isinstance(label, str) else label for label in labels)
        classes = sorted(set(itertools.chain.from_iterable(each)))
    return {name: number for number, name in enumerate(dict.fromkeys(classes))}


def class_numbers(
    labels: list[Any], class_indices: dict[str, int]
) -> tuple[Index, npt.NDArray[np.int32] | Several]:
    """Return which samples have a class that is wanted, and their class numbers."""
    if all(isinstance(label, str) for label in labels):
        numbers = np.array([class_indices.get(label, -1) for label in labels], dtype=np.int32)
        kept = np.flatnonzero(numbers >= 0)
        return kept, numbers[kept]
    lists = [
        [class_indices[name] for name in names if name in class_indices]
        for names in ([label] if isinstance(label, str) else label for label in labels)
    ]
    kept = np.flatnonzero([len(each) for each in lists])
    return kept, several([lists[row] for row in kept])


def several(lists: Sequence[Sequence[int]]) -> Several:
    """Put lists of class numbers one behind the other."""
    starts = np.zeros(len(lists) + 1, dtype=np.int64)
    np.cumsum([len(each) for each in lists], out=starts[1:])
    return Several(np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int32), starts)


def part_of_numbers(numbers: Any, split: Split | None) -> Any:
    """Return the class numbers of the split's part."""
    if not isinstance(numbers, Several):
        return numbers if numbers is None else part_of(numbers, split)
    pairs = itertools.pairwise(numbers.starts.tolist())
    return several(part_of([numbers.numbers[start:stop] for start, stop in pairs], split))


def value_array(column: Any, where: str) -> Array:
    """Return labels that are no classes as an array with a row a sample.

    Raises
    ------
    ArgumentError
        If they have no common dtype and shape.
    """
    try:
        array = np.asarray(column)
        if array.dtype.hasobject:  # texts, or arrays in the cells of a DataFrame
            array = np.array(list(column))
    except ValueError:  # rows of several lengths
        array = np.array(None)
    if array.dtype.hasobject or len(array) != len(column):
        raise ArgumentError(
            f"There must be numbers or texts, or arrays of one shape, in {where}: a batch of them "
            "is an array. Drop rows without a label, and pad lists to one length.",
            f"labels such as {next(iter(column))!r}",
        )
    return array


def check_numbers(values: list[Array] | None, weights: Array | None, where: str) -> None:
    """Refuse weights that are no numbers; warn of such labels, which a loss may be made for.

    Raises
    ------
    ArgumentError
        With how many weights are NaN.
    """
    if weights is not None and np.isnan(weights).any():
        raise ArgumentError(
            "weight_col must have a number in each row, or the loss is not a number: "
            "frame[weight_col].fillna(1).",
            f"{np.isnan(weights).sum()} of {len(weights)} weights are NaN",
        )
    for array in values or ():
        n_nan = np.isnan(array).sum() if array.dtype.kind == "f" else 0
        if n_nan:
            warnings.warn(
                f"{n_nan} labels in {where} are NaN; a loss that does not pass over them becomes "
                "NaN, and the model with it. Drop the rows: frame.dropna(subset=[y_col]).",
                stacklevel=6,  # the line that calls images
            )
