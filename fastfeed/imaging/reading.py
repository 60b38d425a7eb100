"""How a file becomes a picture of the size that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from fastfeed.errors import ArgumentError
from fastfeed.imaging.colors import CHANNELS
from fastfeed.imaging.crop import RandomCrop
from fastfeed.imaging.decode import ColorMode, decode, decode_part
from fastfeed.imaging.installed import libraries
from fastfeed.imaging.resize import INTERPOLATIONS, Box, centre_box, resize

Image = npt.NDArray[np.uint8]
DTYPES = ("uint8", "float16", "bfloat16", "float32", "float64")


@dataclass(frozen=True)
class Reading:
    """What is done with each file; the arguments of `images` of these names.

    Attributes
    ----------
    crop : RandomCrop or None
        Then the picture is kept whole, to be cut each time anew.
    """

    target_size: tuple[int, int]
    color_mode: ColorMode
    interpolation: str
    keep_aspect_ratio: bool
    crop: RandomCrop | None
    exif: bool
    fast: bool

    def __post_init__(self) -> None:
        size = self.target_size
        if not isinstance(size, (tuple, list)) or len(size) != 2 or not all(map(is_count, size)):
            raise ArgumentError(
                "target_size is (height, width), two whole numbers above 0. All pictures of a "
                "batch have one size.",
                f"target_size={size!r}",
            )
        for name, known in (("color_mode", get_args(ColorMode)), ("interpolation", INTERPOLATIONS)):
            if getattr(self, name) not in known:
                raise ArgumentError(
                    f"{name} must be one of {', '.join(map(repr, known))}.",
                    f"{name}={getattr(self, name)!r}",
                )

    @property
    def libraries(self) -> list[str]:
        """The modules that are needed to read files."""
        return list(libraries(self.interpolation, self.fast or self.crop is not None))

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width and channels of each picture."""
        return (*self.target_size, CHANNELS[self.color_mode])

    @property
    def identity(self) -> str:
        """What tells the pictures that `load` returns from those of another one."""
        least = None if self.crop is None else self.crop.least(*self.target_size)
        return repr((replace(self, crop=None), least))

    def load(self, path: str) -> Image:
        """Read a picture: of `shape`, or of its own size if it is to be cut.

        Raises
        ------
        ImageError
            If the file cannot be read or decoded.
        """
        if self.crop is not None:
            least = self.crop.least(*self.target_size)
            return decode(path, self.color_mode, least, exif=self.exif, fast=self.fast)
        image, _ = self._decoded(path, whole, self.target_size if self.fast else None)
        sized = np.empty(self.shape, np.uint8)
        box = centre_box(image.shape[:2], self.target_size) if self.keep_aspect_ratio else None
        resize(image, sized, box, self.interpolation, fast=self.fast)
        return sized

    def load_part(self, path: str, rng: np.random.Generator) -> Part:
        """Read a random part of a picture, and as little else of it as can be. The next call in
        this thread may write over it.

        Raises
        ------
        ImageError
            If the file cannot be read or decoded.
        """
        assert self.crop is not None
        draw, least = partial(self.crop.draw, rng), self.crop.least(*self.target_size)
        return Part(*self._decoded(path, draw, least))

    def draw_part(self, image: Image, rng: np.random.Generator) -> Part:
        """Draw the same part of a picture that was loaded whole."""
        assert self.crop is not None
        return Part(image, self.crop.draw(rng, *image.shape[:2]))

    def _decoded(
        self, path: str, draw: Callable[[int, int], Box], least: tuple[int, int] | None
    ) -> tuple[Image, Box]:
        return decode_part(path, draw, self.color_mode, least, exif=self.exif, fast=self.fast)

    def cut(self, part: Part, out: Image) -> None:
        """Write a part of a picture to `out`."""
        resize(part.image, out, part.box, self.interpolation, fast=True)


class Part(NamedTuple):
    """A part of a picture, still where it was."""

    image: Image
    box: Box


def whole(height: int, width: int) -> Box:
    """Return the part that is all of it."""
    return Box(0, 0, height, width)


def is_count(value: Any) -> bool:
    """Tell whether this is a whole number above 0."""
    return hasattr(value, "__index__") and not isinstance(value, bool) and value > 0


def dtype_of(given: Any) -> np.dtype[Any]:
    """Return the dtype of the pictures.

    Raises
    ------
    ArgumentError
        If pictures cannot be of it.
    """
    try:
        dtype = np.dtype("float32" if given is None else given)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.name not in DTYPES:
        raise ArgumentError(
            f"dtype must be one of {', '.join(DTYPES)} (bfloat16: ml_dtypes.bfloat16).",
            f"dtype={given!r}",
        )
    return dtype
