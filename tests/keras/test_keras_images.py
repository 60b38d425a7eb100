"""What ``ImageDataGenerator`` makes, fed by workers: as its iterators' own ``next()`` gives it."""

import importlib

import keras
import numpy as np
import pytest
from keras_own import Dataset

import fastfeed
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.keras import evaluate_generator, fit_generator, predict_generator

PACKAGES = {
    "keras": "keras.src.legacy.preprocessing.image",  # public as tensorflow.keras.preprocessing
    "tf_keras": "tf_keras.preprocessing.image",
    "keras_preprocessing": "keras_preprocessing.image",
}
WAYS = {
    "calling thread": {"workers": 0},
    "thread": {"workers": 1, "use_multiprocessing": False},
    "threads": {"workers": 3, "use_multiprocessing": False},
    "processes": {"workers": 2},
}
AUGMENTATION = {
    "rotation_range": 20,
    "width_shift_range": 0.2,
    "zoom_range": 0.3,
    "horizontal_flip": True,
    "brightness_range": (0.5, 1.5),
    "channel_shift_range": 20,
    "rescale": 1 / 255,
}
N, ROWS = 22, 4
LENGTH = 6


def image_data_generator(package="keras", **options):
    return importlib.import_module(PACKAGES[package]).ImageDataGenerator(**options)


def flow(package="keras", augmentation=AUGMENTATION, **options):
    """Return an iterator over N pictures by ROWS; each is noise, so that any transform shows."""
    x = np.random.default_rng(0).integers(0, 255, (N, 8, 8, 3)).astype("float32")
    generator = image_data_generator(package, **augmentation)
    return generator.flow(x, np.arange(N), batch_size=ROWS, **options)


@pytest.fixture
def folder(tmp_path):
    """A folder of JPEG files in two classes."""
    for number in range(10):
        file = tmp_path / "pictures" / ("cats", "dogs")[number % 2] / f"{number}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 255, (12, 10, 3))
        keras.utils.save_img(str(file), noise)
    return str(tmp_path / "pictures")


def received(source, epochs=2, **options):
    with fastfeed.Loader(source, **options) as loader:
        return [copied(batch) for _ in range(epochs) for batch in loader]


def copied(batch):
    return tuple(np.array(part) for part in batch)


def assert_same(ones, others):
    assert len(ones) == len(others) > 0
    for one, other in zip(ones, others, strict=True):
        for ours, theirs in zip(one, other, strict=True):
            np.testing.assert_array_equal(ours, theirs)


# -- as the iterator's own next() ---------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_seeded_batches_equal_those_of_next(way, shuffle):
    own = flow(seed=5, shuffle=shuffle)
    expected = [copied(next(own)) for _ in range(2 * LENGTH)]
    assert_same(received(flow(seed=5, shuffle=shuffle), **WAYS[way]), expected)


@pytest.mark.parametrize("package", ["tf_keras", "keras_preprocessing"])
@pytest.mark.parametrize("processes", [False, True])
def test_the_packages_before_keras_3(package, processes):
    """One worker: it imports TensorFlow."""
    pytest.importorskip(package)
    own = flow(package, seed=5)
    expected = [copied(next(own)) for _ in range(2 * LENGTH)]
    options = {"workers": 1, "use_multiprocessing": processes}
    assert_same(received(flow(package, seed=5), **options), expected)


@pytest.mark.parametrize("way", ["threads", "processes"])
def test_flow_from_directory(way, folder):
    def source():
        return image_data_generator(**AUGMENTATION).flow_from_directory(
            folder, target_size=(8, 8), batch_size=ROWS, class_mode="binary", seed=5
        )

    own = source()
    expected = [copied(next(own)) for _ in range(6)]
    assert_same(received(source(), **WAYS[way]), expected)


