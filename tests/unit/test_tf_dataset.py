"""Loader.as_tf_dataset: real tf.data.Datasets over the slots of a loader."""

import gc
import os

import ml_dtypes
import numpy as np
import pytest
from unit_tf_sources import Failing, Pictures, four_pictures

from fastfeed import Loader
from fastfeed.errors import ArgumentError, SourceError

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
tf = pytest.importorskip("tensorflow")

WAYS = {
    "calling thread": {"workers": 0},
    "threads": {"workers": 2, "use_multiprocessing": False},
    "processes": {"workers": 2},
}


class Given:
    """Gives a list of batches."""

    def __init__(self, *batches):
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return self.batches[index]


def numbers(data):
    return [int(x[0, 0]) for x, _ in data]


@pytest.mark.parametrize("way", WAYS)
def test_each_iterator_is_one_pass(way):
    with Loader(Pictures(), **WAYS[way]) as loader:
        data = loader.as_tf_dataset()
        assert isinstance(data, tf.data.Dataset)
        assert int(data.cardinality()) == 10
        assert data.element_spec == (
            tf.TensorSpec((None, 3), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        )
        assert [numbers(data) for _ in range(3)] == [list(range(10))] * 3
        assert [len(y) for _, y in data] == [6] * 9 + [4]


def test_passes_follow_the_order_of_the_loader():
    """The batch that was looked at is not lost, and no pass is skipped for it."""
    with Loader(Pictures(), workers=1, shuffle=True, seed=3) as loader:
        expected = [numbers(loader) for _ in range(3)]
    with Loader(Pictures(), workers=1, shuffle=True, seed=3) as loader:
        data = loader.as_tf_dataset()
        assert [numbers(data) for _ in range(3)] == expected


def test_tensors_lie_in_the_slots():
    """Their addresses are those of the arrays, and what is kept is never written over."""
    addresses = []

    class Noting(Loader):
        def __iter__(self):
            for x, y in super().__iter__():
                addresses.append((x.ctypes.data, y.ctypes.data))
                yield x, y

    with Noting(Pictures(), workers=1) as loader:
        kept = list(loader.as_tf_dataset())
        found = [tuple(np.asarray(memoryview(t)).ctypes.data for t in batch) for batch in kept]
        assert found == addresses
    assert numbers(kept) == list(range(10))


def test_a_batch_that_was_looked_at_does_not_count_as_consumed():
    with Loader(Pictures(), workers=1) as loader:
        data = loader.as_tf_dataset()
        assert loader.state_dict()["consumed"] == 0
        with pytest.raises(ArgumentError, match="and 0 were"):
            loader.state_dict(unread=1)
        assert numbers(data.take(3)) == [0, 1, 2]
        assert loader.state_dict()["consumed"] == 3


def test_it_goes_on_from_a_state():
    with Loader(Pictures(), workers=1) as loader:
        next(iter(loader))
        state = loader.state_dict()
    with Loader(Pictures(), workers=1) as loader:
        loader.load_state_dict(state)
        data = loader.as_tf_dataset()
        assert loader.state_dict() == state
        assert data.cardinality() == tf.data.UNKNOWN_CARDINALITY
        assert [numbers(data), numbers(data)] == [list(range(1, 10)), list(range(10))]


def test_a_dataset_of_whole_epochs_does_not_begin_within_one():
    with Loader(Pictures(), workers=1) as loader:
        data = loader.as_tf_dataset()
        state = {**loader.state_dict(), "consumed": 4}
        loader.load_state_dict({**state, "consumed": 0})
        assert numbers(data) == list(range(10))  # and not the batch that was looked at before
        loader.load_state_dict(state)
        with pytest.raises(tf.errors.OpError, match=r"Call load_state_dict\(\) before as_tf_data"):
            numbers(data)
        assert numbers(loader.as_tf_dataset()) == list(range(4, 10))


def test_tf_data_works_on_it():
    with Loader(Pictures(), workers=1) as loader:
        data = loader.as_tf_dataset().map(lambda x, y: (x * 2, y)).prefetch(3).repeat(2)
        assert numbers(data) == [2 * i for i in range(10)] * 2


def test_second_iterator_ends_the_first():
    with Loader(Pictures(), workers=1) as loader:
        data = loader.as_tf_dataset()
        first, second = iter(data), iter(data)
        next(first)
        next(second)
        with pytest.raises(tf.errors.OpError, match="ended by a newer one over the same loader"):
            next(first)
        assert len(list(second)) == 9


def test_left_iterator_is_followed_by_a_whole_pass():
    with Loader(Pictures(), workers=1) as loader:
        data = loader.as_tf_dataset()
        assert numbers(data.take(3)) == [0, 1, 2]
        assert numbers(data) == list(range(10))


@pytest.mark.parametrize("way", WAYS)
def test_exception_keeps_message_and_traceback_of_its_worker(way):
    with Loader(Failing(), **WAYS[way]) as loader:
        seen = []
        with pytest.raises(tf.errors.OpError, match="LookupError: no picture number 5") as caught:
            seen.extend(int(x[0, 0]) for x, _ in loader.as_tf_dataset())
        assert "unit_tf_sources.py" in str(caught.value)
        assert 'raise LookupError("no picture number 5")' in str(caught.value)


def test_generators():
    with Loader(four_pictures, workers=1) as loader:
        data = loader.as_tf_dataset()
        assert data.cardinality() == tf.data.UNKNOWN_CARDINALITY
        assert [numbers(data), numbers(data)] == [[0, 1, 2, 3]] * 2
    with Loader(four_pictures()) as loader:
        data = loader.as_tf_dataset()
        assert numbers(data) == [0, 1, 2, 3]
        with pytest.raises(tf.errors.OpError, match="used up"):
            numbers(data)


def test_dicts_lists_texts_and_scalars():
    batch = (
        {"b": np.zeros((2, 3), "float16"), "a": [np.ones(2), np.zeros(2, bool)]},
        np.array(["cat", "dogs"]),
        ["one", b"two"],
        "text",
        7,
        np.zeros((2, 1), ml_dtypes.bfloat16),
        np.arange(3, dtype=">i4"),
    )
    with Loader(Given(batch), workers=0) as loader:
        ((x, labels, names, text, number, half, foreign),) = loader.as_tf_dataset()
    assert x["b"].dtype == tf.float16
    assert [part.dtype for part in x["a"]] == [tf.float64, tf.bool]
    assert labels.numpy().tolist() == [b"cat", b"dogs"]
    assert names.numpy().tolist() == [b"one", b"two"]
    assert text.numpy() == b"text"
    assert number.numpy() == 7
    assert half.dtype == tf.bfloat16
    assert foreign.numpy().tolist() == [0, 1, 2]


def test_texts_of_samples():
    samples = [(np.ones(2), name) for name in ("a", "bb", "ccc")]
    with Loader(samples, batch_size=2, workers=0) as loader:
        names = [y.numpy().tolist() for _, y in loader.as_tf_dataset()]
    assert names == [[b"a", b"bb"], [b"ccc"]]


def test_missing_sample_weight_is_left_out():
    with Loader(Given((np.ones(2), np.zeros(2), None)), workers=0) as loader:
        assert [len(batch) for batch in loader.as_tf_dataset()] == [2]


def test_inner_sizes_that_change():
    source = Given(np.zeros((2, 8, 8)), np.zeros((2, 9, 8)))
    with Loader(source, workers=0) as loader:
        with pytest.raises(tf.errors.OpError, match=r"float64\[2, 9, 8\].*output_signature"):
            list(loader.as_tf_dataset())
        data = loader.as_tf_dataset(tf.TensorSpec((None, None, 8), "float64"))
        assert [x.shape for x in data] == [(2, 8, 8), (2, 9, 8)]


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        (np.zeros(2, "M8[s]"), "no dtype for an array of datetime64"),
        ((np.zeros(2), object), "numbers and texts only.*Received: type"),
        ((np.zeros(2), None, None), "numbers and texts only.*Received: NoneType"),
    ],
)
def test_what_tensorflow_does_not_have(batch, words):
    with (
        Loader(Given(batch), workers=0) as loader,
        pytest.raises(SourceError, match=words),
    ):
        loader.as_tf_dataset()


def test_no_batch_at_all():
    with (
        Loader(lambda: iter(()), workers=0) as loader,
        pytest.raises(SourceError, match="no batch at all"),
    ):
        loader.as_tf_dataset()


def test_framework_is_left_out():
    with (
        Loader(Pictures(), workers=0, framework="tensorflow") as loader,
        pytest.raises(ArgumentError, match=r'leave out framework.*Received: framework="tensor'),
    ):
        loader.as_tf_dataset()


def test_dataset_keeps_the_loader():
    data = Loader(Pictures(), workers=1, use_multiprocessing=False).as_tf_dataset()
    gc.collect()
    assert numbers(data) == list(range(10))
