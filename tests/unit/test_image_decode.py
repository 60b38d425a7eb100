"""Files decode to Pillow's numbers, and so to those of Keras's ``load_img``."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
import simplejpeg
from PIL import Image as Pillow
from PIL import ImageOps
from unit_pixels import by_pillow, file_of, photograph, tagged, with_alpha

from fastfeed.errors import ArgumentError
from fastfeed.imaging.decode import decode
from fastfeed.imaging.formats import format_of, orientation_of

MODES = ("rgb", "rgba", "grayscale")
PHOTO = photograph()
GREY = PHOTO[..., 1].copy()
PALETTE = Pillow.fromarray(PHOTO).quantize(32)
JPEGS = {
    "4:2:0": file_of(PHOTO, "JPEG"),
    "4:2:2": file_of(PHOTO, "JPEG", subsampling=1),
    "4:4:4": file_of(PHOTO, "JPEG", subsampling=0),
    "4:4:0": simplejpeg.encode_jpeg(PHOTO, colorsubsampling="440"),
    "4:1:1": simplejpeg.encode_jpeg(PHOTO, colorsubsampling="411"),
    "progressive": file_of(PHOTO, "JPEG", progressive=True),
    "coarse": file_of(PHOTO, "JPEG", quality=20),
    "grey": file_of(GREY, "JPEG"),
    "stored as RGB": file_of(PHOTO, "JPEG", keep_rgb=True),
    "CMYK": file_of(Pillow.fromarray(PHOTO).convert("CMYK"), "JPEG"),
    "YCCK": simplejpeg.encode_jpeg(
        np.array(Pillow.fromarray(PHOTO).convert("CMYK")), colorspace="CMYK"
    ),
    "one pixel": file_of(PHOTO[:1, :1], "JPEG"),
}
OTHERS = {
    "PNG": file_of(PHOTO, "PNG"),
    "PNG, alpha": file_of(with_alpha(PHOTO), "PNG"),
    "PNG, grey": file_of(GREY, "PNG"),
    "PNG, grey and alpha": file_of(Pillow.fromarray(PHOTO).convert("LA"), "PNG"),
    "PNG, grey with a transparent level": file_of(GREY, "PNG", transparency=int(GREY[0, 0])),
    "PNG, palette": file_of(PALETTE, "PNG"),
    "PNG, palette with a transparent colour": file_of(PALETTE, "PNG", transparency=3),
    "PNG, one bit": file_of(Pillow.fromarray(GREY).convert("1"), "PNG"),
    "WebP": file_of(PHOTO, "WEBP"),
    "WebP, lossless, alpha": file_of(with_alpha(PHOTO), "WEBP", lossless=True),
    "BMP": file_of(PHOTO, "BMP"),
    "BMP, palette": file_of(PALETTE, "BMP"),
    "GIF": file_of(PALETTE, "GIF"),
    "GIF, moving": file_of(
        PALETTE,
        "GIF",
        save_all=True,
        append_images=[PALETTE.transpose(Pillow.Transpose.ROTATE_180)],
    ),
    "TIFF": file_of(PHOTO, "TIFF"),
    "TIFF, LZW": file_of(PHOTO, "TIFF", compression="tiff_lzw"),
    "TIFF, alpha": file_of(with_alpha(PHOTO), "TIFF"),
    "TIFF, grey and alpha": file_of(Pillow.fromarray(PHOTO).convert("LA"), "TIFF"),
    "TIFF, CMYK": file_of(Pillow.fromarray(PHOTO).convert("CMYK"), "TIFF"),
    "PPM": file_of(PHOTO, "PPM"),
    "TGA, which OpenCV does not know": file_of(PHOTO, "TGA"),
}


@pytest.mark.parametrize("color_mode", MODES)
@pytest.mark.parametrize("kind", JPEGS)
def test_jpeg_is_pillows_to_the_last_bit(kind: str, color_mode: str) -> None:
    image = decode(JPEGS[kind], color_mode)
    assert image.dtype == np.uint8 and image.flags.c_contiguous and image.flags.writeable
    np.testing.assert_array_equal(image, by_pillow(JPEGS[kind], color_mode))


@pytest.mark.parametrize("color_mode", MODES)
@pytest.mark.parametrize("kind", OTHERS)
def test_other_formats_are_pillows_to_the_last_bit(kind: str, color_mode: str) -> None:
    image = decode(OTHERS[kind], color_mode)
    assert image.dtype == np.uint8 and image.flags.c_contiguous
    np.testing.assert_array_equal(image, by_pillow(OTHERS[kind], color_mode))


@pytest.mark.parametrize("color_mode", MODES)
def test_sixteen_bits_are_cut_to_the_upper_eight(color_mode: str) -> None:
    rng = np.random.default_rng(1)
    deep = (PHOTO.astype(np.uint16) << 8) | rng.integers(0, 256, PHOTO.shape, dtype=np.uint16)
    png = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(
        decode(png, color_mode), decode(file_of(PHOTO, "PNG"), color_mode)
    )
    grey = cv2.imencode(".png", deep[..., 1])[1].tobytes()
    np.testing.assert_array_equal(
        decode(grey, color_mode), decode(file_of(GREY, "PNG"), color_mode)
    )
    assert (by_pillow(grey, "grayscale")[GREY > 0] == 255).all()  # what Keras makes of it


def test_floating_numbers_are_clipped() -> None:
    values = np.array([[-3.0, 0.0], [254.9, 1e9]], np.float32)
    image = decode(file_of(Pillow.fromarray(values), "TIFF"), "grayscale")
    np.testing.assert_array_equal(image[..., 0], [[0, 0], [254, 255]])


def test_every_luminance_is_rounded_as_pillow_does() -> None:
    levels = np.arange(0, 256, 5, dtype=np.uint8)
    colors = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(len(levels), -1, 3)
    png = file_of(np.ascontiguousarray(colors), "PNG", compress_level=1)
    np.testing.assert_array_equal(decode(png, "grayscale"), by_pillow(png, "grayscale"))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_exif_orientation_is_applied_or_left(kind: str, orientation: int) -> None:
    data = file_of(PHOTO, kind, exif=tagged(orientation))
    upright = ImageOps.exif_transpose(Pillow.open(io.BytesIO(data)))
    assert orientation_of(data) == orientation
    np.testing.assert_array_equal(decode(data), np.asarray(upright.convert("RGB")))
    np.testing.assert_array_equal(decode(data, exif=False), by_pillow(data))  # as load_img
    grey = decode(data, "grayscale")
    assert grey.shape == (*decode(data).shape[:2], 1) and grey.flags.c_contiguous


@pytest.mark.parametrize("orientation", range(1, 9))
def test_tiff_is_upright_for_everybody(orientation: int) -> None:
    data = file_of(PHOTO, "TIFF", exif=tagged(orientation))
    np.testing.assert_array_equal(decode(data), by_pillow(data))
    assert decode(data).shape[0] == PHOTO.shape[0 if orientation < 5 else 1]


@pytest.mark.parametrize("order", ["<", ">"])
def test_exif_of_either_byte_order(order: str) -> None:
    exif = tagged(6)
    exif.endian = order
    data = file_of(PHOTO, "JPEG", exif=exif.tobytes())
    assert (b"MM\0*" in data) == (order == ">")
    assert orientation_of(data) == 6


@pytest.mark.parametrize("cut", range(0, 40, 3))
def test_broken_exif_loses_no_image(cut: int) -> None:
    exif = tagged(3).tobytes()
    data = file_of(PHOTO, "JPEG", exif=exif[: len(exif) - cut])
    assert decode(data).shape == PHOTO.shape


def test_an_orientation_that_does_not_exist_is_upright() -> None:
    assert orientation_of(file_of(PHOTO, "JPEG", exif=tagged(9))) == 1


@pytest.mark.parametrize(
    ("least", "size"),
    [
        ((400, 400), (400, 600)),
        ((201, 1), (400, 600)),
        ((200, 300), (200, 300)),
        ((101, 1), (200, 300)),
        ((100, 150), (100, 150)),
        ((50, 75), (50, 75)),
        ((1, 1), (50, 75)),
        ((50, 76), (100, 150)),
    ],
)
def test_no_more_pixels_than_needed_and_never_fewer(
    least: tuple[int, int], size: tuple[int, int]
) -> None:
    photo = photograph(400, 600)
    for mode in MODES:
        assert decode(file_of(photo, "JPEG"), mode, least).shape[:2] == size
    turned = file_of(photo, "JPEG", exif=tagged(8))
    assert decode(turned, "rgb", least[::-1]).shape[:2] == size[::-1]
    assert decode(turned, "rgb", least, exif=False).shape[:2] == size


def test_odd_sizes_are_rounded_up() -> None:
    data = file_of(photograph(375, 501), "JPEG")
    assert decode(data, least=(187, 250)).shape == (188, 251, 3)
    assert decode(data, least=(188, 250)).shape == (375, 501, 3)


def test_a_smaller_decode_shows_the_same() -> None:
    data = file_of(photograph(400, 600), "JPEG")
    averaged = cv2.resize(decode(data), (300, 200), interpolation=cv2.INTER_AREA)
    difference = decode(data, least=(200, 300)).astype(int) - averaged
    assert np.abs(difference).mean() < 2


def test_least_does_nothing_to_other_formats() -> None:
    assert decode(OTHERS["PNG"], least=(4, 4)).shape == PHOTO.shape


@pytest.mark.parametrize("color_mode", MODES)
def test_fast_is_near(color_mode: str) -> None:
    difference = decode(JPEGS["4:2:0"], color_mode, fast=True).astype(int)
    difference -= decode(JPEGS["4:2:0"], color_mode)
    assert 0 < np.abs(difference).mean() < 6


@pytest.mark.parametrize("kind", ["bytes", "bytearray", "memoryview", "str", "Path"])
def test_names_and_buffers(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "an image, with ünicode.jpg"
    path.write_bytes(JPEGS["4:2:0"])
    data = path.read_bytes()
    sources = {
        "bytes": data,
        "bytearray": bytearray(data),
        "memoryview": memoryview(data),
        "str": str(path),
        "Path": path,
    }
    np.testing.assert_array_equal(decode(sources[kind]), by_pillow(data))
    if kind in ("bytearray", "memoryview"):
        np.testing.assert_array_equal(
            decode(type(sources[kind])(OTHERS["PNG"]), "rgba"), by_pillow(OTHERS["PNG"], "rgba")
        )


def test_formats_are_known_by_their_first_bytes() -> None:
    for name, data in (JPEGS | OTHERS).items():
        expected = "JPEG" if name in JPEGS else name.partition(",")[0]
        assert format_of(data) == (None if expected in ("PPM", "TGA") else expected)


def test_a_jpeg_that_turbojpeg_does_not_know_goes_to_opencv() -> None:
    data = bytearray(file_of(PHOTO[:64, :64], "JPEG", subsampling=0))
    frame = data.index(b"\xff\xc0")
    data[frame + 11] = 0x31  # three blocks of luminance beside one of each colour
    with pytest.raises(ValueError, match="subsampling"):
        simplejpeg.decode_jpeg_header(bytes(data))
    by_opencv = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decode(bytes(data)), by_opencv[..., ::-1])


def test_a_color_mode_that_does_not_exist() -> None:
    with pytest.raises(ArgumentError, match="Received: color_mode='RGB'"):
        decode(JPEGS["grey"], "RGB")  # type: ignore[arg-type]
