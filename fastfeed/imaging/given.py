"""What a user passes to `images`: a folder, a DataFrame or a list, and which pictures of it."""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.imaging.folder import find_in_folder
from fastfeed.imaging.found import Found, Split
from fastfeed.imaging.ranges import number_of
from fastfeed.imaging.table import CLASS_MODES_WITHOUT_CLASSES, Table, find_in_table

CLASS_MODES = ("categorical", "binary", "sparse", "input", "raw", "multi_output", None)
ACCEPTED = (
    "images(...) takes a folder with a subfolder for each class, a pandas DataFrame, a list of "
    "files (with labels=[...] or class_mode=None), or a list of pairs (file, label)."
)


@dataclass(frozen=True)
class Selection:
    """Which pictures, and what their labels are; the arguments of `images` of these names."""

    directory: str | os.PathLike[str] | None
    labels: Any
    x_col: str
    y_col: str | list[str]
    weight_col: str | None
    classes: Sequence[str] | None
    class_mode: str | None
    validate_filenames: bool
    follow_links: bool
    subset: str | None
    validation_split: float

    def __post_init__(self) -> None:
        if self.class_mode not in CLASS_MODES:
            raise ArgumentError(
                f"class_mode must be one of {', '.join(map(repr, CLASS_MODES))}.",
                f"class_mode={self.class_mode!r}",
            )
        self._check_split()

    def _check_split(self) -> None:
        split, subset = self.validation_split, self.subset
        if split and not 0 < number_of(split, "validation_split") < 1:
            raise ArgumentError(
                "validation_split is the part of the pictures kept for validation, strictly "
                "between 0 and 1.",
                f"validation_split={split!r}",
            )
        if subset not in (None, "training", "validation"):
            raise ArgumentError(
                'subset must be "training", "validation" or None.', f"subset={subset!r}"
            )
        if bool(split) != (subset is not None):
            raise ArgumentError(
                "validation_split and subset go together: make one source with "
                'validation_split=0.2, subset="training" and one with the same split and '
                'subset="validation". One without the other would train on the pictures that are '
                "meant for validation, or leave none.",
                f"validation_split={split!r}, subset={subset!r}",
            )

    @property
    def split(self) -> Split | None:
        """The part that is taken: Keras's validation pictures are the first ones."""
        if self.subset is None:
            return None
        first = self.validation_split
        return (0.0, first) if self.subset == "validation" else (first, 1.0)


def find(source: Any, selection: Selection) -> Found:
    """List the pictures.

    Raises
    ------
    ArgumentError, SourceError
        If there are none, or the arguments do not fit what was found.
    """
    if isinstance(source, (str, os.PathLike)):
        return from_folder(os.fspath(source), selection)
    if hasattr(source, "columns") and hasattr(source, "iloc"):
        table = from_frame(source, selection)
    elif isinstance(source, Sequence) or hasattr(source, "tolist"):
        table = from_list(source, selection)
    else:
        raise SourceError(f"{ACCEPTED} Received: {type(source).__name__}")
    return find_in_table(
        table,
        os.fspath(selection.directory or ""),
        selection.classes,
        selection.class_mode,
        selection.split,
        selection.validate_filenames,
    )


def from_folder(directory: str, selection: Selection) -> Found:
    """List the pictures of a folder with a subfolder for each class."""
    if selection.class_mode in ("raw", "multi_output"):
        raise ArgumentError(
            "The labels of a folder are its subfolders' names, so class_mode is 'categorical', "
            "'binary', 'sparse', 'input' or None. For other labels pass a DataFrame or a list.",
            f"class_mode={selection.class_mode!r}",
        )
    if selection.labels is not None or selection.directory is not None:
        raise ArgumentError(
            "labels and directory go with a list of files or a DataFrame; the labels of a folder "
            "are its subfolders' names.",
            f"source={directory!r}, directory={selection.directory!r}",
        )
    found = find_in_folder(directory, selection.classes, selection.split, selection.follow_links)
    n_classes = len(found.class_indices or ())
    if selection.class_mode == "binary" and n_classes != 2:
        raise ArgumentError(
            f'class_mode="binary" needs 2 classes, and {directory!r} has {n_classes}: '
            f"{', '.join(list(found.class_indices or ())[:10])}. Use 'categorical' or 'sparse', "
            "or name two in classes=[...].",
            "class_mode='binary'",
        )
    return found


# -- DataFrames -----------------------------------------------------------------------------


def from_frame(frame: Any, selection: Selection) -> Table:
    """Take the columns that are asked for."""
    if selection.labels is not None:
        raise ArgumentError("A DataFrame's labels are its column y_col.", "labels=...")
    mode, y_col = selection.class_mode, selection.y_col
    if mode not in (None, "input"):
        check_y_col(y_col, mode)
    names = column(frame, selection.x_col, "x_col").tolist()
    columns: list[Any] = []
    if mode == "raw" and isinstance(y_col, list):
        each = [column(frame, name, "y_col") for name in y_col]
        columns = [np.stack(each, axis=1)]
    elif mode not in (None, "input"):
        wanted = y_col if isinstance(y_col, list) else [y_col]
        columns = [column(frame, name, "y_col") for name in wanted]
        columns = columns if mode == "raw" else [each.tolist() for each in columns]
    files = texts(names, f"column {selection.x_col!r}")
    return Table(files, columns, weights(frame, selection), where=f"column {y_col!r}")


