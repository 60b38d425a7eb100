"""From levels to what the model gets: the last step, which writes into the batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.imaging.augment import LEVELS, looked_up
from fastfeed.imaging.ranges import number_of

Image = npt.NDArray[Any]
EPSILON = 1e-6
"""Keras adds it to the standard deviation."""


class Standardize:
    """Applies a function, a factor and a normalisation, in Keras's order, and writes the result.

    Parameters
    ----------
    preprocessing_function : callable or None
        Gets each picture in the batch's data format, as float32 (as uint8 if that is `dtype`), and
        returns one of the same shape.
    rescale : float or None
    samplewise_center, samplewise_std_normalization : bool
    data_format : {"channels_last", "channels_first"}
    dtype : dtype
        Of the batch.

    Raises
    ------
    ArgumentError
        If the dtype cannot hold the result, or an argument is none of these.
    """

    def __init__(
        self,
        *,
        preprocessing_function: Callable[[Image], Any] | None,
        rescale: float | None,
        samplewise_center: bool,
        samplewise_std_normalization: bool,
        data_format: str,
        dtype: np.dtype[Any],
    ) -> None:
        if preprocessing_function is not None and not callable(preprocessing_function):
            raise ArgumentError(
                "preprocessing_function is a function that gets a picture and returns one.",
                f"preprocessing_function={preprocessing_function!r}",
            )
        self._function = preprocessing_function
        self._factor = np.float32(number_of(rescale, "rescale")) if rescale else None
        self._std = samplewise_std_normalization
        self._center = samplewise_center or samplewise_std_normalization
        self._channels_first = data_format == "channels_first"
        self._working = np.dtype(np.uint8 if dtype == np.uint8 else np.float32)
        is_plain = self._function is None and not self._center
        self._only_factor = bool(rescale) and is_plain and dtype == np.float32
        self._only_levels = not rescale and is_plain
        self._halves = None
        if is_plain and dtype == np.float16:
            self._halves = (LEVELS * (self._factor or np.float32(1))).astype(np.float16)
        if self._working == np.uint8 and (rescale or self._center):
            raise ArgumentError(
                "dtype='uint8' holds whole numbers from 0 to 255: no rescale, samplewise_center or "
                "samplewise_std_normalization. Rescale where it costs nothing, on the device "
                "(keras.layers.Rescaling, or device_transform), or use dtype='float32'.",
                f"dtype='uint8', rescale={rescale!r}",
            )

    def put(self, image: Image, out: Image) -> None:
        """Write a picture of (height, width, channels) to its place in the batch."""
        if self._halves is not None and image.dtype == np.uint8:
            # NumPy makes each float16 apart, in seven times the time of looking it up
            image = looked_up(image, self._halves.view(np.int16)).view(np.float16)
        if self._channels_first:
            image = image.transpose(2, 0, 1)
        if self._only_factor and self._factor is not None:
            np.multiply(image, self._factor, out=out, dtype=np.float32)
        elif self._only_levels or image.dtype == np.float16:
            np.copyto(out, image, casting="unsafe")  # from uint8, or float32 to another float
        else:
            out[...] = self._standardized(image)

    def _standardized(self, image: Image) -> Image:
        image = image.astype(self._working)  # a copy: the function may write to it
        if self._function is not None:
            image = self._processed(image)
        if self._factor is not None:
            image = image * self._factor
        if self._center:
            image = image - image.mean()
        if self._std:
            image = image / (image.std() + EPSILON)
        return image

    def _processed(self, image: Image) -> Image:
        assert self._function is not None
        result = np.asarray(self._function(image))
        if result.shape != image.shape:
            raise SourceError(
                "preprocessing_function must return a picture of the shape that it gets, "
                f"{image.shape}; it returned {result.dtype}{list(result.shape)}. The size of the "
                "pictures is target_size."
            )
        if not np.can_cast(result.dtype, self._working, "same_kind"):
            raise SourceError(
                f"preprocessing_function returned {result.dtype}, which dtype='{self._working}' "
                "cannot hold without loss. Ask for dtype='float32', or return what it gets."
            )
        return result
