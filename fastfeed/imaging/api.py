"""``fastfeed.images``: pictures from files, with the arguments of Keras's ImageDataGenerator."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from fastfeed.imaging.arguments import build
from fastfeed.imaging.decode import ColorMode
from fastfeed.imaging.ranges import Shift
from fastfeed.imaging.reader import Images


def images(
    source: Any = None,
    *,
    dataframe: Any = None,
    directory: str | os.PathLike[str] | None = None,
    labels: Any = None,
    x_col: str = "filename",
    y_col: str | list[str] = "class",
    weight_col: str | None = None,
    classes: Sequence[str] | None = None,
    class_mode: str | None = "categorical",
    validate_filenames: bool = True,
    follow_links: bool = False,
    subset: str | None = None,
    validation_split: float = 0.0,
    target_size: tuple[int, int] = (256, 256),
    color_mode: ColorMode = "rgb",
    interpolation: str = "nearest",
    keep_aspect_ratio: bool = False,
    data_format: str | None = None,
    dtype: Any = None,
    exif: bool = True,
    fast: bool = False,
    batch_size: int = 32,
    shuffle: bool = True,
    seed: int | None = None,
    random_resized_crop: bool | tuple[tuple[float, float], tuple[float, float]] = False,
    rotation_range: float = 0,
    width_shift_range: Shift = 0.0,
    height_shift_range: Shift = 0.0,
    brightness_range: Sequence[float] | None = None,
    shear_range: float = 0.0,
    zoom_range: float | Sequence[float] = 0.0,
    channel_shift_range: float = 0.0,
    fill_mode: str = "nearest",
    cval: float = 0.0,
    horizontal_flip: bool = False,
    vertical_flip: bool = False,
    interpolation_order: int = 1,
    rescale: float | None = None,
    preprocessing_function: Callable[[Any], Any] | None = None,
    samplewise_center: bool = False,
    samplewise_std_normalization: bool = False,
    on_error: str = "raise",
    **others: Any,
) -> Images:
    """Make a source of pictures from files, for `fastfeed.Loader` or `fit_generator`.

    Takes the arguments of Keras's ``ImageDataGenerator``, ``flow_from_directory`` and
    ``flow_from_dataframe``, with their names, meanings and defaults. The random numbers of a
    picture follow from (seed, epoch, its number), so batches are the same for any number of
    workers and ranks.

    Parameters
    ----------
    source : str, list, or pandas.DataFrame
        A folder with a subfolder for each class; a list of files, with `labels`; a list of pairs
        (file, label); or a DataFrame. Keras's names `directory` and `dataframe` do as well.
    directory : str, optional
        What the names of a list or DataFrame start from.
    labels : sequence, optional
        One for each file of a list; for "multi_output" a list of such.
    x_col, y_col, weight_col : str
        Columns of a DataFrame: names of files, labels (a list of columns for "multi_output"),
        weights.
    classes : list of str, optional
        Which classes, in the order of their numbers; all of them, sorted, by default.
    class_mode : {"categorical", "binary", "sparse", "input", "raw", "multi_output", None}
        What stands beside the pictures: rows of ones and zeros, 0 or 1, class numbers, the pictures
        themselves, the labels as they are, several of these, or nothing.
    validate_filenames : bool
        Leave out files of a list or DataFrame that do not exist, with a warning.
    follow_links : bool
        Go into linked folders below a class folder.
    subset : {"training", "validation"}, optional
        Which part of the pictures, with `validation_split`; neither: all of them.
    validation_split : float
        The part of the pictures (of each class of a folder) that "validation" has: the first ones.
    target_size : (int, int)
        Height and width in pixels.
    color_mode : {"rgb", "rgba", "grayscale"}
    interpolation : {"nearest", "bilinear", "bicubic", "lanczos", "box", "hamming"}
        How pictures come to `target_size`.
    keep_aspect_ratio : bool
        Cut the middle out before, instead of distorting.
    data_format : {"channels_last", "channels_first"}, optional
        The first by default, whatever Keras is set to.
    dtype : dtype-like, optional
        Of the batch: float32 by default, "uint8" (a quarter of the bytes), or another float.
    exif : bool
        Turn pictures upright, as their EXIF orientation says. Keras does not.
    fast : bool
        Decode and resize JPEG files by shorter ways, which give slightly other numbers than Keras.
    batch_size : int
        Pictures a batch; ``Loader(..., batch_size=...)`` overrules it.
    shuffle : bool
        A new order each epoch.
    seed : int, optional
        Of the order and of all that is random; the Loader's by default.
    random_resized_crop : bool or (scale, ratio)
        Cut out a random part and bring it to `target_size`: with an area of `scale` (least, most)
        of the picture, and a width of `ratio` (least, most) times its height. True: ((0.08, 1),
        (3/4, 4/3)). Give `interpolation`, too: "bilinear" is usual.
    rotation_range, shear_range : float
        In degrees, to either side.
    width_shift_range, height_shift_range : float, int or list
        Below 1: part of the width or height. A whole number n: 0 to n - 1 pixels. A list: one of
        these. To either side.
    brightness_range : (float, float), optional
        Factors.
    zoom_range : float or (float, float)
        z means 1 - z to 1 + z; below 1 the picture becomes larger.
    channel_shift_range : float
        Levels that are added to all channels.
    fill_mode : {"nearest", "constant", "reflect", "wrap"}
        What lies outside of a picture; for "constant" `cval`, a level.
    horizontal_flip, vertical_flip : bool
        Half of the pictures.
    interpolation_order : {0, 1}
        When a picture is rotated, shifted, sheared or zoomed: the nearest pixel, or linear.
    rescale : float, optional
        Factor.
    preprocessing_function : callable, optional
        Gets a picture in the batch's data format, after all of the above but `rescale`, and
        returns one of the same shape. float32, or uint8 if that is `dtype`.
    samplewise_center, samplewise_std_normalization : bool
        Subtract the mean of each picture, and divide by its standard deviation.
    on_error : {"raise", "skip", "zeros"}
        A file that cannot be decoded: an ImageError, a smaller batch, or a black picture in its
        place. ``loader.stats().failed`` counts them.

    Returns
    -------
    Images
        A source whose batches are ``(x, y)``, with `weight_col` ``(x, y, weights)``, and x alone
        with ``class_mode=None``. x has the shape (pictures, height, width, channels) and levels
        from 0 to 255; y is float32, of shape (pictures, classes) for "categorical" and (pictures,)
        for "binary" and "sparse". `class_indices`, `classes`, `filenames` and the like are there
        as Keras's iterators have them.

    Raises
    ------
    ArgumentError, SourceError
        If an argument makes no sense, or no picture is found.
    ImageError
        In the loop: if a picture cannot be read, and `on_error` is "raise".
    LibraryMissing
        simplejpeg, OpenCV, or Pillow where it is needed is not installed.

    Examples
    --------
    >>> flowers = fastfeed.images("flowers/", horizontal_flip=True)  # doctest: +SKIP
    >>> fastfeed.fit_generator(model, flowers, epochs=10, workers=4)  # doctest: +SKIP
    """
    return build(locals())
