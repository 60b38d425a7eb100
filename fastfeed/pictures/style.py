"""What all pictures have in common: colours that stay apart in grey, sizes, and saving.

Everything is set on the artists themselves. matplotlib's ``rcParams`` belong to the user, whose own
pictures may be drawn at the same time in another thread.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastfeed.errors import ArgumentError, FastFeedError
from fastfeed.packages import library

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

INK = "#1c1c1c"
MUTED = "#666666"
GRID = "#dcdcdc"
PAPER = "#ffffff"

TITLE_POINTS = 10
TEXT_POINTS = 9
SMALL_POINTS = 8
DOTS_PER_INCH = 150
CHARACTERS_AN_INCH = 13.0
"""Of a heading."""
X_AXIS_INCHES = 0.5
WIDTH = 8.0
"""Of a picture, in inches."""


@dataclass(frozen=True)
class Look:
    """How one kind of thing is drawn wherever it appears.

    Parameters
    ----------
    name : str
        In legends.
    colour : str
        ``"#rrggbb"``.
    hatch : str
        Of areas, as matplotlib names it: what tells them apart in grey.
    """

    name: str
    colour: str
    hatch: str = ""

    def area(self) -> dict[str, Any]:
        """Return the properties of an area."""
        return {"facecolor": self.colour, "hatch": self.hatch, "edgecolor": INK, "linewidth": 0.5}


COMPUTE = Look("compute", "#e9edf1")
PRODUCTION = Look("wait: production", "#7fabd6", "////")
ORDER = Look("wait: order", "#f3c552", "....")
UPLOAD = Look("wait: upload", "#dd7f63", "xxxx")
OUTSIDE = Look("between passes", PAPER)
MAKE = Look("make", "#9db3c8")
COPY = Look("upload", "#dd7f63", "xxxx")

LINES: tuple[dict[str, Any], ...] = (
    {"color": "#1f4e79", "linestyle": "-", "marker": "o"},
    {"color": "#c0562f", "linestyle": "--", "marker": "s"},
    {"color": "#3b7d4f", "linestyle": "-.", "marker": "^"},
    {"color": "#8253a5", "linestyle": ":", "marker": "D"},
    {"color": "#8a6d1b", "linestyle": (0, (6, 2, 1, 2, 1, 2)), "marker": "v"},
    {"color": "#555555", "linestyle": (0, (1, 1)), "marker": "x"},
)
"""Lines of one panel, in this order; told apart in grey by their dashes and marks."""


class NotSaved(FastFeedError, OSError):
    """A picture or a report could not be written to its file."""


def figure(height: float, width: float = WIDTH) -> Figure:
    """Return an empty picture; sizes in inches.

    Raises
    ------
    LibraryMissing
        matplotlib is not installed.
    """
    kind = library("matplotlib.figure", "A picture", "'fastfeed[plot]'").Figure
    picture: Figure = kind(
        (width, height), dpi=DOTS_PER_INCH, facecolor=PAPER, layout="constrained"
    )
    return picture


def finish(axes: Axes, title: str, x: str, y: str) -> None:
    """Give a panel its title, its labels with units, and the common look."""
    axes.set_facecolor(PAPER)
    axes.set_title(title, loc="left", fontsize=TITLE_POINTS, color=INK, fontweight="bold")
    axes.set_xlabel(x, fontsize=TEXT_POINTS, color=INK)
    axes.set_ylabel(y, fontsize=TEXT_POINTS, color=INK)
    axes.tick_params(which="both", labelsize=SMALL_POINTS, colors=INK, labelcolor=INK)
    axes.grid(True, color=GRID, linewidth=0.6, linestyle="-")
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
        spine.set_linewidth(0.8)


def legend(*panel: Axes, below: bool = False, reverse: bool = False) -> None:
    """Add the legend beside a panel, where it covers nothing; none where nothing has a name.

    Parameters
    ----------
    *panel : Axes
        The panel, and others that share its place.
    below : bool
        Under the panel in place of to its right.
    reverse : bool
        From the last to the first, as areas lie on each other.
    """
    named = [each.get_legend_handles_labels() for each in panel]
    handles = [handle for handles, _ in named for handle in handles]
    if not handles:
        return
    axes = panel[0]
    place: dict[str, Any] = {"bbox_to_anchor": (1.01, 1.0)}
    if below:
        place = {"bbox_to_anchor": (0.0, 0.0), "bbox_transform": _lowered(axes), "ncols": 2}
    axes.legend(
        handles, [label for _, labels in named for label in labels],
        **place, loc="upper left", borderaxespad=0.0, reverse=reverse, handlelength=2.8,
        fontsize=SMALL_POINTS, labelcolor=INK, facecolor=PAPER, edgecolor=GRID,
    )  # fmt: skip


def _lowered(axes: Axes) -> Transform:
    """Return the panel's place, moved down by what the x axis and its label take."""
    from matplotlib.transforms import ScaledTranslation

    return axes.transAxes + ScaledTranslation(0, -X_AXIS_INCHES, axes.figure.dpi_scale_trans)


