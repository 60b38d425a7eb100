"""The numbers that a loader is given."""

from __future__ import annotations

import numpy as np
import pytest
from unit_sources import fed

import fastfeed
from fastfeed.errors import ArgumentError

ROWS = np.arange(10)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("workers", -1),
        ("workers", 4095),
        ("workers", 1.0),
        ("workers", True),
        ("max_queue_size", 0),
        ("max_queue_size", None),
        ("batch_size", 0),
        ("batch_size", "4"),
        ("seed", -1),
        ("seed", 2**64),
        ("seed", None),
    ],
)
def test_a_number_out_of_range_is_refused_by_its_name(name: str, value: object) -> None:
    options = {"batch_size": 4, name: value}
    with pytest.raises(ArgumentError, match=rf"^{name} must be .* Received: {name}={value!r}"):
        fastfeed.Loader(ROWS, **options)


def test_numpy_integers_are_numbers_like_any_other() -> None:
    options = {"batch_size": 4, "workers": 0, "max_queue_size": 3, "seed": 7, "shuffle": True}
    as_numpy = {name: np.int64(value) for name, value in options.items()}
    assert [list(b) for b in fed(ROWS, **as_numpy)] == [list(b) for b in fed(ROWS, **options)]


def test_an_unknown_framework_is_refused() -> None:
    with pytest.raises(
        ArgumentError, match=r"framework must be one .* Received: framework='mxnet'"
    ):
        fastfeed.Loader(ROWS, batch_size=4, framework="mxnet")


def test_a_device_that_is_no_gpu_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"device must be None .* Received: device='tpu'"):
        fastfeed.Loader(ROWS, batch_size=4, device="tpu")


def test_drop_last_without_a_batch_size():
    with pytest.raises(ArgumentError, match=r"needs batch_size.* Received: drop_last=True"):
        fastfeed.Loader([np.zeros(2)], drop_last=True)
