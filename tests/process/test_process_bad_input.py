"""Bad input: one clear sentence with the cause and the cure, and nothing is left behind."""

from __future__ import annotations

import itertools
import threading

import numpy as np
import pytest
from process_sources import Batches
from process_support import outcomes

import fastfeed
from fastfeed import Loader, errors, slots
from fastfeed.workers import payload

GiB = 1 << 30


class Items:
    """Item i is what `make(i)` returns."""

    def __init__(self, make, length=4):
        self.make = make
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return self.make(index)


def refused(match: str, kind: type[Exception], source, **options) -> None:
    """Assert that the loader, or its first loop, refuses this in one sentence of ours."""
    with pytest.raises(kind, match=match) as caught, Loader(source, **options) as loader:
        for _ in loader:
            pass
    assert isinstance(caught.value, fastfeed.FastFeedError)
    assert len(str(caught.value)) < 700


@pytest.mark.parametrize(
    ("option", "value", "rule"),
    [
        ("workers", -1, "workers must be an integer from 0"),
        ("workers", 2.5, "workers must be an integer"),
        ("workers", "4", "workers must be an integer"),
        ("workers", True, "workers must be an integer"),
        ("max_queue_size", 0, "max_queue_size must be an integer from 1"),
        ("max_queue_size", 10**9, "max_queue_size must be an integer from 1"),
        ("max_queue_size", None, "max_queue_size must be an integer"),
        ("batch_size", 0, "batch_size must be an integer from 1"),
        ("batch_size", -3, "batch_size must be an integer from 1"),
        ("seed", -1, "seed must be an integer from 0"),
        ("framework", "caffe", "framework must be one of 'numpy', 'torch', 'tensorflow', 'jax'"),
        ("device", "tpu", "device must be None"),
    ],
)
def test_arguments_out_of_range(option, value, rule):
    refused(rf"{rule}.*Received: .*{value}", errors.ArgumentError, Batches(3), **{option: value})


class WithoutLength:
    def __getitem__(self, index):
        return index


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("text", "str"),
        (b"bytes", "bytes"),
        ({}, "a dict of nothing"),
        ({"x": [1, 2], "y": "b"}, "a dict of list, str"),
        (7, "int"),
        (None, "NoneType"),
        (WithoutLength(), "WithoutLength, which has no __len__"),
    ],
)
def test_what_is_no_source(source, shown):
    refused(rf"^A source is an object.* Received: {shown}$", errors.SourceError, source)


@pytest.mark.parametrize("kind", [{"workers": 1}, {"workers": 0}])
@pytest.mark.parametrize("made", [7, None])
def test_a_function_that_does_not_yield(made, kind):
    refused(
        rf"is called once an epoch.*`yield` missing\? Received: {type(made).__name__}",
        errors.SourceError,
        lambda: made,
        **kind,
    )


def test_an_environment_that_workers_could_not_have():
    for wrong in ({"OMP_NUM_THREADS": 2}, {2: "2"}, "OMP_NUM_THREADS=2"):
        refused("worker_env maps names.*Received: w", errors.ArgumentError, [1], worker_env=wrong)


def test_a_class_in_the_place_of_an_object():
    refused(r"Batches is a class.*Batches\(\.\.\.\)", errors.SourceError, Batches)


def test_a_source_of_length_0():
    refused("Batches is empty", errors.SourceError, Batches(0))
    refused("list is empty", errors.SourceError, [])
    refused("at least 1", errors.SourceError, np.empty((0, 3)), batch_size=2)


def test_a_length_that_raises_reaches_the_user_as_it_is():
    class Broken(Batches):
        def __len__(self):
            raise OSError("no such folder")

    with pytest.raises(OSError, match="no such folder"):
        Loader(Broken(3))


class Holder(Batches):
    def __init__(self, **attributes):
        super().__init__(3)
        self.__dict__.update(attributes)


@pytest.mark.parametrize(
    ("attribute", "value", "path"),
    [
        ("lock", threading.Lock(), r"Holder\.lock is a _thread\.lock"),
        ("rows", (i for i in range(3)), r"Holder\.rows is a builtins\.generator"),
        ("deep", {"a": [1, threading.Lock()]}, r"Holder\.deep\['a'\]\[1\] is a _thread\.lock"),
        ("inner", Holder(lock=threading.Lock()), r"Holder\.inner\.lock is a _thread\.lock"),
    ],
)
def test_an_attribute_that_cannot_be_sent_is_named(attribute, value, path):
    source = Holder(**{attribute: value})
    refused(path + ".*use_multiprocessing=False", errors.SourceNotPicklable, source, workers=2)