def test_flow_from_dataframe(folder):
    pandas = pytest.importorskip("pandas")
    names = [f"{('cats', 'dogs')[number % 2]}/{number}.jpg" for number in range(10)]
    frame = pandas.DataFrame({"filename": names, "age": np.arange(10.0), "weight": 0.5})

    def source():
        return image_data_generator(**AUGMENTATION).flow_from_dataframe(
            frame,
            folder,
            y_col="age",
            weight_col="weight",
            class_mode="raw",
            target_size=(8, 8),
            batch_size=ROWS,
            seed=5,
        )

    own = source()
    expected = [copied(next(own)) for _ in range(6)]
    assert len(expected[0]) == 3
    assert_same(received(source(), workers=2), expected)


def test_images_and_masks_of_one_seed_stay_together():
    images = received(flow(seed=9), workers=2)
    masks = received(flow(seed=9), workers=3, use_multiprocessing=False)
    assert_same(images, masks)


# -- without a seed -----------------------------------------------------------------------------


def test_the_loaders_seed_decides_where_the_iterator_has_none():
    expected = received(flow(), workers=0, seed=3)
    for way in WAYS:
        assert_same(received(flow(), seed=3, **WAYS[way]), expected)
    assert not np.array_equal(received(flow(), workers=0, seed=4)[0][0], expected[0][0])


@pytest.mark.parametrize("way", WAYS)
def test_each_image_exactly_once_an_epoch(way):
    for shuffle_batches in (False, True):
        batches = received(flow(), epochs=3, shuffle=shuffle_batches, **WAYS[way])
        orders = [
            np.concatenate([y for _, y in batches[epoch * LENGTH : (epoch + 1) * LENGTH]]).tolist()
            for epoch in range(3)
        ]
        assert all(sorted(order) == list(range(N)) for order in orders)
        assert orders[0] != orders[1] != orders[2]


@pytest.mark.parametrize("way", WAYS)
def test_no_two_images_are_transformed_alike(way):
    x = np.tile(np.random.default_rng(1).random((1, 8, 8, 3)), (N, 1, 1, 1))
    source = image_data_generator(rotation_range=90).flow(x, batch_size=ROWS)
    with fastfeed.Loader(source, **WAYS[way]) as loader:
        images = np.concatenate([np.array(batch) for _ in range(2) for batch in loader])
    assert len(np.unique(images.reshape(2 * N, -1), axis=0)) == 2 * N


@pytest.mark.parametrize("way", WAYS)
def test_the_iterator_and_the_callers_random_numbers_stay_as_they_are(way):
    source = flow(seed=5)
    before = dict(vars(source))
    np.random.seed(11)
    numbers = np.random.random(3)
    np.random.seed(11)
    received(source, **WAYS[way])
    np.testing.assert_array_equal(np.random.random(3), numbers)
    assert vars(source).keys() == before.keys()
    assert all(vars(source)[name] is before[name] for name in before)
    assert_same([copied(next(source))], [copied(next(flow(seed=5)))])


# -- what users add -----------------------------------------------------------------------------


def test_a_preprocessing_function_runs_in_worker_processes():
    options = {"preprocessing_function": lambda image: image * 0 + 7}
    for x, _ in received(flow(augmentation=options), workers=2):
        assert (x == 7).all()


def test_a_subclass_may_choose_the_order(make_subclass):
    def newest_first(self):
        self.index_array = np.arange(self.n)[::-1]

    source = make_subclass(_set_index_array=newest_first)
    ys = np.concatenate([y for _, y in received(source, epochs=1, workers=2)])
    assert ys.tolist() == list(range(N))[::-1]


@pytest.mark.parametrize("way", WAYS)
def test_a_subclass_is_told_of_the_end_of_each_epoch(way, make_subclass):
    def on_epoch_end(self):
        self.rounds = getattr(self, "rounds", 0) + 1

    def samples(self, rows):
        return np.full(len(rows), getattr(self, "rounds", 0)), rows

    source = make_subclass(on_epoch_end=on_epoch_end, _get_batches_of_transformed_samples=samples)
    rounds = [int(x[0]) for x, _ in received(source, epochs=3, **WAYS[way])]
    assert rounds == [0] * LENGTH + [1] * LENGTH + [2] * LENGTH
    assert not hasattr(source, "rounds")


