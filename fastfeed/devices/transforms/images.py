"""Ops that move pixels. In a kernel they change where an element is read, not its value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from numbers import Real

import numpy as np

from fastfeed.devices.transforms.arguments import size_argument
from fastfeed.devices.transforms.draws import Draws
from fastfeed.devices.transforms.form import Form
from fastfeed.devices.transforms.op import Op, Site
from fastfeed.errors import ArgumentError

HALF = 32  # bits of a random word


@dataclass(frozen=True)
class RandomCrop(Op):
    """Cut a window out of each image, at a random place of its own.

    Parameters
    ----------
    height, width : int
        Of the window, in pixels.
    padding : int, default 0
        Zeros added at each side first, in pixels.

    Raises
    ------
    ArgumentError
        If a size is no integer or too small.
    """

    height: int
    width: int
    padding: int = 0

    def __post_init__(self) -> None:
        for name, least in (("height", 1), ("width", 1), ("padding", 0)):
            value = size_argument(f"RandomCrop's {name}", getattr(self, name), least)
            object.__setattr__(self, name, value)

    def fit(self, form: Form) -> Form:
        """Put the window's sides in the place of the image's."""
        shape = list(form.shape)
        for axis, side in zip(form.sides, (self.height, self.width), strict=True):
            if not shape[axis] or side > shape[axis] + 2 * self.padding:
                raise self.misfit(form, "the window is larger than the padded images. Crop less.")
            shape[axis] = side
        return replace(form, shape=tuple(shape))

    def room(self, form: Form) -> tuple[int, int]:
        """Return how many places there are for the window, downwards and to the right."""
        height, width = (form.shape[axis] + 2 * self.padding for axis in form.sides)
        return height - self.height + 1, width - self.width + 1

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Cut one image after the other."""
        numbers = draws.of(number)
        down, right = self.room(form)
        # Both halves of a word are scaled to a range by a product, which needs no division.
        tops = (numbers >> np.uint64(HALF)) * np.uint64(down) >> np.uint64(HALF)
        lefts = (numbers & np.uint64(2**HALF - 1)) * np.uint64(right) >> np.uint64(HALF)
        padding = [self.padding if axis in form.sides else 0 for axis in range(array.ndim)]
        padded = np.pad(array, [(zeros, zeros) for zeros in padding])
        result = np.empty(self.fit(form).shape, array.dtype)
        rows, columns = form.sides
        for sample, (top, left) in enumerate(zip(tops.tolist(), lefts.tolist(), strict=True)):
            window = [slice(None)] * array.ndim
            window[rows] = slice(top, top + self.height)
            window[columns] = slice(left, left + self.width)
            result[sample] = padded[sample][tuple(window[1:])]
        return result

    def locate(self, site: Site) -> tuple[list[str], list[str]]:
        """Add the window's place. Outside of the image, the first pixel stands in for reading."""
        n = site.number
        rows, columns = site.before.sides
        down, right = self.room(site.before)
        height, width = site.before.shape[rows], site.before.shape[columns]
        y, x = site.coordinates[rows - 1], site.coordinates[columns - 1]
        lines = [
            f"const u64 crop{n} = {Draws.c_of(n)};",
            f"place y{n} = {y} + (place)((crop{n} >> 32) * {down} >> 32) - {self.padding};",
            f"place x{n} = {x} + (place)((crop{n} & 0xFFFFFFFF) * {right} >> 32) - {self.padding};",
        ]
        if self.padding:
            outside = f"y{n} < 0 || y{n} >= {height} || x{n} < 0 || x{n} >= {width}"
            lines += [f"const int outside{n} = {outside};", f"if (outside{n}) y{n} = x{n} = 0;"]
        inner = list(site.coordinates)
        inner[rows - 1], inner[columns - 1] = f"y{n}", f"x{n}"
        return lines, inner

    def compute(self, site: Site, value: str) -> list[str]:
        """Put zeros outside of the image."""
        return [site.result(f"outside{site.number} ? 0 : {value}" if self.padding else value)]


@dataclass(frozen=True)
class RandomFlip(Op):
    """Mirror images left to right, each or not by its own random number.

    Parameters
    ----------
    probability : float, default 0.5
        From 0, none, to 1, all.

    Raises
    ------
    ArgumentError
        If the probability is not between 0 and 1.
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.probability, Real) or not 0 <= self.probability <= 1:
            raise ArgumentError(
                "RandomFlip's probability must be between 0 and 1.", repr(self.probability)
            )

    @property
    def limit(self) -> int:
        """A random half-word below it means: mirror."""
        return round(float(self.probability) * (1 << HALF))

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Mirror the images chosen."""
        chosen = draws.of(number) >> np.uint64(HALF) < np.uint64(self.limit)
        chosen = chosen.reshape(-1, *[1] * (array.ndim - 1))
        return np.where(chosen, np.flip(array, form.sides[1]), array)

    def locate(self, site: Site) -> tuple[list[str], list[str]]:
        """Count the column from the other side."""
        n, columns = site.number, site.before.sides[1]
        x, last = site.coordinates[columns - 1], site.before.shape[columns] - 1
        chosen = f"{Draws.c_of(n)} >> 32 < {self.limit}ull"
        inner = list(site.coordinates)
        inner[columns - 1] = f"x{n}"
        return [f"const place x{n} = {chosen} ? {last} - {x} : {x};"], inner


@dataclass(frozen=True)
class ChannelsFirst(Op):
    """Make NHWC images NCHW, as PyTorch's layers take them."""

    def fit(self, form: Form) -> Form:
        """Move the last axis behind the samples."""
        if form.channels != 3:
            raise self.misfit(
                form,
                "the channels are first already; leave it out."
                if form.channels == 1
                else "it needs NHWC images; give them a last axis: images[..., None].",
            )
        samples, height, width, channels = form.shape
        return Form((samples, channels, height, width), form.dtype, 1)

    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Move the axis."""
        return np.moveaxis(array, 3, 1)

    def locate(self, site: Site) -> tuple[list[str], list[str]]:
        """Order the coordinates as the input's."""
        channel, row, column = site.coordinates
        return [], [row, column, channel]
