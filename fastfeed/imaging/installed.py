"""The libraries that read images: asked for before any worker starts, imported before its work."""

from __future__ import annotations

import importlib.util

from fastfeed.errors import ArgumentError
from fastfeed.imaging.resize import uses_pillow


def libraries(interpolation: str, fast: bool) -> dict[str, str]:
    """Return the modules that `decode` and `resize` will import, and the packages they are in."""
    needed = {"simplejpeg": "simplejpeg", "cv2": "opencv-python-headless"}
    return {**needed, "PIL.Image": "pillow"} if uses_pillow(interpolation, fast) else needed


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
    missing = [
        package
        for module, package in libraries(interpolation, fast).items()
        if not importlib.util.find_spec(module.partition(".")[0])
    ]
    if missing:
        raise ArgumentError(
            "Reading image files needs simplejpeg and OpenCV, and all ways of resizing but nearest "
            "and the fast ones need Pillow: pip install 'fastfeed[images]'.",
            f"no {' and no '.join(missing)} here",
        )
