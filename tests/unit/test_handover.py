"""Batches are the slot's own memory, for as long as anybody can see them, and no longer."""

from __future__ import annotations

import collections
import threading
import warnings
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from unit_sources import Batches, private, same

import fastfeed
from fastfeed import _core
from fastfeed.devices.handover import DLPACK_TYPES, FRAMEWORKS

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # TensorFlow's

ROWS = (np.arange(4000.0, dtype=np.float32).reshape(500, 8), np.arange(500, dtype=np.int32))
OPTIONS: dict[str, Any] = {"batch_size": 10, "max_queue_size": 2}


def slots(loader: fastfeed.Loader) -> _core.Segment:
    """The segment that batches lie in."""
    return loader._engine._slots._segments[loader._engine._slots._current]


def in_use(loader: fastfeed.Loader) -> int:
    """Slots that a batch holds, without those of tickets."""
    return slots(loader).in_use - slots(loader).bound


def address(tensor: Any) -> int:
    """Where a tensor's bytes lie."""
    if hasattr(tensor, "data_ptr"):
        return int(tensor.data_ptr())
    if hasattr(tensor, "unsafe_buffer_pointer"):
        return int(tensor.unsafe_buffer_pointer())
    return np.asarray(memoryview(tensor)).ctypes.data


def offset_in_slots(tensor: Any, loader: fastfeed.Loader) -> int:
    """How far behind the start of the slots it lies."""
    return address(tensor) - np.frombuffer(slots(loader), np.uint8).ctypes.data


@pytest.fixture(params=FRAMEWORKS)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("workers", [0, 2])
def test_tensors_lie_in_the_slots(framework: str, workers: int) -> None:
    with fastfeed.Loader(ROWS, framework=framework, workers=workers, **OPTIONS) as loader:
        stride = slots(loader).stride
        for number, (x, y) in enumerate(loader):
            offset = offset_in_slots(x, loader)
            assert offset % stride == 0
            assert 0 <= offset < len(slots(loader))
            assert offset_in_slots(y, loader) == offset + 10 * 8 * 4
            assert np.asarray(y).tolist() == list(range(number * 10, number * 10 + 10))


def test_tensors_of_processes_lie_in_the_slots(framework: str) -> None:
    source = Batches(lambda index: np.full((3, 5), index, np.float32), 8)
    with fastfeed.Loader(source, framework=framework, workers=2) as loader:
        batches = iter(loader)
        next(batches), next(batches)  # in segments of their own, until the size is known
        for index, x in enumerate(batches, 2):
            assert 0 <= offset_in_slots(x, loader) < len(slots(loader))
            assert (np.asarray(x) == index).all()


@pytest.mark.parametrize("name", DLPACK_TYPES)
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 3)])
def test_every_dtype_that_frameworks_have(
    framework: str, name: str, shape: tuple[int, ...]
) -> None:
    dtype = np.dtype(ml_dtypes.bfloat16 if name == "bfloat16" else name)
    given = np.ones(shape, dtype)
    with fastfeed.Loader([given], framework=framework, workers=0) as loader:
        (received,) = loader
    assert type(received).__module__.partition(".")[0].removesuffix("lib") == framework
    assert tuple(received.shape) == shape
    if framework == "jax" and dtype.itemsize // (1 + (dtype.kind == "c")) == 8:
        return  # as long as its 64-bit mode is off, JAX makes 32 bits of them
    assert str(received.dtype).endswith(name) or name in repr(received.dtype)
    if name != "bfloat16":  # NumPy can read that only from TensorFlow and JAX
        assert same(np.asarray(received).copy(), given)


def test_what_no_framework_has_stays_an_array(framework: str) -> None:
    batch = {"text": np.array(["a", "bc"]), "day": np.array(["2020-02-29"], "M8[D]"), "raw": None}
    with fastfeed.Loader([batch], framework=framework, workers=0) as loader:
        (received,) = loader
    assert same(private(received), batch)


def test_the_other_byte_order_is_turned_round(framework: str) -> None:
    given = np.arange(6, dtype=">i4").reshape(2, 3)
    with fastfeed.Loader([given], framework=framework, workers=0) as loader:
        (received,) = loader
    assert np.asarray(received).tolist() == given.tolist()
    assert type(received).__module__.partition(".")[0].removesuffix("lib") == framework


def test_tensors_stay_valid_while_the_loop_goes_on_and_after_the_end(framework: str) -> None:
    loader = fastfeed.Loader(ROWS, framework=framework, **OPTIONS)
    batches = iter(loader)
    kept = [next(batches) for _ in range(3)]
    collections.deque(batches, maxlen=0)
    loader.close()
    assert _core.segments_alive() > 0
    for number, (x, y) in enumerate(kept):
        rows = slice(number * 10, number * 10 + 10)
        assert np.array_equal(np.asarray(x), ROWS[0][rows])
        assert np.array_equal(np.asarray(y), ROWS[1][rows])


