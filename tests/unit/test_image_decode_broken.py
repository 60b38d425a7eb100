"""Files that are no images, or only a part of one, are named with what is wrong."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow
from unit_pixels import by_pillow, file_of, photograph, with_alpha

from fastfeed.errors import ImageError, LibraryMissing
from fastfeed.imaging.decode import decode, read
from fastfeed.imaging.installed import check_installed

PHOTO = photograph()
FILES = {
    "JPEG": file_of(PHOTO, "JPEG"),
    "progressive JPEG": file_of(PHOTO, "JPEG", progressive=True),
    "PNG": file_of(PHOTO, "PNG"),
    "WebP": file_of(PHOTO, "WEBP"),
    "BMP": file_of(PHOTO, "BMP"),
    "GIF": file_of(PHOTO, "GIF"),
    "TIFF": file_of(PHOTO, "TIFF"),
    "TIFF, LZW": file_of(PHOTO, "TIFF", compression="tiff_lzw"),
}


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # by Pillow, of TIFF
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("kind", FILES)
def test_a_file_that_was_cut_off(kind: str, part: float, tmp_path: Path) -> None:
    path = tmp_path / "cut.img"
    path.write_bytes(FILES[kind][: int(len(FILES[kind]) * part)])
    with pytest.raises(ImageError) as caught:
        decode(path)
    message = str(caught.value)
    assert str(path) in message and 'on_error="skip"' in message
    assert kind.partition(",")[0].split()[-1] in message or "no image" in message
    with pytest.raises((OSError, ValueError, SyntaxError)):  # nor would Keras read it
        by_pillow(path.read_bytes())


def test_a_jpeg_file_without_its_last_two_bytes() -> None:
    with pytest.raises(ImageError, match="end too early"):
        decode(FILES["JPEG"][:-2])


def test_a_jpeg_file_that_is_damaged_and_cut_off() -> None:
    data = FILES["JPEG"]
    middle = len(data) // 2
    with pytest.raises(ImageError, match="end too early"):
        decode(data[: middle - 40] + b"\xff\xd0" * 10 + data[middle - 20 : middle])


def test_bad_bytes_in_the_middle_are_passed_over_as_by_pillow() -> None:
    data = FILES["JPEG"]
    middle = len(data) // 2
    damaged = data[:middle] + b"\xff\xd0" * 8 + data[middle + 16 :]
    np.testing.assert_array_equal(decode(damaged), by_pillow(damaged))
    assert (decode(damaged) != decode(data)).any()


def claiming(kind: str, width: int, height: int) -> bytes:
    """A file whose header says that it has this size."""
    data = bytearray(FILES[kind])
    if kind == "PNG":
        struct.pack_into(">II", data, 16, width, height)
        struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    elif kind == "GIF":
        struct.pack_into("<HH", data, 6, width, height)
    elif kind == "BMP":
        struct.pack_into("<ii", data, 18, width, height)
    else:
        frame = data.index(b"\xff\xc2" if kind.startswith("progressive") else b"\xff\xc0")
        struct.pack_into(">HH", data, frame + 5, height, width)
    return bytes(data)


@pytest.mark.parametrize("kind", ["JPEG", "progressive JPEG", "PNG", "GIF", "BMP"])
def test_a_header_that_claims_more_than_memory_holds(kind: str) -> None:
    with pytest.raises(ImageError, match=r"30500 x 30000 pixels, which|exceeds limit"):
        decode(claiming(kind, 30500, 30000))
    with pytest.raises(Pillow.DecompressionBombError):
        by_pillow(claiming(kind, 30500, 30000))


def test_bytes_behind_the_end_do_no_harm() -> None:
    for kind in ("JPEG", "PNG", "WebP", "BMP", "GIF"):
        data = FILES[kind] + b"\0written by a camera" * 20
        np.testing.assert_array_equal(decode(data), decode(FILES[kind]))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"<html>not found</html>", r"it is no image of a known format, it begins with b'<html>"),
        (b"\xff", "no image of a known format"),
        (b"\xff\xd8\xff", "its JPEG data are cut off or damaged"),
        (b"\0" * 5000, "no image of a known format"),
        (b"\x89PNG\r\n\x1a\n", "PNG data end too early"),
        (b"BM" + b"\xff" * 60, "its BMP data are cut off or damaged"),
    ],
)
def test_files_that_are_no_images(content: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cat.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=words) as caught:
        decode(path)
    assert f"The image file '{path}' cannot be decoded: " in str(caught.value)
    with pytest.raises(ImageError, match=f"The image of {len(content)} bytes"):
        decode(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda path: None, "No such file or directory"),
        (lambda path: path.mkdir(), "Is a directory"),
        (lambda path: path.symlink_to(path), "Too many levels of symbolic links"),
    ],
)
def test_files_that_cannot_be_read(make: object, words: str, tmp_path: Path) -> None:
    path = tmp_path / "gone.png"
    make(path)  # type: ignore[operator]
    with pytest.raises(ImageError, match=f"'{path}' cannot be read: {words}"):
        read(path)


@pytest.mark.parametrize("kind", FILES)
def test_no_bytes_whatever_kill_the_decoder(kind: str) -> None:
    """One byte in ten is wrong: it is an image still, or an ImageError, and nothing else."""
    rng = np.random.default_rng(0)
    for _ in range(12):
        data = np.frombuffer(FILES[kind], np.uint8).copy()
        places = rng.integers(0, len(data), len(data) // 10)
        data[places] = rng.integers(0, 256, len(places))
        try:
            image = decode(data.tobytes())
        except ImageError:
            continue
        assert image.ndim == 3 and image.shape[2] == 3


def test_nothing_is_written_to_stderr(tmp_path: Path) -> None:
    for number, (kind, data) in enumerate(FILES.items()):
        (tmp_path / f"{number}").write_bytes(data[: len(data) // 2 if kind != "GIF" else 30])
    program = (
        "import os, sys\n"
        "from fastfeed.errors import ImageError\n"
        "from fastfeed.imaging.decode import decode\n"
        "for name in os.listdir(sys.argv[1]):\n"
        "    try:\n"
        "        decode(os.path.join(sys.argv[1], name))\n"
        "    except ImageError:\n"
        "        print('refused')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.count("refused") == len(FILES)
    assert done.stderr == ""


def test_opencvs_own_messages_are_as_loud_as_before() -> None:
    logging = getattr(cv2.utils, "logging", cv2)  # OpenCV 5 has it there
    before = logging.getLogLevel()
    with pytest.raises(ImageError):
        decode(FILES["BMP"][:200])
    assert logging.getLogLevel() == before > 0


def without(*names: str) -> str:
    """A program's first lines: these modules are not installed."""
    return f"import sys\nsys.modules.update(dict.fromkeys({names!r}))\n"


