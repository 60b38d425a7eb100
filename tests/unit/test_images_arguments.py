"""A call moves over by its name: the same arguments, the same defaults; the rest is refused."""

from __future__ import annotations

import inspect
import os
import re
import warnings

import numpy as np
import pytest
from unit_images import make_folder, picture

import fastfeed
from fastfeed import images
from fastfeed.errors import ArgumentError, FastFeedError, ImageError, SourceError
from fastfeed.imaging.arguments import IDLE, NO_LONGER, REFUSED


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "pictures", {"cats": 2, "dogs": 3})


def files_of(folder):
    return sorted(map(str, folder.rglob("*.png")))


def refused(*source, **arguments):
    """The message of the error, which is one of ours and a ValueError, as Keras's are."""
    with pytest.raises(FastFeedError) as caught:
        images(*source, **arguments)
    assert isinstance(caught.value, ValueError)
    if isinstance(caught.value, ArgumentError):
        assert "Received: " in str(caught.value)
    return str(caught.value)


# -- Keras's arguments --------------------------------------------------------------------------


def test_every_argument_of_keras_is_known_with_its_default():
    from keras.src.legacy.preprocessing.image import ImageDataGenerator as Generator

    ours = inspect.signature(images).parameters
    methods = Generator.__init__, Generator.flow_from_directory, Generator.flow_from_dataframe
    seen = set()
    for method in methods:
        for name, parameter in inspect.signature(method).parameters.items():
            if name in ("self", "kwargs") or name in REFUSED or name in IDLE:
                continue
            seen.add(name)
            default = parameter.default
            assert ours[name].default == (None if default is parameter.empty else default), name
    assert len(seen) > 35


def test_what_is_refused_may_stand_there_unused(folder):
    assert len(images(folder, save_to_dir=None, save_prefix="x", zca_whitening=False)) == 1


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_offered_is_refused_with_what_to_do_instead(folder, name):
    message = refused(folder, **{name: True})
    assert message.startswith(f"{name} is not offered")
    assert "lambda image" in message or "images(...)[0]" in message


@pytest.mark.parametrize("name", NO_LONGER)
def test_what_keras_has_no_longer_is_refused_with_what_to_write(folder, name):
    assert f"no argument {name!r}. {NO_LONGER[name]}." in refused(folder, **{name: False})