def test_a_slot_is_free_as_soon_as_its_tensors_are_gone(framework: str) -> None:
    with fastfeed.Loader(ROWS, framework=framework, **OPTIONS) as loader:
        batches = iter(loader)
        x, y = next(batches)
        other = next(batches)
        assert in_use(loader) == 2
        del other
        assert in_use(loader) == 1
        del x
        assert in_use(loader) == 1
        del y
        assert in_use(loader) == 0


@pytest.mark.parametrize(
    ("framework", "part"),
    [
        ("numpy", lambda x: x[2:4, ::2].T),
        ("numpy", lambda x: memoryview(x)),
        ("torch", lambda x: x[2:4, ::2].T),
        ("torch", lambda x: x.numpy()),
        ("jax", np.asarray),
        ("tensorflow", lambda x: memoryview(x)),
    ],
)
def test_a_view_of_a_tensor_keeps_the_slot(framework: str, part: Callable[[Any], Any]) -> None:
    with fastfeed.Loader(ROWS[0], framework=framework, **OPTIONS) as loader:
        batches = iter(loader)
        x = next(batches)
        view = part(x)
        before = np.array(view)
        del x
        assert in_use(loader) == 1
        collections.deque(batches, maxlen=0)
        assert np.array_equal(np.array(view), before)
        del view
        assert in_use(loader) == 0


def test_the_last_user_may_leave_in_another_thread(framework: str) -> None:
    with fastfeed.Loader(ROWS, framework=framework, **OPTIONS) as loader:
        batch = [next(iter(loader))]
        thread = threading.Thread(target=batch.clear)
        thread.start()
        thread.join()
        assert in_use(loader) == 0


# -- a user who keeps many ------------------------------------------------------------------


def test_a_list_of_all_batches_is_right_and_is_told_of_once(framework: str) -> None:
    with fastfeed.Loader(ROWS, framework=framework, **OPTIONS) as loader:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            batches = list(loader)
            again = list(loader)
        texts = [str(w.message) for w in caught if "handed out as copies" in str(w.message)]
        assert len(texts) == 1
        for received in (batches, again):
            assert np.array_equal(np.concatenate([np.asarray(x) for x, _ in received]), ROWS[0])
            assert np.array_equal(np.concatenate([np.asarray(y) for _, y in received]), ROWS[1])
        del batches, again, received
        assert in_use(loader) == 0
        x, _ = next(iter(loader))  # and without a copy again
        assert 0 <= offset_in_slots(x, loader) < len(slots(loader))


def test_copies_lie_at_multiples_of_64_bytes_too() -> None:
    source = Batches(lambda index: [np.full(n, index, np.int8) for n in (1, 65, 130)], 40)
    with fastfeed.Loader(source, workers=2) as loader, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batches = list(loader)
    addresses = [array.ctypes.data for batch in batches for array in batch]
    assert {address % 64 for address in addresses} == {0}
    assert len(set(addresses)) == 120
    assert all((array == i).all() for i, batch in enumerate(batches) for array in batch)


def test_jax_compiles_a_step_once_although_it_reads_its_own_results() -> None:
    jax = pytest.importorskip("jax")
    step = jax.jit(lambda total, x: total + x.sum())
    total = jax.numpy.zeros(())
    with fastfeed.Loader(ROWS, framework="jax", **OPTIONS) as loader:
        for x, _ in loader:
            total = step(total, x)
    assert total == ROWS[0].sum()
    assert step._cache_size() == 1


# -- nobody reads what is no longer his ----------------------------------------------------


def use_of(framework: str) -> Callable[[Any], Any]:
    """Some work with a tensor whose result is a new one, perhaps later."""
    if framework == "jax":
        import jax

        return jax.jit(lambda x: x * 2)
    return lambda x: x * 2


def test_a_live_batch_never_shows_the_poison_of_a_free_slot(
    framework: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FASTFEED_DEBUG", "1")
    use = use_of(framework)
    with fastfeed.Loader(ROWS, framework=framework, workers=2, **OPTIONS) as loader:
        for _ in range(4):
            results = [(use(x), use(y)) for x, y in loader]
            assert np.array_equal(np.concatenate([r[0] for r in results]), ROWS[0] * 2)
            assert np.array_equal(np.concatenate([r[1] for r in results]), ROWS[1] * 2)


def test_a_free_slot_is_poisoned_when_debugging(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTFEED_DEBUG", "1")
    with fastfeed.Loader(ROWS, workers=0, **OPTIONS) as loader:
        x, y = next(iter(loader))
        start = offset_in_slots(x, loader)
        del x, y
        stride = slots(loader).stride
        assert bytes(memoryview(slots(loader))[start : start + stride]) == b"\xff" * stride
