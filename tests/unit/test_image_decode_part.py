"""A part of an image is what it is in the whole, though the rows below are not decoded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from unit_pixels import file_of, photograph, tagged

from fastfeed.errors import ArgumentError, ImageError
from fastfeed.imaging.decode import decode, decode_part
from fastfeed.imaging.jpeg import top_of
from fastfeed.imaging.resize import Box

PHOTO = photograph(203, 170)
INKS = np.array(Pillow.fromarray(PHOTO).convert("CMYK"))
FILES = {
    "4:2:0": file_of(PHOTO, "JPEG"),
    "4:2:2": file_of(PHOTO, "JPEG", subsampling=1),
    "4:4:4": file_of(PHOTO, "JPEG", subsampling=0),
    "4:4:0": simplejpeg.encode_jpeg(PHOTO, colorsubsampling="440"),
    "4:1:1": simplejpeg.encode_jpeg(PHOTO, colorsubsampling="411"),
    "grey": file_of(PHOTO[..., 0].copy(), "JPEG"),
    "CMYK": simplejpeg.encode_jpeg(INKS, colorspace="CMYK"),
    "restart markers": file_of(PHOTO, "JPEG", restart_marker_rows=1),
    "progressive": file_of(PHOTO, "JPEG", progressive=True),
    "PNG": file_of(PHOTO, "PNG"),
    "turned": file_of(PHOTO, "JPEG", exif=tagged(6)),
}
CUT = {name for name in FILES if name not in ("progressive", "PNG", "turned")}


def taking(part: Box) -> Callable[[int, int], Box]:
    """A function that draws this part, whatever the size."""
    return lambda height, width: part


@pytest.mark.parametrize("kind", FILES)
@given(st.data())
@settings(max_examples=60)
def test_every_part_is_as_in_the_whole(kind: str, data: st.DataObject) -> None:
    mode = data.draw(st.sampled_from(["rgb", "rgba", "grayscale"]))
    least = data.draw(st.sampled_from([None, (100, 80), (50, 40), (20, 20)]))
    fast = data.draw(st.booleans())
    whole = decode(FILES[kind], mode, least, fast=fast)

    def draw(height: int, width: int) -> Box:
        assert (height, width) == whole.shape[:2]
        top = data.draw(st.integers(0, height - 1))
        left = data.draw(st.integers(0, width - 1))
        down, across = st.integers(1, height - top), st.integers(1, width - left)
        return Box(top, left, data.draw(down), data.draw(across))

    image, (top, left, height, width) = decode_part(FILES[kind], draw, mode, least, fast=fast)
    np.testing.assert_array_equal(
        image[top : top + height, left : left + width],
        whole[top : top + height, left : left + width],
    )


@pytest.mark.parametrize("kind", FILES)
def test_the_rows_below_are_not_decoded_where_that_is_possible(kind: str) -> None:
    image, part = decode_part(FILES[kind], taking(Box(10, 0, 50, 20)))
    assert part == (10, 0, 50, 20)
    assert (image.shape[0] < 80) == (kind in CUT)


def test_pixels_that_come_scan_by_scan_are_not_cut() -> None:
    assert top_of(FILES["progressive"], 20) is None
    several = bytearray(FILES["4:4:4"])
    scan = several.index(b"\xff\xda")
    several[scan + 4] = 1  # one colour a scan; others would follow
    assert top_of(several, 20) is None


def test_a_file_that_ends_early_is_noticed_below_the_part(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    path.write_bytes(FILES["4:2:0"][:-300])
    with pytest.raises(ImageError, match=f"{path}.*end too early"):
        decode_part(path, taking(Box(0, 0, 8, 8)))


def test_bytes_behind_the_end_do_no_harm() -> None:
    image, _ = decode_part(FILES["4:2:0"] + b"from a camera", taking(Box(0, 0, 8, 8)))
    np.testing.assert_array_equal(image, decode(FILES["4:2:0"]))


def test_bad_bytes_are_passed_over_in_the_same_way() -> None:
    data = FILES["4:2:0"]
    middle = len(data) // 2
    damaged = data[:middle] + b"\xff\xd0" * 8 + data[middle + 16 :]
    whole = decode(damaged)
    for rows in (30, 100, 160, 203):
        image, _ = decode_part(damaged, taking(Box(0, 0, rows, 100)))
        np.testing.assert_array_equal(image[:rows], whole[:rows])


def test_files_that_are_no_images_are_named(tmp_path: Path) -> None:
    path = tmp_path / "page.jpg"
    path.write_bytes(b"<html>")
    with pytest.raises(ImageError, match=f"{path}.*no image"):
        decode_part(path, taking(Box(0, 0, 1, 1)))
    with pytest.raises(ArgumentError, match="Received: color_mode='bgr'"):
        decode_part(FILES["PNG"], taking(Box(0, 0, 1, 1)), "bgr")  # type: ignore[arg-type]


def test_memory_is_used_again_in_a_thread_and_by_no_other() -> None:
    part = taking(Box(0, 0, 40, 40))
    first, _ = decode_part(FILES["4:4:4"], part)
    kept = first.copy()
    second, _ = decode_part(FILES["grey"], part)
    assert np.shares_memory(first, second)
    first, _ = decode_part(FILES["4:4:4"], part)
    thread = threading.Thread(target=decode_part, args=(FILES["grey"], part))
    thread.start()
    thread.join()
    np.testing.assert_array_equal(first, kept)
    assert not np.shares_memory(decode(FILES["4:4:4"]), first)
