"""Sources for the tests: batch i is the same wherever and whenever it is made.

Workers import this module, and so nothing of Keras, which would cost each of them 2 to 5 s.
"""

import os

import numpy as np

BACKEND = os.environ.get("KERAS_BACKEND", "")  # set by conftest.py, or for a run on another one

WORKERS = {
    "calling thread": {"workers": 0},
    "thread": {},
    "threads": {"workers": 2},
    "processes": {"workers": 2, "use_multiprocessing": True},
}


def batch(index, rows=6):
    """Return x float32 (rows, 4), x[0, 0] being `index`, and one-hot y float32 (rows, 3)."""
    rng = np.random.default_rng(index)
    x = rng.standard_normal((rows, 4)).astype("float32")
    x[0, 0] = index
    return x, np.eye(3, dtype="float32")[rng.integers(0, 3, rows)]


class Batches:
    """A Sequence by its looks: `length` batches, the last one shorter."""

    def __init__(self, length=10):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return batch(index, 6 if index < self.length - 1 else 4)


class Failing(Batches):
    """Raises at index 5."""

    def __getitem__(self, index):
        if index == 5:
            raise LookupError("no picture number 5")
        return super().__getitem__(index)


class Numbered(Batches):
    """Every number of batch i is i."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        x[:] = index
        return x, y


class Weighted(Batches):
    """Carries its own sample weights."""

    def __getitem__(self, index):
        x, y = super().__getitem__(index)
        return x, y, np.linspace(0.5, 2, len(y), dtype="float32")


class Later(Batches):
    """Batches 100, 101 ...: not those of the training."""

    def __getitem__(self, index):
        return batch(100 + index)


class Reordering(Batches):
    """Comes in another order each epoch, as many a Sequence does; notes each hook's call."""

    def __init__(self, length=6):
        super().__init__(length)
        self.order = list(range(length))
        self.ends = 0

    def __getitem__(self, index):
        return batch(self.order[index])

    def on_epoch_end(self):
        self.ends += 1
        self.order = self.order[1:] + self.order[:1]


def endless(start=0):
    """Yield batch after batch, for ever."""
    index = start
    while True:
        yield batch(index)
        index += 1


def finite(length):
    """Yield `length` batches."""
    for index in range(length):
        yield batch(index)
