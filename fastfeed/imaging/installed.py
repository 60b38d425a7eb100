"""The libraries that read images: asked for before any worker starts, imported before its work."""

from __future__ import annotations

import importlib.util

from fastfeed.errors import LibraryMissing
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
    LibraryMissing
        One of them is not installed.
    """
    missing = [
        package
        for module, package in libraries(interpolation, fast).items()
        if not importlib.util.find_spec(module.partition(".")[0])
    ]
    if missing:
        raise LibraryMissing(
            "Reading image files needs simplejpeg and OpenCV, and all ways of resizing but nearest "
            f"and the fast ones need Pillow. There is no {' and no '.join(missing)} here. Install "
            "them with: pip install 'fastfeed[images]'"
        )