@pytest.mark.parametrize("way", WAYS)
def test_a_subclass_may_change_the_batches(way, make_subclass):
    def halves(self, index):
        _, y = importlib.import_module(PACKAGES["keras"]).Iterator.__getitem__(self, index)
        return y * 0.5, y

    halved, y = received(make_subclass(__getitem__=halves), epochs=1, **WAYS[way])[1]
    np.testing.assert_array_equal(y, [4, 5, 6, 7])
    np.testing.assert_array_equal(halved, y * 0.5)


@pytest.mark.parametrize("way", WAYS)
def test_an_iterator_of_the_users_own(way):
    base = importlib.import_module(PACKAGES["keras"]).Iterator

    class Numbers(base):
        def _get_batches_of_transformed_samples(self, index_array):
            return np.array(index_array), np.array(index_array)

    source = Numbers(N, ROWS, shuffle=True, seed=3)
    batches = received(source, epochs=1, **WAYS[way])
    own = Numbers(N, ROWS, shuffle=True, seed=3)
    assert_same(batches, [copied(next(own)) for _ in range(LENGTH)])


@pytest.fixture
def make_subclass():
    def make(**methods):
        source = flow(augmentation={}, shuffle=False)
        source.__class__ = type("Mine", (type(source),), {**methods, "__module__": __name__})
        return source

    return make


# -- in Keras -----------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["thread", "processes"])
def test_weights_equal_those_of_keras_on_the_same_batches(way, make_image_model):
    ours, keras_own = make_image_model(), make_image_model()
    own = flow(seed=5)
    for _ in range(2):
        batches = [next(own) for _ in range(LENGTH)]
        keras_own.fit(Dataset(batches), shuffle=False, verbose=0)
    fit_generator(ours, flow(seed=5), epochs=2, shuffle=False, verbose=0, **WAYS[way])
    for one, other in zip(ours.get_weights(), keras_own.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_evaluation_and_prediction(make_image_model):
    model = make_image_model()
    source = flow(augmentation={}, shuffle=False)
    batches = Dataset([source[i] for i in range(LENGTH)])
    assert evaluate_generator(model, source, workers=2) == model.evaluate(batches, verbose=0)
    predicted = predict_generator(model, source, workers=2)
    np.testing.assert_array_equal(predicted, model.predict(batches, verbose=0))


def test_validation(make_image_model):
    ours, keras_own = make_image_model(), make_image_model()
    source = flow(augmentation={}, shuffle=False)
    batches = Dataset([source[i] for i in range(LENGTH)])
    expected = keras_own.fit(batches, validation_data=batches, shuffle=False, verbose=0)
    options = {"shuffle": False, "verbose": 0, "data_wait": False, "workers": 2}
    history = fit_generator(ours, source, validation_data=source, **options)
    assert history.history == expected.history


def test_a_call_of_keras_1(make_image_model):
    model = make_image_model()
    with pytest.warns(DeprecationWarning):
        fit_generator(model, flow(), samples_per_epoch=N, nb_epoch=2, verbose=0)
    assert model.history.params["steps"] == LENGTH


@pytest.fixture
def make_image_model():
    def make():
        keras.utils.set_random_seed(7)
        layers = [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.compile("sgd", "mae")
        return model

    return make


# -- bad input ----------------------------------------------------------------------------------


def test_batch_size_belongs_to_the_flow():
    with pytest.raises(ArgumentError, match=r"give it to flow.*Received: batch_size=8"):
        fastfeed.Loader(flow(), batch_size=8)


def test_a_folder_without_pictures(tmp_path):
    (tmp_path / "cats").mkdir()
    empty = image_data_generator().flow_from_directory(str(tmp_path))
    with pytest.raises(SourceError, match="DirectoryIterator is empty"):
        fastfeed.Loader(empty)


def test_a_picture_that_is_none_arrives_with_the_workers_traceback(folder):
    source = image_data_generator().flow_from_directory(folder, (8, 8), batch_size=ROWS)
    with open(source.filepaths[3], "wb") as file:
        file.write(b"no picture")
    with pytest.raises(OSError, match="cannot identify image file") as caught:
        received(source, workers=1)
    assert "load_img" in str(caught.value.__cause__)