def test_an_unknown_argument_is_compared_with_those_there_are(folder):
    assert "Did you mean rotation_range?" in refused(folder, rotation_ranges=3)
    assert "See help(fastfeed.images)." in refused(folder, xyz=3)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"class_mode": "binary_crossentropy"}, "class_mode must be one of 'categorical'"),
        ({"class_mode": "raw"}, "pass a DataFrame or a list"),
        ({"class_mode": "binary", "classes": ["cats"]}, "needs 2 classes"),
        ({"classes": ["cats", "cows"]}, "does not have: cows. It has: cats, dogs."),
        ({"classes": "cats"}, "a list of names"),
        ({"classes": {"cats", "dogs"}}, "in the order of their numbers"),
        ({"classes": {"cats": 1, "dogs": 0}}, "in the order of their numbers"),
        ({"classes": [1, 2]}, "a list of names"),
        ({"classes": 2}, "a list of names"),
        ({"validation_split": "0.2", "subset": "training"}, "must be one finite number"),
        ({"rotation_range": (-20, 20)}, "rotation_range must be one finite number"),
        ({"shear_range": "9"}, "shear_range must be one finite number"),
        ({"channel_shift_range": float("nan")}, "channel_shift_range must be one finite number"),
        ({"rescale": "1/255"}, "rescale must be one finite number"),
        ({"cval": None}, "cval must be one finite number"),
        ({"preprocessing_function": "f"}, "preprocessing_function is a function"),
        ({"horizontal_flip": 0.5}, "horizontal_flip is True or False"),
        ({"shuffle": "no"}, "shuffle is True or False"),
        ({"labels": [1]}, "labels of a folder are its subfolders' names"),
        ({"validation_split": 1.5, "subset": "training"}, "strictly between 0 and 1"),
        ({"validation_split": 0.2}, "go together"),
        ({"subset": "validation"}, "go together"),
        ({"validation_split": 0.2, "subset": "test"}, 'subset must be "training"'),
        ({"validation_split": 0.1, "subset": "validation"}, "change validation_split"),
        ({"target_size": 224}, "target_size is (height, width)"),
        ({"target_size": (0, 224)}, "target_size is (height, width)"),
        ({"target_size": (224, 224, 3)}, "target_size is (height, width)"),
        ({"color_mode": "bgr"}, "color_mode must be one of 'rgb'"),
        ({"interpolation": "linear"}, "interpolation must be one of 'nearest'"),
        ({"data_format": "NHWC"}, "data_format must be one of"),
        ({"dtype": "int64"}, "dtype must be one of uint8"),
        ({"dtype": "floaty"}, "dtype must be one of uint8"),
        ({"dtype": "uint8", "rescale": 1 / 255}, "keras.layers.Rescaling"),
        ({"dtype": "uint8", "fill_mode": "constant", "cval": -1}, "cval must be 0 to 255"),
        ({"brightness_range": (0.5, 2), "cval": 300}, "cval must be 0 to 255"),
        ({"batch_size": 0}, "batch_size is a whole number"),
        ({"batch_size": 2.5}, "batch_size is a whole number"),
        ({"batch_size": True}, "batch_size is a whole number"),
        ({"seed": -1}, "seed is a whole number"),
        ({"on_error": "ignore"}, "on_error must be one of 'raise'"),
        ({"fill_mode": "mirror"}, "fill_mode must be one of"),
        ({"interpolation_order": 3}, "keep ImageDataGenerator"),
        ({"brightness_range": 0.5}, "brightness_range is a pair"),
        ({"brightness_range": "ab"}, "brightness_range is a pair"),
        ({"brightness_range": (0.5, float("inf"))}, "brightness_range is a pair"),
        ({"zoom_range": (1, 2, 3)}, "or one number"),
        ({"zoom_range": float("nan")}, "or one number"),
        ({"width_shift_range": "0.2"}, "width_shift_range is a part of the side"),
        ({"height_shift_range": [[1]]}, "height_shift_range is a part of the side"),
        ({"width_shift_range": -3}, "both directions"),
        ({"width_shift_range": float("inf")}, "both directions"),
        ({"random_resized_crop": 0.5}, "random_resized_crop is True, False"),
        ({"random_resized_crop": ((0.5, 2), (1, 1))}, "above 0 and up to 1"),
        ({"random_resized_crop": ((0.5, 0.2), (1, 1))}, "the least and the most"),
        ({"random_resized_crop": (0.5, (1, 1))}, "random_resized_crop is True, False"),
    ],
    ids=lambda value: None if isinstance(value, str) else str(value),
)
def test_a_wrong_argument_is_named_with_the_cure(folder, arguments, words):
    assert words in refused(folder, **arguments)


# -- folders ------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")
    assert os.getcwd() in refused("nowhere")
    (tmp_path / "file").touch()
    assert "is a file" in refused(tmp_path / "file")


def test_nothing_at_all():
    assert "a folder with a subfolder for each class" in refused()
    assert "a folder with a subfolder for each class" in refused({"a": 1})
    assert "Received: int" in refused(3)


def test_a_folder_without_classes(tmp_path):
    picture(1).save(tmp_path / "lonely.png")
    message = refused(tmp_path)
    assert "no subfolders" in message
    assert "class_mode=None" in message
    pictures = images([tmp_path / "lonely.png"], class_mode=None)  # as the message says
    assert pictures[0].shape == (1, 256, 256, 3)


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "notes.txt").touch()
    message = refused(tmp_path)
    assert "No pictures in the 1 class folder(s)" in message
    assert ".png, .jpg" in message


def test_a_class_without_pictures_counts_and_is_told(folder):
    (folder / ".ipynb_checkpoints").mkdir()
    with pytest.warns(UserWarning, match=r"without a picture in .*: \.ipynb_checkpoints") as caught:
        pictures = images(folder)
    assert caught[0].filename == __file__
    assert pictures.class_indices == {".ipynb_checkpoints": 0, "cats": 1, "dogs": 2}
    assert pictures[0][1].shape == (5, 3)


def test_two_pictures_are_enough(tmp_path):
    folder = make_folder(tmp_path / "pictures", {"cats": 1, "dogs": 1})
    x, y = images(folder, shuffle=False)[0]
    assert x.shape == (2, 256, 256, 3)
    assert y.tolist() == [[1, 0], [0, 1]]


