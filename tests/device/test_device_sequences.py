"""Random sequences of what a training script may do with a simulated GPU, against a model."""

from __future__ import annotations

import dataclasses
import functools
import gc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from device_support import KINDS, Batches, index_of, made_by_hand, of_many_sizes, raise_at
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from leftovers import eventually
from simulated_gpu import Gpu

from fastfeed import Loader, _core

LENGTH = 7
pytestmark = pytest.mark.filterwarnings("error::UserWarning", "ignore:A batch of")


@functools.cache
def expected(grows: bool) -> list[Any]:
    return made_by_hand(Batches(LENGTH, rows=of_many_sizes if grows else 8))[0]


@dataclasses.dataclass(frozen=True)
class Setting:
    """How a loader is made."""

    kind: str
    ordered: bool
    shuffle: bool
    grows: bool
    raising: frozenset[int]
    ahead: int
    queue: int

    def loader(self) -> Loader:
        rows = of_many_sizes if self.grows else 8
        return Loader(
            Batches(LENGTH, raise_at(*self.raising), rows=rows),
            device="cuda",
            ordered=self.ordered or self.kind == "caller",
            shuffle=self.shuffle,
            max_queue_size=self.ahead,
            device_queue_size=self.queue,
            **KINDS[self.kind],
        )


settings_of_loaders = st.builds(
    Setting,
    kind=st.sampled_from(["threads", "threads", "caller", "processes"]),
    ordered=st.booleans(),
    shuffle=st.booleans(),
    grows=st.booleans(),
    raising=st.frozensets(st.integers(0, LENGTH - 1), max_size=3),
    ahead=st.integers(1, 6),
    queue=st.integers(1, 4),
)
steps = st.one_of(
    st.just(("begin", 0)),
    st.tuples(st.just("take"), st.integers(1, 9)),
    st.tuples(st.just("take and keep"), st.integers(1, 9)),
    st.tuples(st.just("take and read late"), st.integers(1, 9)),
    st.tuples(st.just("drop"), st.integers(0, 5)),
)


class Model:
    """What is to come, and what was kept."""

    def __init__(self, gpu: Gpu, setting: Setting, loader: Loader) -> None:
        self.gpu = gpu
        self.setting = setting
        self.loader = loader
        self.kept: list[tuple[int, Any]] = []
        self.late: list[tuple[int, Any]] = []
        self.batches: Iterator[Any] = iter(loader)
        self.seen: list[int] = []

    def begin(self, _: int) -> None:
        self.batches = iter(self.loader)
        self.seen = []

    def take(self, count: int) -> None:
        for _ in range(count):
            self._next()

    def take_and_keep(self, count: int) -> None:
        for _ in range(count):
            self.kept += self._next()

    def take_and_read_late(self, count: int) -> None:
        for _ in range(count):
            for index, batch in self._next():
                self.late.append((index, batch[1].kernel(1000)))

    def drop(self, place: int) -> None:
        if self.kept:
            del self.kept[place % len(self.kept)]

    def _next(self) -> list[tuple[int, Any]]:
        try:
            batch = next(self.batches)
        except StopIteration:
            assert sorted(self.seen) == list(range(LENGTH))
            return []
        except KeyError as error:
            index = int(str(error).strip("'").removeprefix("item "))
            assert index in self.setting.raising
            self._see(index)
            return []
        index = index_of(batch)
        assert index not in self.setting.raising
        self._see(index)
        self.check(index, batch)
        return [(index, batch)]

    def _see(self, index: int) -> None:
        assert index not in self.seen
        if self.setting.ordered and not self.setting.shuffle:
            assert index == len(self.seen)
        self.seen.append(index)

    def check(self, index: int, batch: Any) -> None:
        for part, wanted in zip(batch, expected(self.setting.grows)[index], strict=True):
            np.testing.assert_array_equal(np.asarray(part), wanted)

    def finish(self) -> None:
        for index, batch in self.kept:
            self.check(index, batch)
        self.gpu.synchronise()
        for index, checksum in self.late:
            noise = expected(self.setting.grows)[index][1]
            assert checksum.value == self.gpu.checksum(noise.tobytes())


@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(setting=settings_of_loaders, what=st.lists(steps, max_size=12), closes_first=st.booleans())
def test_whatever_is_done_each_batch_is_right_in_its_place_and_nothing_is_left(
    gpu: Gpu, setting: Setting, what: list[tuple[str, int]], closes_first: bool
) -> None:
    loader = setting.loader()
    try:
        model = Model(gpu, setting, loader)
        for name, argument in what:
            getattr(model, name.replace(" ", "_"))(argument)
        if closes_first:
            loader.close()
        model.finish()
    finally:
        loader.close()
    del loader, model
    gc.collect()
    assert eventually(lambda: (_core.devices_alive(), _core.segments_alive()) == (0, 0))
    assert gpu.live() == 2  # the framework's own context and stream
    assert gpu.violations() == []