def time_axis(axes: Axes, longest: float, label: str = "time") -> None:
    """Label the x axis, on which there are seconds, in the unit that suits the longest."""
    size, unit = amount(longest)
    axes.xaxis.set_major_formatter(lambda seconds, _: f"{seconds / size:g}")
    axes.set_xlabel(f"{label} ({unit})")


def whole_numbers(axes: Axes) -> None:
    """Put the marks of the y axis at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    axes.yaxis.set_major_locator(MaxNLocator("auto", integer=True))


def thinned(values: Sequence[int], most: int = 16) -> list[int]:
    """Return so many of rising values that their marks do not overlap: the last one always."""
    apart = (values[-1] - values[0]) / most
    chosen = [values[-1]]
    for value in reversed(values[:-1]):
        if chosen[-1] - value >= apart:
            chosen.append(value)
    return chosen[::-1]


def plain(text: str) -> str:
    """Return a text of the user's as it is: matplotlib takes what is between dollars as formula."""
    return text.replace("$", r"\$")


def note(axes: Axes, text: str) -> None:
    """Write a sentence into the middle of a panel that has nothing to draw."""
    axes.set_xticks([])
    axes.set_yticks([])
    axes.text(
        0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center",
        fontsize=TEXT_POINTS, color=MUTED, wrap=True,
    )  # fmt: skip


def heading(picture: Figure, *sentences: str) -> None:
    """Write what the whole picture shows over it, each sentence in lines of its own."""
    columns = int(CHARACTERS_AN_INCH * picture.get_figwidth())
    lines = [line for sentence in sentences for line in textwrap.wrap(sentence, columns)]
    picture.suptitle(plain("\n".join(lines)), x=0.01, ha="left", fontsize=TITLE_POINTS, color=INK)


def amount(seconds: float) -> tuple[float, str]:
    """Return the number of units, and the unit, in which a duration is read best."""
    for size, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "us")):
        if seconds >= size:
            return size, unit
    return (1e-6, "us") if seconds > 0 else (1.0, "s")


def number(value: float) -> str:
    """Write a number for people, to three digits, never as a power of ten: ``"98,400"``."""
    return f"{Decimal(f'{value:.3g}'):,f}"


def duration(seconds: float) -> str:
    """Write a duration for people, to three digits: ``"35.2 ms"``."""
    size, unit = amount(float(f"{seconds:.3g}"))  # 0.9999 is a second
    return f"{number(seconds / size)} {unit}"


def save(picture: Figure, path: str | os.PathLike[str]) -> None:
    """Write a picture to a file; the end of its name says how: ``.png``, ``.svg``, ``.pdf``.

    Raises
    ------
    ArgumentError
        matplotlib cannot write such a file.
    NotSaved
        The file cannot be written.
    """
    known = picture.canvas.get_supported_filetypes()
    kind = Path(path).suffix.removeprefix(".").lower()
    if kind not in known:
        raise ArgumentError(
            f"A picture's file name must end in one of: .{', .'.join(sorted(known))}.",
            repr(os.fspath(path)),
        )
    try:
        picture.savefig(path, format=kind)
    except OSError as error:
        raise not_saved(path, error) from error


def not_saved(path: str | os.PathLike[str], error: OSError) -> NotSaved:
    """Return the error for a file that cannot be written."""
    why = error.strerror or str(error)
    return NotSaved(
        f"{os.fspath(path)} cannot be written: {why}. Name a file in a folder that is there, that "
        "is yours to write to, and that has room."
    )