def test_folders_below_and_links(folder, tmp_path):
    make_folder(folder / "cats" / "wild", {"lynx": 1})
    make_folder(tmp_path / "elsewhere", {"lion": 1})
    (folder / "cats" / "far").symlink_to(tmp_path / "elsewhere" / "lion")
    assert [name for name in images(folder).filenames if "/l" in name] == ["cats/wild/lynx/00.png"]
    linked = images(folder, follow_links=True)
    assert linked.filenames[2:4] == ["cats/far/00.png", "cats/wild/lynx/00.png"]
    assert linked.classes.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_names_that_are_no_text(tmp_path):
    (tmp_path / "cats").mkdir()
    picture(1).save(tmp_path / "cats" / "plain.png")
    odd = os.fsencode(tmp_path / "cats") + b"/\xff\xe9.png"
    os.rename(tmp_path / "cats" / "plain.png", odd)
    pictures = images(tmp_path)
    assert os.fsencode(pictures.filepaths[0]) == odd
    assert pictures[0][0].any()


# -- lists --------------------------------------------------------------------------------------


def test_a_list_that_does_not_fit(folder):
    files = files_of(folder)
    assert "needs a label for each file" in refused(files)
    assert "5 files, 2 labels" in refused(files, labels=["a", "b"])
    assert "5 files, a int" in refused(files, labels=3, class_mode="multi_output")
    assert "5 files, a generator" in refused(files, labels=(file for file in files))
    assert "for each of the outputs" in refused(files, labels=[[1]], class_mode="multi_output")
    assert "number 1 is a int" in refused([files[0], 7], class_mode=None)
    assert "or none" in refused([(files[0], "a"), files[1]])
    assert "either in the list" in refused([(files[0], "a")], labels=["a"])
    assert "names a column of a DataFrame" in refused(files, class_mode=None, weight_col="w")
    assert "the list (or DataFrame) is empty" in refused([], class_mode=None)


def test_numbers_are_no_classes(folder):
    files = files_of(folder)
    message = refused(files, labels=[0, 1, 2, 0, 1])
    assert "makes classes of texts" in message
    assert 'class_mode="raw"' in message
    message = refused(files, labels=np.eye(5))
    assert "Received: [1.0, 0.0, 0.0, 0.0, 0.0]" in message
    assert 'class_mode="raw"' in message
    as_they_are = images(files, labels=[0, 1, 2, 0, 1], class_mode="raw")
    assert as_they_are.labels.tolist() == [0, 1, 2, 0, 1]
    assert "one shape" in refused(files, labels=[[1], [2, 3], 0, 0, 0], class_mode="raw")
    assert "one shape" in refused(files, labels=[None] * 5, class_mode="raw")


def test_files_that_are_not_there_are_left_out_and_told(folder):
    files = files_of(folder)
    with pytest.warns(UserWarning, match=r"2 of 7 pictures .* '/nowhere.png'") as caught:
        pictures = images(["/nowhere.png", *files, "notes.txt"], class_mode=None, shuffle=False)
    assert caught[0].filename == __file__
    assert pictures.filenames == files
    message = refused(["nowhere.png"], directory=folder, class_mode=None)
    assert "None of 1 pictures is left" in message
    assert f"'{folder}/nowhere.png'. Correct the names" in message


def test_names_without_their_endings_are_told_so(folder):
    names = [file.removesuffix(".png") for file in files_of(folder)]
    assert f"There is '{names[0]}.png': add '.png' to the names." in refused(names, class_mode=None)


def test_labels_that_leave_nothing(folder):
    message = refused(files_of(folder), labels=["a"] * 5, classes=["b"])
    assert "their labels must be among classes=['b']" in message
    assert "The first label is 'a'" in message
    assert "all lists are empty" in refused(files_of(folder), labels=[[]] * 5)
    message = refused(files_of(folder), labels=["a"] * 5, subset="validation", validation_split=0.1)
    assert "None of 5 pictures is left: the split takes those from 0% to 10%" in message


def test_a_split_that_leaves_classes_out_is_told(folder):
    pairs = [(file, file.split(os.sep)[-2]) for file in files_of(folder)]
    with pytest.warns(UserWarning, match="no picture of 1 of 2 classes: dogs.*sample") as caught:
        images(pairs, validation_split=0.4, subset="validation")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mixed = pairs[::-2] + pairs[::2]
        assert images(mixed, validation_split=0.5, subset="training").n == 3


# -- DataFrames ---------------------------------------------------------------------------------


