"""Batches of `images` are those of Keras's generators, where nothing is random."""

from __future__ import annotations

import re
from functools import partial

import numpy as np
import pytest
from repository import ROOT
from unit_images import (
    CLASSES,
    SIZE,
    assert_same,
    assert_same_batches,
    keras_generator,
    make_folder,
    picture,
)

from fastfeed import images

FLOW = {"target_size": (24, 20), "batch_size": 4, "shuffle": False}
MOVED = {"rotation_range": 9, "brightness_range": (0.5, 1.5)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def frame(folder):
    import pandas

    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*.png"))
    kinds = [file.split("/")[0] for file in files]
    numbers = np.arange(len(files))
    return pandas.DataFrame(
        {
            "filename": files,
            "class": kinds,
            "two": [kind if kind == "cats" else "others" for kind in kinds],
            "many": [[kind, "animals"] if n % 2 else kind for n, kind in enumerate(kinds)],
            "age": numbers * 3,
            "size": np.float32(numbers / 7),
            "weight": numbers / 2,
        }
    )


def compare(folder, generator, flow):
    """Compare with flow_from_directory."""
    theirs = keras_generator(**generator).flow_from_directory(str(folder), **FLOW | flow)
    ours = images(folder, **FLOW | generator | flow)
    assert_same_batches(ours, theirs)
    return ours, theirs


@pytest.mark.parametrize(
    "generator",
    [
        {},
        {"rescale": 1 / 255},
        {"samplewise_center": True},
        {"samplewise_std_normalization": True, "rescale": 1 / 127.5},
        {"preprocessing_function": lambda image: image[::-1] / 3 - 1},
        {"data_format": "channels_first", "rescale": 0.5},
        {"dtype": "float64"},
        {"dtype": "float16"},
        {"dtype": "float16", "rescale": 1 / 255},
        {"dtype": "float16", "rescale": 1 / 3, "data_format": "channels_first"},
        {"dtype": "uint8"},
    ],
    ids=lambda arguments: ",".join(arguments) + str(arguments.get("dtype", "")),
)
def test_pixels_are_those_of_keras(folder, generator):
    ours, theirs = compare(folder, generator, {"class_mode": None})
    assert ours.image_shape == theirs.image_shape


def test_preprocess_input_in_a_line_is_that_of_keras(folder):
    """The two functions that the page gives for those of keras.applications."""
    from keras.src.applications.imagenet_utils import preprocess_input

    page = (ROOT / "docs" / "images.md").read_text()
    row = next(line for line in page.splitlines() if "=preprocess_input`" in line)
    codes = re.findall("`(lambda[^`]*)`", row)
    for code, mode in zip(codes, ("tf", "caffe"), strict=True):
        theirs = partial(preprocess_input, data_format="channels_last", mode=mode)
        pages = (images(folder, preprocessing_function=f, **FLOW) for f in (eval(code), theirs))
        assert_same_batches(*pages)


@pytest.mark.parametrize(
    "flow",
    [
        {"target_size": SIZE},
        {"interpolation": "bilinear"},
        {"interpolation": "bicubic", "keep_aspect_ratio": True},
        {"interpolation": "lanczos", "target_size": (70, 50)},
        {"keep_aspect_ratio": True, "target_size": (10, 31)},
        {"color_mode": "grayscale"},
        {"color_mode": "rgba", "interpolation": "box"},
    ],
    ids=str,
)
def test_sizes_and_colours_are_those_of_keras(folder, flow):
    compare(folder, {}, flow)


def test_jpeg_files_too(tmp_path):
    make_folder(tmp_path, ending="jpg")
    compare(tmp_path, {"rescale": 1 / 255}, {"interpolation": "bilinear"})


@pytest.mark.parametrize("class_mode", ["categorical", "sparse", "input", None])
def test_labels_of_a_folder_are_those_of_keras(folder, class_mode):
    ours, theirs = compare(folder, {}, {"class_mode": class_mode})
    assert ours.class_indices == theirs.class_indices == {"cats": 0, "dogs": 1, "owls": 2}
    assert_same(ours.classes, theirs.classes)
    assert ours.filenames == theirs.filenames
    assert ours.filepaths == theirs.filepaths
    assert (ours.n, ours.samples, ours.num_classes) == (theirs.n, theirs.samples, 3)
    assert_same(ours.labels, theirs.labels)


def test_classes_may_come_from_pandas(folder, frame):
    names = frame["class"][::-1].drop_duplicates()
    for given in (names, names.to_numpy(), names.to_list()):
        assert images(folder, classes=given).class_indices == {"owls": 0, "dogs": 1, "cats": 2}


def test_two_classes_in_the_order_that_is_asked_for(folder):
    flow = {"classes": ["owls", "cats"], "class_mode": "binary"}
    ours, _ = compare(folder, {}, flow)
    assert ours.class_indices == {"owls": 0, "cats": 1}


@pytest.mark.parametrize("split", [0.2, 0.34, 0.5])
def test_subsets_are_those_of_keras(folder, split):
    parts = []
    for subset in ("training", "validation"):
        flow = {"subset": subset, "batch_size": 1}
        ours, theirs = compare(folder, {"validation_split": split}, flow)
        assert ours.filenames == theirs.filenames
        parts += ours.filenames
    assert len(parts) == len(set(parts)) == sum(CLASSES.values())


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"class_mode": "sparse"},
        {"y_col": "two", "class_mode": "binary"},
        {"y_col": "many"},
        {"y_col": "many", "classes": ["animals", "dogs"]},
        {"classes": ["owls", "dogs"]},
        {"y_col": "age", "class_mode": "raw"},
        {"y_col": "size", "class_mode": "raw"},
        {"y_col": ["age", "size"], "class_mode": "raw"},
        {"y_col": ["age", "size"], "class_mode": "multi_output"},
        {"class_mode": "input"},
        {"class_mode": None},
        {"weight_col": "weight"},
        {"y_col": "age", "class_mode": "raw", "weight_col": "weight"},
        {"validate_filenames": False, "class_mode": "sparse"},
    ],
    ids=str,
)
@pytest.mark.parametrize("subset", [None, "validation"])
@pytest.mark.filterwarnings("ignore:This subset has no picture")  # the rows are sorted by class
def test_a_dataframe_gives_what_keras_gives(folder, frame, columns, subset):
    generator = {"rescale": 1 / 255} | ({"validation_split": 0.4} if subset else {})
    flow = FLOW | columns | {"directory": str(folder), "subset": subset, "batch_size": 2}
    theirs = keras_generator(**generator).flow_from_dataframe(frame, **flow)
    ours = images(frame, **generator | flow)
    assert_same_batches(ours, theirs)
    assert ours.filenames == theirs.filenames
    for name in ("class_indices", "classes", "labels"):
        if hasattr(theirs, name):
            expected = as_lists(getattr(theirs, name))
            if columns.get("y_col") == "many" and name != "class_indices":
                expected = [each if isinstance(each, list) else [each] for each in expected]
            np.testing.assert_equal(as_lists(getattr(ours, name)), expected)
        else:
            assert not hasattr(ours, name)


