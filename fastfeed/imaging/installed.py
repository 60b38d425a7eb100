"""Asks for missing libraries before any worker starts, not from within it."""

from __future__ import annotations

import importlib.util

from fastfeed.errors import ArgumentError
from fastfeed.imaging.resize import uses_pillow


def check_installed(interpolation: str, fast: bool) -> None:
    """Refuse to start without what `decode` and `resize` will import.

    Parameters
    ----------
    interpolation, fast
        As `fastfeed.imaging.resize.resize` will get them.

    Raises
    ------
    ArgumentError
        A library is missing.
    """
    needed = {"simplejpeg": "simplejpeg", "cv2": "opencv-python-headless"}
    if uses_pillow(interpolation, fast):
        needed["PIL"] = "pillow"
    missing = [name for module, name in needed.items() if not importlib.util.find_spec(module)]
    if missing:
        raise ArgumentError(
            "Reading image files needs simplejpeg and OpenCV, and all ways of resizing but nearest "
            "and the fast ones need Pillow: pip install 'fastfeed[images]'.",
            f"no {' and no '.join(missing)} here",
        )
