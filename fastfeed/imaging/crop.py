"""A random part of an image, as in the training of "Going Deeper with Convolutions" (Szegedy et
al., 2014) and in torchvision's ``RandomResizedCrop``.
"""

from __future__ import annotations

import math

import numpy as np

from fastfeed.errors import ArgumentError
from fastfeed.imaging.resize import Box

TRIES = 10
"""After so many parts that stick out of the image the largest one in its middle is taken."""


DEFAULT = ((0.08, 1.0), (3 / 4, 4 / 3))
"""Torchvision's scale and ratio."""


class RandomCrop:
    """Draws a part of an image.

    Parameters
    ----------
    scale : (float, float)
        Its area, as a part of the image's.
    ratio : (float, float)
        Its width over its height.
    """

    def __init__(self, scale: tuple[float, float], ratio: tuple[float, float]) -> None:
        self.scale, self.ratio = scale, ratio
        self._log_ratio = math.log(ratio[0]), math.log(ratio[1])

    @classmethod
    def of(cls, given: object) -> RandomCrop | None:
        """Read random_resized_crop: False, True or (scale, ratio).

        Raises
        ------
        ArgumentError
            If it is none of these.
        """
        if given is False or given is None:
            return None
        try:
            pairs = np.array(DEFAULT if given is True else given, dtype=np.float64)
        except (TypeError, ValueError):
            pairs = np.zeros(0)
        good = pairs.shape == (2, 2) and bool((pairs > 0).all())
        if not good or pairs[0, 1] > 1 or (pairs[:, 0] > pairs[:, 1]).any():
            raise ArgumentError(
                "random_resized_crop is True, False or (scale, ratio): the least and the most "
                "of the area, above 0 and up to 1, and of width / height, for example "
                "((0.08, 1.0), (0.75, 1.33)).",
                f"random_resized_crop={given!r}",
            )
        (low, high), (narrow, wide) = pairs.tolist()
        return cls((low, high), (narrow, wide))

    def least(self, height: int, width: int) -> tuple[int, int]:
        """Return the size of an image whose smallest part has about as many pixels as `height` x
        `width`: a larger one may be decoded to this part of its size at once.
        """
        enlarge = 1 / math.sqrt(self.scale[0])
        return math.ceil(height * enlarge), math.ceil(width * enlarge)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> Box:
        """Draw a part of an image of this size."""
        area = height * width
        for _ in range(TRIES):
            part = area * rng.uniform(*self.scale)
            ratio = math.exp(rng.uniform(*self._log_ratio))
            wide, high = round(math.sqrt(part * ratio)), round(math.sqrt(part / ratio))
            if 0 < wide <= width and 0 < high <= height:
                top, left = rng.integers(height - high + 1), rng.integers(width - wide + 1)
                return Box(int(top), int(left), high, wide)
        return self._middle(height, width)

    def _middle(self, height: int, width: int) -> Box:
        """Return the largest part in the middle that has a ratio asked for."""
        ratio = min(max(width / height, self.ratio[0]), self.ratio[1])
        high, wide = min(height, round(width / ratio)), min(width, round(height * ratio))
        high, wide = max(high, 1), max(wide, 1)
        return Box((height - high) // 2, (width - wide) // 2, high, wide)