def as_lists(labels):
    if isinstance(labels, list):
        return [as_lists(each) for each in labels]
    return labels.tolist() if isinstance(labels, np.ndarray) else labels


def test_a_list_is_a_dataframe(folder, frame):
    files = [str(folder / name) for name in frame["filename"]]
    expected = images(frame, directory=folder, **FLOW)
    for ours in (
        images(files, labels=frame["class"], **FLOW),
        images(list(zip(files, frame["class"], strict=True)), **FLOW),
        images(np.array(files), labels=np.array(frame["class"], dtype=str), **FLOW),
        images(folder / frame["filename"], labels=frame["class"], **FLOW),
        images([folder / name for name in frame["filename"]], labels=list(frame["class"]), **FLOW),
        images(list(frame["filename"]), labels=frame["class"], directory=folder, **FLOW),
        images(dataframe=frame, directory=folder, **FLOW),
    ):
        assert_same_batches(ours, expected)
    assert_same_batches(images(files, class_mode=None, **FLOW), [x for x, _ in expected])
    outputs = images(files, labels=[frame["age"], frame["size"]], class_mode="multi_output", **FLOW)
    assert_same(outputs[0][1], [np.arange(4) * 3, np.float32(np.arange(4) / 7)])


def test_the_folder_may_have_keras_s_name(folder):
    assert_same_batches(images(directory=folder, **FLOW), images(folder, **FLOW))


