"""Wrong transforms are refused with the numbers and the cure."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fastfeed.devices import transforms as T  # noqa: N812
from fastfeed.errors import ArgumentError

ARGUMENTS: dict[str, tuple[Callable[[], Any], str]] = {
    "crop": (lambda: T.RandomCrop(0, 3), "RandomCrop's height must be an integer.*Received: 0"),
    "crop of floats": (lambda: T.RandomCrop(3, 2.5), r"width must be .* Received: 2.5"),
    "padding": (lambda: T.RandomCrop(3, 3, padding=-1), "padding must be .* from 0 to .*-1"),
    "large padding": (lambda: T.RandomCrop(3, 3, padding=2**31), "to 16777216. Received: 2147"),
    "flip": (lambda: T.RandomFlip(1.5), "between 0 and 1. Received: 1.5"),
    "flip of nan": (lambda: T.RandomFlip(float("nan")), "between 0 and 1. Received: nan"),
    "flip of text": (lambda: T.RandomFlip("often"), "between 0 and 1. Received: 'often'"),
    "std": (lambda: T.Normalise(0, [1, 0]), r"std must be positive. Received: \[1, 0\]"),
    "mean": (lambda: T.Normalise([[1]], 1), "mean must be a finite number of float32, or"),
    "no numbers": (lambda: T.Normalise([], 1), "mean must be a finite number of float32, or"),
    "small std": (lambda: T.Normalise(0, 1e-40), "std must be positive. Received: 1e-40"),
    "large factor": (lambda: T.Scale(1e39), "factor must be a finite number of float32.*1e.39"),
    "factor": (lambda: T.Scale(float("inf")), "factor must be a finite number.*inf"),
    "offset": (lambda: T.Scale(1, "a"), "offset must be a finite number.*'a'"),
    "cast": (lambda: T.Cast("complex64"), "dtype must be one of bool, int8.*'complex64'"),
    "cast to nothing": (lambda: T.Cast("flaot16"), "dtype must be one of .*'flaot16'"),
    "cast to None": (lambda: T.Cast(None), "dtype must be one of .* Received: None"),
    "byte order": (lambda: T.Cast(">f4"), "dtype must be one of .*'>f4'"),
    "classes": (lambda: T.OneHot(0), "classes must be an integer from 1 to 16777216. Received: 0"),
    "mixup": (lambda: T.Mixup(0), "alpha must be a positive number. Received: 0"),
    "mixup of nan": (lambda: T.Mixup(float("nan")), "alpha must be .* Received: nan"),
    "no op": (lambda: T.Augment([np.flip]), "images must be a list of ops.*Received: .*flip"),
    "a class": (lambda: T.Augment([T.ChannelsFirst]), "images must be a list of ops"),
    "one-hot images": (lambda: T.Augment([T.OneHot(3)]), "images must be .*RandomCrop.*OneHot"),
    "flipped labels": (lambda: T.Augment(labels=[T.RandomFlip()]), "labels must be .*OneHot, "),
    "mixup's place": (lambda: T.Augment([T.Mixup(1)]), "images must be a list of ops"),
    "mixup's alpha": (lambda: T.Augment(mixup=0.2), r"Mixup\(0.2\). Received: 0.2"),
    "nothing to do": (lambda: T.Augment(), "needs ops for images or labels, or a mixup"),
    "equal keys": (lambda: T.Augment(mixup=T.Mixup(1), label_key=0), "must differ. Received: 0"),
    "key": (lambda: T.Augment([T.Cast("u1")], image_key=[0]), r"image_key must be .*\[0\]"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments(case: str) -> None:
    make, message = ARGUMENTS[case]
    with pytest.raises(ArgumentError, match=message):
        make()


def augment(*images: Any, **options: Any) -> T.Augment:
    return T.Augment(list(images), **options)


X, Y = np.zeros((4, 8, 8, 3), np.uint8), np.arange(4)
FLOAT = T.Cast("float32")
BATCHES: dict[str, tuple[T.Augment, Any, str]] = {
    "crop": (
        augment(T.RandomCrop(9, 8)),
        (X,),
        r"RandomCrop\(height=9, width=8, padding=0\) cannot be applied.*uint8\[4, 8, 8, 3\]",
    ),
    "crop after crop": (
        augment(T.RandomCrop(4, 4), T.RandomCrop(4, 5)),
        (X,),
        r"width=5.*Received: uint8\[4, 4, 4, 3\]",
    ),
    "crop of nothing": (
        augment(T.RandomCrop(1, 1, padding=1)),
        (X[:, :0],),
        r"cannot be applied.*uint8\[4, 0, 8, 3\]",
    ),
    "channels": (
        augment(T.Normalise([1, 2], 1)),
        (X,),
        r"numbers for 2 channels, the array has 3.*uint8\[4, 8, 8, 3\]",
    ),
    "deviations": (augment(T.Normalise([1, 2], [1, 2, 3])), (X,), "numbers for 2 channels"),
    "no channels": (
        augment(T.Scale([1, 2, 3])),
        (X[..., 0],),
        r"numbers for 3 channels, the array has 1.*uint8\[4, 8, 8\]",
    ),
    "twice": (augment(T.ChannelsFirst(), T.ChannelsFirst()), (X,), "leave it out.*4, 3, 8, 8"),
    "grey": (augment(T.ChannelsFirst()), (X[..., 0],), r"images\[..., None\].*\[4, 8, 8\]"),
    "float labels": (
        augment(labels=[T.OneHot(3)]),
        (X, Y.astype(float)),
        r"OneHot.*labels must be integers.*Cast.*Received: float64\[4\]",
    ),
    "no images": (augment(FLOAT), (Y, X), r"Images must be of shape.*image_key.*int64\[4\]"),
    "no array": (augment(FLOAT, image_key="x"), {"image": X}, r"image_key='x' names no array.*'im"),
    "a tuple": (augment(FLOAT), ((X, Y), Y), "image_key=0 names no array of the batch"),
    "text": (augment(labels=[T.OneHot(3)]), (X, "cat"), "label_key=1 names no array of the batch"),
    "no axis": (augment(labels=[T.OneHot(3)]), (X, np.array(3)), "has no axis of samples"),
    "texts": (augment(labels=[T.OneHot(3)]), (X, np.array(["cat"])), r"Convert it.*<U3\[1\]"),
    "byte order": (augment(FLOAT), (X.astype(">f4"),), r"byte order.*>f4\[4, 8, 8, 3\]"),
    "complex": (augment(FLOAT), (X.astype(complex),), r"Convert it in the source.*complex128"),
    "mixed integers": (
        augment(labels=[T.OneHot(4)], mixup=T.Mixup(1)),
        (X, Y),
        r'Mixup mixes floats only. Add Cast\("float32"\) to images. Received: uint8',
    ),
    "mixed labels": (
        augment(FLOAT, mixup=T.Mixup(1)),
        (X, Y),
        r"Mixup mixes floats only. Add OneHot to labels. Received: int64\[4\]",
    ),
    "fewer labels": (
        augment(FLOAT, labels=[T.OneHot(4)], mixup=T.Mixup(1)),
        (X, Y[:3]),
        r"as many labels as images. Received: float32\[4, 8, 8, 3\] and float32\[3, 4\]",
    ),
}


@pytest.mark.parametrize("case", BATCHES)
def test_batches(case: str) -> None:
    made, batch, message = BATCHES[case]
    with pytest.raises(ArgumentError, match=message):
        made.on_host(batch, seed=0, epoch=0, index=0)


def test_bfloat16_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    with pytest.raises(ArgumentError, match="pip install ml_dtypes"):
        T.Cast("bfloat16")


def test_one_op_needs_no_list() -> None:
    assert T.Augment(T.RandomFlip()).images == (T.RandomFlip(),)


def test_ops_show_their_arguments() -> None:
    made = T.Augment([T.RandomCrop(2, 3), T.Normalise(1, [2, 3, 4])], T.OneHot(3), T.Mixup(0.2))
    assert "RandomCrop(height=2, width=3, padding=0)" in repr(made)
    assert "Normalise(mean=(1.0,), std=(2.0, 3.0, 4.0))" in repr(made)
    assert "mixup=Mixup(alpha=0.2)" in repr(made)