def test_an_open_file_that_cannot_be_sent_is_named(tmp_path):
    with open(tmp_path / "file", "w") as file:
        refused(r"Holder\.log is a _io\.TextIOWrapper", errors.SourceNotPicklable, Holder(log=file))


def test_a_closure_that_cannot_be_sent_is_named():
    lock = threading.Lock()

    def rows():
        with lock:
            yield np.ones(3)

    refused("rows closes over lock, which is a _thread.lock", errors.SourceNotPicklable, rows)


@pytest.mark.parametrize("workers", [2, 4])
def test_an_iterator_cannot_be_shared_by_processes(workers):
    def rows():
        yield np.ones(3)

    refused(
        "A generator lives in this process.*Pass the generator function itself",
        errors.ArgumentError,
        rows(),
        workers=workers,
        use_multiprocessing=True,
    )


class HasClassAttribute:
    lock = threading.Lock()

    def __len__(self):
        return 3

    def __getitem__(self, index):
        return np.ones(3)


def test_a_class_attribute_that_cannot_be_sent_is_named():
    class Local(HasClassAttribute):  # cannot be imported by workers, so it travels by value
        other = threading.Lock()

    refused(r"Local\.other is a _thread\.lock", errors.SourceNotPicklable, Local())


def test_an_iterator_that_is_used_up_says_so():
    with Loader(iter([np.ones(2)] * 3)) as loader:
        assert len(list(loader)) == 3
        with pytest.raises(errors.SourceExhausted, match=r"used up.*generator function itself"):
            iter(loader)


def test_an_iterator_that_was_used_up_before_says_so():
    used = iter([np.ones(2)] * 3)
    list(used)
    refused("used up", errors.SourceExhausted, used)


@pytest.mark.parametrize("kind", [{"workers": 1}, {"workers": 0}])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_none_in_the_place_of_a_batch(kind, batch_size):
    refused(
        r"Items\.__getitem__ returned None for index 3 \(epoch 0\).*`return` missing",
        errors.SourceError,
        Items(lambda i: None if i == 3 else np.ones(1)),  # of samples in batch 1
        batch_size=batch_size,
        **kind,
    )


def test_samples_of_different_shapes():
    refused(
        r"index 1, epoch 0.*sample 1 is float64\[3\], sample 0 is float64\[2\].*Pad or crop",
        errors.SourceError,
        Items(lambda i: np.ones(2 if i < 3 else 3)),
        batch_size=2,
        workers=1,
    )


def test_samples_of_different_dtypes():
    refused(
        r"sample 1 is float32\[2\], sample 0 is float64\[2\].*one dtype \(astype\)",
        errors.SourceError,
        Items(lambda i: np.ones(2, "f4" if i == 3 else "f8")),
        batch_size=2,
        workers=1,
    )


def test_samples_of_different_structures():
    refused(
        r"sample 1 is \(float64\[2\], int64\[\]\), sample 0 is float64\[2\]",
        errors.SourceError,
        Items(lambda i: np.ones(2) if i == 0 else (np.ones(2), 1)),
        batch_size=4,
        workers=1,
    )


class OnGpu:
    """Looks like an array of CuPy."""

    shape = (2,)
    __cuda_array_interface__ = {"shape": (2,), "typestr": "<f4", "data": (0, False), "version": 3}

    def __array__(self, dtype=None, copy=None):
        raise TypeError("implicit conversion is not allowed")


class OnGpuByDlpack:
    """Looks like a tensor of a framework that has DLPack alone."""

    def __dlpack_device__(self):
        return (2, 0)


@pytest.mark.parametrize("array", [OnGpu, OnGpuByDlpack])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_arrays_on_a_gpu(array, batch_size):
    refused(
        rf"a [\w.]*{array.__name__} that lies on a GPU.*return NumPy arrays",
        errors.SourceError,
        Items(lambda i: (np.ones(2), array())),
        batch_size=batch_size,
        workers=1,
    )


@pytest.mark.parametrize(
    ("later", "shown"),
    [
        ((np.ones(2), np.ones(2)), r"\(float64\[2\], float64\[2\]\) instead of"),
        ({"x": np.ones(2)}, r"\{'x': float64\[2\]\} instead of"),
        (np.ones(2, "float32"), r"float32\[2\] instead of float64\[2\]"),
        (np.ones((2, 2)), r"float64\[2, 2\] instead of float64\[2\]"),
        ("text", r"str instead of"),
    ],
)
def test_a_structure_that_changes(later, shown):
    with Loader(Items(lambda i: later if i == 2 else np.ones(2)), workers=2) as loader:
        found = outcomes(loader)
    assert [type(x) for x in found].index(errors.StructureChanged) == 2
    assert len(found) == 4  # and the batches after it still come
    with pytest.raises(errors.StructureChanged, match=r"index 2 has another structure.*" + shown):
        raise found[2]