def test_texts_may_be_labels(folder, frame):
    _, labels = images(frame, directory=folder, class_mode="raw", **FLOW)[0]
    assert labels.tolist() == ["cats"] * 4


@pytest.mark.parametrize("dtype", ["uint8", "float16"])
def test_labels_beside_short_numbers_are_float32(folder, dtype):
    pictures, labels = images(folder, dtype=dtype, class_mode="sparse", **FLOW)[3]
    assert (pictures.dtype, labels.dtype) == (np.dtype(dtype), np.float32)
    assert labels.tolist() == [2, 2, 2]


def test_pictures_turn_upright_unless_they_shall_not(tmp_path):
    (tmp_path / "class").mkdir()
    turned = picture(1)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "class" / "turned.jpg", exif=exif, quality=95)
    options = {"target_size": (30, 40), "class_mode": None}
    plain = images(tmp_path, exif=False, target_size=SIZE, class_mode=None)[0]
    upright = images(tmp_path, **options)[0]
    np.testing.assert_array_equal(upright[0], np.rot90(plain[0], -1))
    theirs = keras_generator().flow_from_directory(str(tmp_path), target_size=SIZE, class_mode=None)
    assert_same(plain, theirs[0])


def test_the_short_way_to_a_small_picture_gives_nearly_the_same(tmp_path):
    (tmp_path / "class").mkdir()
    picture(1, 800, 640).save(tmp_path / "class" / "large.jpg", quality=95)
    options = {"target_size": (90, 80), "interpolation": "bilinear", "class_mode": None}
    plain, fast = (images(tmp_path, fast=fast, **options)[0] for fast in (False, True))
    difference = np.abs(plain - fast)
    assert 0 < difference.max() < 16
    assert difference.mean() < 2


def test_pictures_and_masks_of_one_seed_stay_together(tmp_path):
    (tmp_path / "class").mkdir()
    for number in range(6):
        picture(number).convert("L").save(tmp_path / "class" / f"{number}.png")
    moves = {"rotation_range": 40, "width_shift_range": [-3, 5], "horizontal_flip": True}
    options = {"class_mode": None, "target_size": SIZE, "interpolation_order": 0, "seed": 5} | moves
    pictures = images(tmp_path, **options)[0]
    masks = images(tmp_path, color_mode="grayscale", **options)[0]
    np.testing.assert_array_equal(pictures, np.repeat(masks, 3, axis=-1))
    assert not np.array_equal(pictures, images(tmp_path, **options | {"seed": 6})[0])


@pytest.mark.parametrize("color_mode", ["rgb", "rgba", "grayscale"])
@pytest.mark.parametrize("more", [{}, MOVED], ids=str)
def test_every_layout_and_dtype_holds_the_same_pictures(folder, color_mode, more):
    options = {
        "color_mode": color_mode,
        "target_size": (20, 30),
        "random_resized_crop": True,
        "interpolation": "bilinear",
        "horizontal_flip": True,
        "class_mode": None,
    } | more
    expected = images(folder, dtype="uint8", **options)[0]
    assert expected.shape == (15, 20, 30, {"rgb": 3, "rgba": 4, "grayscale": 1}[color_mode])
    assert expected.std() > 20
    first = images(folder, dtype="uint8", data_format="channels_first", **options)[0]
    np.testing.assert_array_equal(first.transpose(0, 2, 3, 1), expected)
    for dtype in ("float16", "float32", "float64"):
        found = images(folder, dtype=dtype, **options)[0]
        assert found.dtype == dtype
        # what lies between pixels is rounded in bytes before its brightness, in floats after it
        np.testing.assert_allclose(found, expected, rtol=0, atol=2 if more else 0)