def check_y_col(y_col: Any, class_mode: str | None) -> None:
    """Refuse one column where several are meant, several where one is meant, and none."""
    as_wanted = class_mode == "raw" or isinstance(y_col, list) == (class_mode == "multi_output")
    if not as_wanted or (isinstance(y_col, list) and not y_col):
        raise ArgumentError(
            'class_mode="multi_output" takes a list of columns in y_col, the others take one '
            '("raw" takes either).',
            f"class_mode={class_mode!r}, y_col={y_col!r}",
        )


def column(frame: Any, name: str, argument: str) -> np.ndarray[Any, Any]:
    """Return a column of a DataFrame.

    Raises
    ------
    ArgumentError
        If there is none of this name; with those that there are.
    """
    if not isinstance(name, Hashable) or name not in frame.columns:
        raise ArgumentError(
            f"The DataFrame has no column {name!r}; it has {list(frame.columns)}. Say with "
            "x_col, y_col and weight_col which ones hold the file names, the labels and the "
            "weights.",
            f"{argument}={name!r}",
        )
    values: np.ndarray[Any, Any] = frame[name].to_numpy()
    if values.ndim > 1:
        raise ArgumentError(
            f"The DataFrame has {values.shape[1]} columns {name!r}. Give each a name of its own.",
            f"{argument}={name!r}",
        )
    return values


def weights(frame: Any, selection: Selection) -> Any:
    """Return the samples' weights, None if there are none."""
    if selection.weight_col is None:
        return None
    found = column(frame, selection.weight_col, "weight_col")
    if found.dtype.kind not in "iuf":
        raise ArgumentError(
            "weight_col must be a column of numbers.",
            f"weight_col={selection.weight_col!r} of dtype {found.dtype}",
        )
    return found


# -- lists ----------------------------------------------------------------------------------


def from_list(source: Any, selection: Selection) -> Table:
    """Take a list of files, or of pairs of a file and its label."""
    entries = source.tolist() if hasattr(source, "tolist") else list(source)
    labels = selection.labels
    if entries and is_pair(entries[0]):
        if labels is not None:
            raise ArgumentError(
                "Labels stand either in the list, as pairs (file, label), or in labels=[...].",
                f"{entries[0]!r}, labels=...",
            )
        if not all(map(is_pair, entries)):
            odd = next(entry for entry in entries if not is_pair(entry))
            raise ArgumentError("All entries must be pairs (file, label), or none.", repr(odd))
        labels = [entry[1] for entry in entries]
        entries = [entry[0] for entry in entries]
    if selection.weight_col is not None:
        raise ArgumentError(
            "weight_col names a column of a DataFrame: pandas.DataFrame({'filename': files, "
            "'class': labels, 'weight': weights}).",
            f"weight_col={selection.weight_col!r} with a list",
        )
    names = texts(entries, "the list of files")
    return Table(names, label_columns(labels, len(names), selection.class_mode), None, "the labels")


def is_pair(entry: Any) -> bool:
    """Tell whether this is (file, label)."""
    is_sequence = isinstance(entry, (tuple, list)) and len(entry) == 2
    return is_sequence and isinstance(entry[0], (str, os.PathLike))


def label_columns(labels: Any, n_names: int, class_mode: str | None) -> list[Any]:
    """Return the labels of a list of files by columns.

    Raises
    ------
    ArgumentError
        If there are none although `class_mode` needs them, or not one for each file.
    """
    if class_mode in (None, "input"):
        return []
    if labels is None:
        raise ArgumentError(
            f"class_mode={class_mode!r} needs a label for each file: labels=[...], or pairs (file, "
            "label). For pictures without labels set class_mode=None.",
            "labels=None",
        )
    columns = list(labels) if class_mode == "multi_output" and is_sized(labels) else [labels]
    for each in columns:
        if not is_sized(each) or len(each) != n_names:
            given = f"{len(each)} labels" if is_sized(each) else f"a {type(each).__name__}"
            raise ArgumentError(
                "There must be a list or an array of as many labels as files"
                + (" for each of the outputs." if class_mode == "multi_output" else "."),
                f"{n_names} files, {given}",
            )
    if class_mode in CLASS_MODES_WITHOUT_CLASSES:
        return columns
    return [each.tolist() if hasattr(each, "tolist") else list(each) for each in columns]


def is_sized(labels: Any) -> bool:
    """Tell whether there are labels in this, in an order."""
    return hasattr(labels, "__len__") and hasattr(labels, "__getitem__")


def texts(names: Sequence[Any], where: str) -> list[str]:
    """Return file names as texts.

    Raises
    ------
    ArgumentError
        If one is none.
    """
    found = []
    for row, name in enumerate(names):
        if not isinstance(name, (str, os.PathLike)):
            raise ArgumentError(
                f"All entries of {where} must be names of files; number {row} is a "
                f"{type(name).__name__}.",
                repr(name)[:80],
            )
        found.append(os.fspath(name))
    return found