def test_a_dataframe_that_does_not_fit(folder):
    import pandas

    frame = pandas.DataFrame({"filename": files_of(folder), "class": list("ababa"), "n": range(5)})
    message = refused(frame, x_col="file")
    assert "no column 'file'; it has ['filename', 'class', 'n']" in message
    assert "x_col='file'" in message
    assert "y_col='label'" in refused(frame, y_col="label")
    assert "weight_col='w'" in refused(frame, weight_col="w")
    assert "a column of numbers" in refused(frame, weight_col="class")
    assert "frame[y_col].astype(str)" in refused(frame, y_col="n")
    assert "must be names of files" in refused(frame, x_col="n")
    assert "takes a list of columns" in refused(frame, class_mode="multi_output")
    assert "takes a list of columns" in refused(frame, y_col=["class", "n"])
    assert "takes a list of columns" in refused(frame, y_col=[], class_mode="raw")
    assert "no column ['filename']" in refused(frame, x_col=["filename"])
    assert "2 columns 'class'" in refused(pandas.concat([frame, frame["class"]], axis=1))
    assert "has 3" in refused(frame.assign(**{"class": list("abcab")}), class_mode="binary")
    assert "A DataFrame's labels are its column y_col" in refused(frame, labels=[1])
    frame.loc[2, "class"] = None
    assert "Drop rows without a label" in refused(frame)


def test_no_weight_is_missing_and_missing_labels_are_told(folder):
    import pandas

    frame = pandas.DataFrame({"filename": files_of(folder), "y": [0.5, np.nan, 1, 2, 3]})
    message = refused(frame, y_col="y", weight_col="y", class_mode="raw")
    assert "1 of 5 weights are NaN" in message
    assert "fillna" in message
    with pytest.warns(UserWarning, match="1 labels in column 'y' are NaN.*dropna") as caught:
        images(frame, y_col="y", class_mode="raw")
    assert caught[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        images(frame.dropna(), y_col="y", weight_col="y", class_mode="raw")


def test_the_dataframe_stays_as_it_is(folder):
    import pandas

    frame = pandas.DataFrame({"filename": files_of(folder), "class": list("ababa")})
    before = frame.copy()
    images(frame, classes=["b"])
    pandas.testing.assert_frame_equal(frame, before)


# -- files that are no pictures -----------------------------------------------------------------


def test_a_file_that_cannot_be_read_is_named(folder):
    broken = folder / "dogs" / "broken.jpg"
    broken.write_bytes(b"nonsense")
    pictures = images(folder, shuffle=False)
    with pytest.raises(ImageError, match=re.escape(str(broken))) as caught:
        pictures[0]
    assert 'on_error="skip"' in str(caught.value)
    assert isinstance(caught.value, SourceError)


def test_on_error_skips_or_blackens(folder):
    (folder / "dogs" / "0.jpg").write_bytes(b"")
    options = {"shuffle": False, "class_mode": "sparse", "batch_size": 9}
    x, y = images(folder, on_error="skip", **options)[0]
    black, labels = images(folder, on_error="zeros", **options)[0]
    assert y.tolist() == [0, 0] + [1] * (len(x) - 2)
    assert labels.tolist() == [0, 0, 1] + [1] * (len(x) - 2)
    assert not black[2].any()
    np.testing.assert_array_equal(np.delete(black, 2, axis=0), x)


def test_no_batch_is_empty(tmp_path):
    names = [tmp_path / f"{number}.png" for number in range(4)]
    for name in names:
        name.write_bytes(b"nonsense")
    pictures = images(names, class_mode=None, on_error="skip", batch_size=3, shuffle=False)
    with pytest.raises(ImageError, match=r"None of the 3 picture\(s\).*0\.png.*drop_last"):
        pictures[0]


def test_preprocessing_that_returns_something_else(folder):
    for function, words in (
        (lambda image: image[:5], r"the shape that it gets, .*float32\[5, 256, 3\]"),
        (lambda image: image.mean(), "the shape that it gets"),
    ):
        with pytest.raises(SourceError, match=words):
            images(folder, preprocessing_function=function)[0]
    with pytest.raises(SourceError, match="dtype='uint8' cannot hold"):
        images(folder, preprocessing_function=lambda image: image / 255, dtype="uint8")[0]
    x, _ = images(folder, preprocessing_function=lambda image: 255 - image, dtype="uint8")[0]
    np.testing.assert_array_equal(x, 255 - images(folder, dtype="uint8")[0][0])


def test_it_is_exported():
    assert fastfeed.images is images
    assert "images" in fastfeed.__all__
