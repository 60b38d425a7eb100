"""From the arguments of `images` to a reader."""

from __future__ import annotations

import difflib
import inspect
from typing import Any

import numpy as np

from fastfeed.errors import ArgumentError
from fastfeed.imaging.augment import Augmentation
from fastfeed.imaging.crop import RandomCrop
from fastfeed.imaging.given import ACCEPTED, Selection, find
from fastfeed.imaging.installed import check_installed
from fastfeed.imaging.reader import Images
from fastfeed.imaging.reading import Reading, dtype_of, is_count
from fastfeed.imaging.standardize import Standardize

Arguments = dict[str, Any]
ON_ERROR = ("raise", "skip", "zeros")
DATA_FORMATS = ("channels_last", "channels_first")

NORMALISE = (
    "needs numbers from all pictures. Adapt a keras.layers.Normalization in the model to some "
    "batches, or pass preprocessing_function=lambda image: (image - mean) / std"
)
SAVE = (
    "would write a file for each picture at each epoch. Look at a batch instead: images(...)[0], "
    "whose pictures matplotlib shows"
)
REFUSED = {
    "featurewise_center": NORMALISE,
    "featurewise_std_normalization": NORMALISE,
    "zca_whitening": NORMALISE,
    "save_to_dir": SAVE,
}
"""Arguments of ImageDataGenerator and its methods that are not offered, and why."""
NO_LONGER = {
    "has_ext": "Names in a DataFrame have their endings: frame[x_col] + '.jpg'",
    "sort": "The rows of a DataFrame keep their order: frame.sort_values(x_col)",
    "drop_duplicates": "Drop rows before: frame.drop_duplicates(x_col)",
}
"""Arguments of the first flow_from_dataframe, which Keras ignores with a warning."""
IDLE = ("zca_epsilon", "save_prefix", "save_format")
"""Arguments that mean nothing without those."""
SWITCHES = (
    *("shuffle", "horizontal_flip", "vertical_flip", "samplewise_center", "exif", "fast"),
    *("samplewise_std_normalization", "keep_aspect_ratio", "follow_links", "validate_filenames"),
)
"""Arguments that are yes or no."""
NOT_OF_THE_PICTURES = {
    *("source", "dataframe", "labels", "directory"),  # what was found tells these better
    *("batch_size", "shuffle", "seed"),
}


def build(arguments: Arguments) -> Images:
    """Check the arguments, find the pictures, and make the reader.

    Raises
    ------
    ArgumentError, SourceError
        If an argument makes no sense, or no picture is found.
    """
    refuse(arguments.pop("others"), list(arguments))
    check_feeding(arguments)
    check_switches(arguments)
    arguments["classes"] = class_names(arguments["classes"])
    source, directory = the_source(arguments)
    dtype = dtype_of(arguments["dtype"])
    given = arguments | {
        "directory": directory,
        "dtype": dtype,
        "data_format": arguments["data_format"] or "channels_last",
        "as_float": dtype != np.uint8,
        "crop": RandomCrop.of(arguments["random_resized_crop"]),
    }
    check_installed(given["interpolation"], given["fast"] or given["crop"] is not None)
    selection = made(Selection, given)
    parts = {"reading": Reading, "augmentation": Augmentation, "standardize": Standardize}
    given |= {name: made(kind, given) for name, kind in parts.items()}
    given |= {"found": find(source, selection), "arguments": text_of(arguments)}
    images: Images = made(Images, given)
    return images


def made(kind: type, given: Arguments) -> Any:
    """Make an object of those arguments that its class takes."""
    return kind(**{name: given[name] for name in inspect.signature(kind).parameters})


def text_of(arguments: Arguments) -> str:
    """Write down the arguments that decide what a picture becomes, for the fingerprint."""
    function = arguments["preprocessing_function"]
    name = getattr(function, "__qualname__", type(function).__name__)
    shown = arguments | {"preprocessing_function": name}
    return repr({name: shown[name] for name in sorted(shown.keys() - NOT_OF_THE_PICTURES)})


def the_source(arguments: Arguments) -> tuple[Any, Any]:
    """Return what the pictures come from, and the directory in which names of files start.

    Raises
    ------
    ArgumentError
        If nothing is given, or the same thing twice.
    """
    source, dataframe = arguments["source"], arguments["dataframe"]
    directory = arguments["directory"]
    if source is not None and dataframe is not None:
        raise ArgumentError(
            "Pass the DataFrame once, as the first argument.", f"{type(source).__name__}, dataframe"
        )
    if dataframe is not None:
        return dataframe, directory
    if source is None:
        source, directory = directory, None
    if source is None:
        raise ArgumentError(ACCEPTED, "nothing")
    return source, directory


def refuse(others: Arguments, known: list[str]) -> None:
    """Refuse arguments that there are not, with what to do instead.

    Raises
    ------
    ArgumentError
        If one of them asks for something.
    """
    for name, value in others.items():
        if name in REFUSED and value:
            raise ArgumentError(f"{name} is not offered: it {REFUSED[name]}.", f"{name}={value!r}")
        if name not in REFUSED and name not in IDLE:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]}?" if near else "See help(fastfeed.images)."
            hint = f"{NO_LONGER[name]}." if name in NO_LONGER else hint
            raise ArgumentError(f"images() has no argument {name!r}. {hint}", f"{name}={value!r}")


def check_feeding(given: Arguments) -> None:
    """Check the arguments that nobody else looks at.

    Raises
    ------
    ArgumentError
        If one makes no sense.
    """
    for name, known in (("on_error", ON_ERROR), ("data_format", (*DATA_FORMATS, None))):
        if given[name] not in known:
            raise ArgumentError(
                f"{name} must be one of {', '.join(map(repr, known))}.", f"{name}={given[name]!r}"
            )
    if not is_count(given["batch_size"]):
        raise ArgumentError(
            "batch_size is a whole number above 0.", f"batch_size={given['batch_size']!r}"
        )
    seed = given["seed"]
    if seed is not None and not (hasattr(seed, "__index__") and 0 <= seed < 2**64):
        raise ArgumentError("seed is a whole number, 0 or more, or None.", f"seed={seed!r}")


def check_switches(given: Arguments) -> None:
    """Refuse what is neither true nor false: horizontal_flip=0.1 would flip half of the pictures.

    Raises
    ------
    ArgumentError
        If one is something else.
    """
    for name in SWITCHES:
        if given[name] not in (True, False, None):
            raise ArgumentError(f"{name} is True or False.", f"{name}={given[name]!r}")


def class_names(given: Any) -> list[str] | None:
    """Return the names of the classes as a list; None where all are meant.

    Raises
    ------
    ArgumentError
        If they are no texts, or in no order: their places are the class numbers.
    """
    if given is None:
        return None
    ordered = hasattr(given, "__getitem__") and not isinstance(given, (str, dict))
    names = list(given) if ordered else []
    if not ordered or not all(isinstance(name, str) for name in names):
        raise ArgumentError(
            "classes is a list of names in the order of their numbers: classes=['cats', 'dogs'].",
            f"classes={given!r}",
        )
    return names
