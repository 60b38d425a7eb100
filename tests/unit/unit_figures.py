"""What is on a picture, as tests ask for it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text


def legend(axes: Axes) -> list[str]:
    """The names in the legend."""
    found = axes.get_legend()
    return [] if found is None else [text.get_text() for text in found.get_texts()]


def bars(axes: Axes) -> dict[str, BarContainer]:
    """Bars by their name."""
    return {
        str(found.get_label()): found
        for found in axes.containers
        if isinstance(found, BarContainer)
    }


def line(axes: Axes, name: str) -> Line2D:
    """The line whose name begins so."""
    return next(found for found in axes.lines if str(found.get_label()).startswith(name))


def spans(found: PolyCollection) -> np.ndarray:
    """Left and right of each bar of a lane, shape (bars, 2)."""
    return np.array([path.vertices[:, 0][[0, 2]] for path in found.get_paths()])


def lanes(axes: Axes) -> list[str]:
    """Names beside the lanes."""
    return [label.get_text() for label in axes.get_yticklabels()]


def texts(axes: Axes) -> list[str]:
    """What is written into a panel."""
    return [text.get_text() for text in axes.texts]


def visible_texts(picture: Figure) -> Iterator[Text]:
    """Every text that somebody would see."""
    picture.draw_without_rendering()
    for found in picture.findobj(Text):
        if isinstance(found, Text) and found.get_text() and found.get_visible():
            yield found