def run(program: str) -> str:
    """Run it apart; what it printed."""
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONWARNINGS": "error"},
    ).stdout


def test_without_pillow_all_but_a_few_kinds_are_read(tmp_path: Path) -> None:
    kinds = {"a": FILES["PNG"], "b": FILES["JPEG"], "c": file_of(with_alpha(PHOTO), "TIFF")}
    for name, data in kinds.items():
        (tmp_path / name).write_bytes(data)
    printed = run(
        without("PIL") + "from fastfeed.imaging.decode import decode\n"
        f"print(decode({str(tmp_path / 'a')!r}).shape, decode({str(tmp_path / 'b')!r}).shape)\n"
        f"try: decode({str(tmp_path / 'c')!r})\n"
        "except ValueError as error: print(error)"
    )
    assert printed.startswith("(90, 121, 3) (90, 121, 3)\n")
    assert "Pillow (not installed) might" in printed


def test_random_crops_need_no_pillow(tmp_path: Path) -> None:
    (tmp_path / "picture.jpg").write_bytes(FILES["JPEG"])
    printed = run(
        without("PIL") + "import fastfeed\n"
        f"options = dict(class_mode=None, interpolation='bilinear', directory={str(tmp_path)!r})\n"
        "pictures = fastfeed.images(['picture.jpg'], random_resized_crop=True, **options)\n"
        "print(pictures[0].shape)\n"
        "try: fastfeed.images(['picture.jpg'], **options)\n"
        "except ImportError as error: print(error)"
    )
    assert printed.startswith("(1, 256, 256, 3)\n")
    assert "There is no pillow here" in printed


def test_missing_libraries_are_asked_for_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check_installed("bilinear", False)
    import importlib.util

    there = importlib.util.find_spec

    def nothing_but(*installed: str) -> None:
        monkeypatch.setattr(
            importlib.util, "find_spec", lambda name: there(name) if name in installed else None
        )

    nothing_but("simplejpeg", "cv2")
    check_installed("nearest", False)
    check_installed("bicubic", True)
    with pytest.raises(LibraryMissing, match=r"is no pillow here.*fastfeed\[images\]"):
        check_installed("bicubic", False)
    nothing_but("PIL")
    with pytest.raises(LibraryMissing, match="no simplejpeg and no opencv-python-headless here"):
        check_installed("nearest", False)


def test_pillow_agrees_that_the_files_are_whole() -> None:
    for data in FILES.values():
        assert Pillow.open(io.BytesIO(data)).convert("RGB").size == (121, 90)
        assert decode(data).shape == (90, 121, 3)
