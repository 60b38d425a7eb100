"""`images` fed by workers: the same pixels whoever makes them, and every one of them."""

from __future__ import annotations

import pickle
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import fastfeed
from fastfeed import images

AUGMENTED = {
    "target_size": (24, 20),
    "rotation_range": 20,
    "width_shift_range": 0.2,
    "zoom_range": 0.3,
    "horizontal_flip": True,
    "brightness_range": (0.5, 1.5),
    "channel_shift_range": 20,
    "rescale": 1 / 255,
    "batch_size": 4,
    "class_mode": "sparse",
}
CROPPED = {
    "target_size": (16, 16),
    "random_resized_crop": True,
    "interpolation": "bilinear",
    "horizontal_flip": True,
    "dtype": "uint8",
    "batch_size": 4,
    "class_mode": "sparse",
}
N = 22


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Files, and a number for each that its batch can be told by."""
    folder = tmp_path_factory.mktemp("pictures")
    files = []
    for number in range(N):
        noise = np.random.default_rng(number).integers(0, 256, (6, 5, 3), dtype=np.uint8)
        files.append(str(folder / f"{number}.jpg"))
        Image.fromarray(noise).resize((50, 40), Image.Resampling.BICUBIC).save(files[-1])
    return files


def source(table, **arguments):
    return images(table, **{"labels": np.arange(N)} | arguments | {"class_mode": "raw"})


def received(pictures, epochs=2, **options):
    """The pictures of each epoch by their numbers."""
    with fastfeed.Loader(pictures, **options) as loader:
        found = []
        for _ in range(epochs):
            epoch = {}
            for x, y in loader:
                for picture, number in zip(x, y.tolist(), strict=True):
                    assert number not in epoch
                    epoch[number] = picture.copy()
            found.append(epoch)
        return found


def assert_same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        assert one.keys() == other.keys()
        for number in one:
            np.testing.assert_array_equal(one[number], other[number])


@pytest.mark.parametrize("arguments", [AUGMENTED, CROPPED], ids=["augmented", "cropped"])
def test_pixels_do_not_depend_on_workers_ranks_or_batches(table, arguments):
    pictures = source(table, seed=3, **arguments)
    expected = received(pictures, workers=0)
    assert all(len(epoch) == N for epoch in expected)
    assert any(np.any(expected[0][n] != expected[1][n]) for n in range(N)), "epochs must differ"
    assert_same(received(pictures, workers=2), expected)
    assert_same(received(pictures, workers=3, use_multiprocessing=False), expected)
    assert_same(received(pictures, workers=2, batch_size=7, shuffle=False), expected)
    ranks = [received(pictures, workers=1, shard=(rank, 2), uneven="short") for rank in (0, 1)]
    joined = [one | other for one, other in zip(*ranks, strict=True)]
    assert_same(joined, expected)
    others = received(source(table, seed=4, **arguments), epochs=1, workers=0)
    assert any(np.any(expected[0][n] != others[0][n]) for n in range(N)), "seeds must differ"


def test_a_batch_to_look_at_is_the_loader_s(table):
    pictures = source(table, seed=5, **CROPPED)
    assert len(pictures) == 6
    with fastfeed.Loader(pictures, workers=2) as loader:
        for number, (x, y) in enumerate(loader):
            looked_at = pictures[number]
            np.testing.assert_array_equal(x, looked_at[0])
            np.testing.assert_array_equal(y, looked_at[1])
    assert [len(y) for _, y in pictures] == [4, 4, 4, 4, 4, 2]
    assert pictures[-1][1].tolist() == pictures[5][1].tolist()
    with pytest.raises(IndexError):
        pictures[6]


def test_looking_leaves_the_random_numbers_alone(table):
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    source(table, **AUGMENTED)[0]
    np.testing.assert_array_equal(np.random.get_state()[1], before)


@pytest.mark.parametrize("arguments", [AUGMENTED, CROPPED], ids=["augmented", "cropped"])
def test_a_cache_changes_nothing_but_the_time(table, arguments):
    pictures = source(table, seed=3, **arguments)
    expected = received(pictures, workers=0)
    assert_same(received(pictures, workers=2, cache="memory", cache_budget=1 << 22), expected)


def test_what_cannot_be_read_is_left_out_and_counted(table, tmp_path):
    files = list(table)
    for number, part in ((0, 0.0), (9, 0.4), (13, 0.9)):
        whole = Path(table[number]).read_bytes()
        broken = tmp_path / f"{number}.jpg"
        broken.write_bytes(whole[: int(part * len(whole))])
        files[number] = str(broken)
    good = sorted(set(range(N)) - {0, 9, 13})
    pictures = source(files, on_error="skip", **CROPPED)
    with fastfeed.Loader(pictures, workers=2) as loader:
        numbers = [number for _, y in loader for number in y.tolist()]
        assert sorted(numbers) == good
        assert loader.stats().failed == 3
    black = source(files, on_error="zeros", **CROPPED)
    with fastfeed.Loader(black, workers=2) as loader:
        epoch = {n: x.any() for xs, y in loader for x, n in zip(xs, y.tolist(), strict=True)}
        assert sorted(number for number, seen in epoch.items() if seen) == good
        assert len(epoch) == N
        assert loader.stats().failed == 3
    with pytest.raises(fastfeed.FastFeedError, match=r"(0|9|13)\.jpg.*on_error"):
        received(source(files, **CROPPED), workers=2)


def test_a_file_that_vanishes_is_named(table, tmp_path):
    copy = tmp_path / "copy.jpg"
    copy.write_bytes(Path(table[0]).read_bytes())
    pictures = images([copy], class_mode=None)
    copy.unlink()
    with pytest.raises(fastfeed.FastFeedError, match=r"copy\.jpg.*cannot be read: No such file"):
        received(pictures, workers=1)


def test_weights_and_several_labels_arrive(table):
    import pandas

    frame = pandas.DataFrame({"filename": table, "a": range(N), "b": np.arange(N) / 2, "w": 0.5})
    columns = {"y_col": ["a", "b"], "weight_col": "w", "class_mode": "multi_output"}
    with fastfeed.Loader(images(frame, **CROPPED | columns), workers=2) as loader:
        for x, (a, b), w in loader:
            np.testing.assert_array_equal(a / 2, b)
            assert len(x) == len(w)
            assert set(w) == {0.5}


def test_a_million_names_go_to_the_workers_as_buffers(table):
    many = images(table * 5000, validate_filenames=False, class_mode=None, target_size=(8, 8))
    assert many.n_samples == N * 5000
    buffers: list[pickle.PickleBuffer] = []
    head = pickle.dumps(many, protocol=5, buffer_callback=buffers.append)
    assert len(head) < 5000
    assert sum(buffer.raw().nbytes for buffer in buffers) > 1_000_000


def test_the_fingerprint_tells_data_apart(table):
    def fingerprint(files=table, labels=None, **arguments):
        labels = np.arange(N) if labels is None else labels
        return images(files, labels=labels, **{"class_mode": "raw"} | arguments).fingerprint()

    feeding = {"batch_size": 3, "seed": 9, "shuffle": False}
    same = {fingerprint(), fingerprint(**feeding), fingerprint(list(table))}
    others = [
        fingerprint(table[::-1]),
        fingerprint(labels=np.arange(N) + 1),
        fingerprint(rescale=0.5),
        fingerprint(target_size=(8, 8)),
        fingerprint(class_mode=None, labels=None),
        fingerprint(preprocessing_function=np.negative),
    ]
    assert len(same) == 1
    assert len({*same, *others}) == 1 + len(others)


def test_the_fingerprint_sees_another_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    before = images([tmp_path / "a.png"], class_mode=None).fingerprint()
    (tmp_path / "a.png").write_bytes(b"other")
    assert images([tmp_path / "a.png"], class_mode=None).fingerprint() != before


def noisy(image):
    """Draws from the global numbers, as a user's function does."""
    return image + np.random.random() + random.random()


def test_a_user_s_own_function_may_draw_random_numbers(table):
    pictures = source(table, target_size=(4, 4), preprocessing_function=noisy, batch_size=4)
    ones, others = (received(pictures, workers=workers) for workers in (1, 2))
    assert_same(ones, others)
    plain = received(source(table, target_size=(4, 4)), epochs=1, workers=0)[0]
    added = [[float((epoch[n] - plain[n]).mean()) for n in range(N)] for epoch in ones]
    assert len(set(np.round(added, 3).ravel())) > 1.8 * N  # another for each picture and epoch