def test_objects_that_cannot_travel():
    refused(
        r"object that cannot travel between processes: cannot pickle '_thread.lock'.*\(.*lock\)",
        errors.SourceError,
        Items(lambda i: (np.ones(2), threading.Lock())),
        workers=1,
    )


def test_a_worker_that_calls_exit():
    with Loader(Items(lambda i: exit(3) if i == 1 else np.ones(2)), workers=2) as loader:
        found = outcomes(loader)
        assert loader.stats().worker_restarts == 0
    assert [isinstance(x, Exception) for x in found] == [False, True, False, False]
    with pytest.raises(errors.SourceError, match=r"called sys\.exit\(3\) while it made index 1"):
        raise found[1]


@pytest.fixture
def little_memory(tmp_path, monkeypatch):
    """Let the parent believe that there is no more than 1 GiB of memory."""
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/meminfo").write_text(f"MemAvailable: {GiB >> 10} kB\n")
    monkeypatch.setattr(slots, "LIMITS", str(tmp_path))
    monkeypatch.setattr(payload, "LIMITS", str(tmp_path))


def test_slots_larger_than_memory(little_memory):
    refused(
        r"14 slots of 95.4 MiB need 1.30 GiB of shared memory, but only 819.2 MiB may be used.*"
        "Lower max_queue_size",
        errors.OutOfMemory,
        Items(lambda i: np.zeros(100_000_000, "uint8")),
        workers=1,
    )


def test_slots_larger_than_memory_are_refused_before_any_work_if_the_size_is_known(little_memory):
    class Specified(Batches):
        spec = fastfeed.ArraySpec((100_000_000,), "uint8")

        def fill(self, index, out, rng):
            raise AssertionError("never called")

    with pytest.raises(errors.OutOfMemory, match=r"14 slots of 95\.4 MiB need 1\.30"):
        Loader(Specified(3), workers=1)


def test_a_source_larger_than_memory(little_memory):
    refused(
        r"needs 953.7 MiB of shared memory, but only 819.2 MiB.*numpy\.memmap",
        errors.OutOfMemory,
        Holder(data=np.empty(GiB - 73_741_824, "uint8")),  # never touched: takes no memory
        workers=1,
    )


def test_a_batch_that_outgrows_memory_is_delivered_or_refused_but_never_hangs(little_memory):
    source = Items(lambda i: np.zeros(100_000_000 if i == 2 else 10, "uint8"))
    with (
        pytest.warns(UserWarning, match="larger than its slot"),
        Loader(source, workers=1) as loader,
    ):
        found = outcomes(loader)
    assert [type(x) for x in found] == [np.ndarray, np.ndarray, errors.OutOfMemory, np.ndarray]


def test_a_first_batch_larger_than_memory(little_memory, tmp_path):
    def make(index):
        from fastfeed.workers import child

        child.LIMITS = str(tmp_path)  # in the worker
        return np.zeros(GiB, "uint8") if index == 0 else np.zeros(10, "uint8")

    with Loader(Items(make), workers=1) as loader:
        found = outcomes(loader)
    assert [len(x) for x in found[1:]] == [10, 10, 10]
    with pytest.raises(errors.OutOfMemory, match=r"1\.00 GiB.*only 819\.2 MiB.*Lower the batch"):
        raise found[0]


def test_a_generator_function_with_unknown_parameters():
    def rows(folder, shard, num_shards):
        yield folder

    refused(r"needs the arguments \['folder'\].*functools\.partial", errors.SourceError, rows)


def test_a_stream_cannot_be_shuffled():
    refused("cannot be shuffled", errors.ArgumentError, itertools.count, shuffle=True)


def test_drop_last_that_leaves_nothing():
    refused("leaves no batch", errors.SourceError, Items(int), batch_size=5, drop_last=True)


def test_arrays_of_different_lengths():
    refused("same number of rows", errors.SourceError, (np.ones(3), np.ones(4)), batch_size=2)


def test_arrays_without_a_batch_size():
    refused("say how many make a batch", errors.ArgumentError, np.ones((5, 2)))
