"""Pictures in a folder with a subfolder for each class, found as Keras finds them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.imaging.found import Found, Split, part_of
from fastfeed.imaging.names import Names

EXTENSIONS = ("png", "jpg", "jpeg", "bmp", "ppm", "tif", "tiff", "webp")
"""How the names of pictures end, in small letters. Keras knows all but the last."""


def find_in_folder(
    directory: str, classes: Sequence[str] | None, split: Split | None, follow_links: bool
) -> Found:
    """List the pictures of each class: the folders and the files in the order of their names.

    Parameters
    ----------
    split : (float, float) or None
        Takes this part of each class.

    Raises
    ------
    SourceError
        If there is no such folder, no class in it, or no picture.
    """
    folders = class_folders(directory, classes)
    names: list[str] = []
    counts = []
    for folder in folders:
        files = part_of(list(pictures_below(directory, folder, follow_links)), split)
        counts.append(len(files))
        names += files
    complain_about_none(directory, folders, counts, split)
    return Found(
        directory=directory,
        names=Names(names),
        numbers=np.repeat(np.arange(len(folders), dtype=np.int32), counts),
        class_indices={folder: i for i, folder in enumerate(folders)},
    )


def class_folders(directory: str, classes: Sequence[str] | None) -> list[str]:
    """Return the names of the class folders.

    Raises
    ------
    ArgumentError
        If `classes` names one that is not there.
    SourceError
        If there is no such directory, or no folder in it.
    """
    if not os.path.isdir(directory):
        what = "is a file" if os.path.exists(directory) else "does not exist"
        raise SourceError(
            f"The folder of pictures {what}: {directory!r} (the working directory is "
            f"{os.getcwd()!r}). Pass a folder with a subfolder for each class, a list of files, or "
            "a DataFrame."
        )
    if not classes:
        return all_folders(directory)
    absent = [name for name in classes if not os.path.isdir(os.path.join(directory, name))]
    if absent:
        raise ArgumentError(
            f"classes names folders that {directory!r} does not have: {', '.join(absent)}. It has: "
            f"{', '.join(sorted(os.listdir(directory))[:10]) or 'nothing'}.",
            f"classes={list(classes)}",
        )
    return list(dict.fromkeys(classes))


def all_folders(directory: str) -> list[str]:
    """Return the names of all folders in `directory`, sorted."""
    found = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not found:
        raise SourceError(
            f"{directory!r} has no subfolders, and each class is one. For pictures without "
            "classes pass the files themselves: "
            'fastfeed.images(sorted(glob.glob("folder/*.jpg")), class_mode=None); with labels, '
            "pairs (path, label) or a DataFrame."
        )
    return found


def pictures_below(directory: str, folder: str, follow_links: bool) -> Iterator[str]:
    """Yield the pictures of one class, also those in folders below; relative to `directory`."""
    top = os.path.join(directory, folder)
    for root, _, files in sorted(os.walk(top, followlinks=follow_links), key=lambda step: step[0]):
        below = folder if root == top else os.path.join(folder, os.path.relpath(root, top))
        for file in sorted(files):
            if file.lower().endswith(EXTENSIONS):
                yield os.path.join(below, file)


def complain_about_none(
    directory: str, folders: list[str], counts: list[int], split: Split | None
) -> None:
    """Refuse a folder without a picture; warn of a class without one, which is often a mistake."""
    endings = ", ".join("." + ending for ending in EXTENSIONS)
    if not sum(counts):
        asked = "" if split is None else f" from {split[0]:.0%} to {split[1]:.0%} of each class"
        raise SourceError(
            f"No pictures{asked} in the {len(folders)} class folder(s) of {directory!r} "
            f"({', '.join(folders[:5])}). Files that end in {endings} count. If they lie one level "
            "deeper or higher, pass that folder; if the split leaves none, change "
            "validation_split."
        )
    empty = [folder for folder, count in zip(folders, counts, strict=True) if not count]
    if empty and split is None:
        warnings.warn(
            f"Class folder(s) without a picture in {directory!r}: {', '.join(empty[:5])}. They "
            "count as classes all the same, as in Keras; name those that you want in classes=[...]"
            f" to leave them out. Files that end in {endings} count.",
            stacklevel=7,  # the line that calls images
        )
