"""The demo's data set: real photographs, honest split, the same bytes every time."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

cv2 = pytest.importorskip("cv2")
pytest.importorskip("sklearn")
pytest.importorskip("skimage")

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import photos  # noqa: E402

SHAPES = [(427, 640), (300, 451), (512, 512), (1411, 1411), (640, 427)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos.make_photos(tmp_path_factory.mktemp("data") / "photos", train=6, validation=3)


def covered(shape: tuple[int, int], split: str) -> np.ndarray:
    """Mark every pixel that a thousand crops of `split` touch."""
    mask = np.zeros(shape, bool)
    for top, left, side in photos.crop_boxes(*shape, split, 1000, np.random.default_rng(1)):
        assert top >= 0 and left >= 0 and top + side <= shape[0] and left + side <= shape[1]
        mask[top : top + side, left : left + side] = True
    return mask


@pytest.mark.parametrize("shape", SHAPES)
def test_training_and_validation_share_no_pixel(shape: tuple[int, int]) -> None:
    train, validation = covered(shape, "train"), covered(shape, "validation")
    assert not (train & validation).any()
    assert train.mean() > 0.6 and validation.mean() > 0.3  # and together nearly the whole


def test_every_photograph_is_read_in_colour_from_its_package() -> None:
    for label in photos.PHOTOS:
        image = photos.read_photo(label)
        assert image.dtype == np.uint8 and image.shape[2] == 3 and min(image.shape[:2]) >= 300
        assert image.std() > 10, f"{label} is blank"


@pytest.mark.parametrize(("split", "count"), [("train", 6), ("validation", 3)])
def test_files_carry_the_label_of_their_photograph(folder: Path, split: str, count: int) -> None:
    files, labels = photos.list_photos(folder, split)
    names = sorted(photos.PHOTOS)
    assert labels.dtype == np.int64
    assert np.bincount(labels).tolist() == [count] * len(names)
    assert [Path(file).parent.name for file in files] == [names[label] for label in labels]


def test_every_file_decodes_to_a_square_of_the_stated_size(folder: Path) -> None:
    sides = set()
    for split in photos.SPLITS:
        for file in photos.list_photos(folder, split)[0]:
            height, width, depth = cv2.imread(file).shape
            assert height == width and depth == 3
            sides.add(height)
    low, high = photos.FILE_SIDE
    assert low <= min(sides) and max(sides) <= high and len(sides) > 10


def test_a_crop_shows_its_photograph(folder: Path) -> None:
    files, _ = photos.list_photos(folder, "train")
    galaxies, grass = (
        np.mean([cv2.imread(file).mean() for file in files if f"/{label}/" in file])
        for label in ("galaxies", "grass")
    )
    assert galaxies < photos.read_photo("galaxies").mean() + 20 < grass


def test_the_same_bytes_every_time(folder: Path, tmp_path: Path) -> None:
    again = photos.make_photos(tmp_path / "again", train=6, validation=3)
    first = {file.relative_to(folder): file.read_bytes() for file in folder.rglob("*.*")}
    second = {file.relative_to(again): file.read_bytes() for file in again.rglob("*.*")}
    assert len(first) == 9 * len(photos.PHOTOS) + 1
    assert first == second


def test_a_folder_that_holds_the_set_is_left_as_it_is(folder: Path) -> None:
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*")}
    photos.make_photos(folder, train=6, validation=3)
    assert {file: file.stat().st_mtime_ns for file in folder.rglob("*")} == before


def test_a_folder_with_something_else_is_refused_and_kept(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FileExistsError, match="remove it or name another folder"):
        photos.make_photos(folder, train=7, validation=3)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is not this data set"):
        photos.make_photos(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_failure_leaves_no_half_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(photos.PHOTOS, "zebra", ("skimage", "data/zebra.png"))  # sorted last
    with pytest.raises(FileNotFoundError, match=r"zebra.*data/zebra\.png.*skimage"):
        photos.make_photos(tmp_path / "photos", train=2, validation=1)
    assert list(tmp_path.iterdir()) == []
