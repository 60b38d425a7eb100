"""One cell of the seed table, in a process of its own: one way of loading, for some epochs.

``python -m bench.seed_cell CELL`` prints a line of JSON. ``KERAS_BACKEND`` says what Keras runs on;
without a backend in the cell there is no model: the batches are taken and dropped.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import fastfeed
from bench.seed_source import KINDS, Pictures

QUEUE = 10

IN_MEMORY = "in memory"
ALONE = "Sequence, workers=0"
THREADS = "Sequence, workers={workers}"
PROCESSES = "Sequence, workers={workers}, use_multiprocessing=True"
OUR_THREADS = "fastfeed, workers={workers}"
OUR_PROCESSES = "fastfeed, workers={workers}, use_multiprocessing=True"
OURS = (OUR_THREADS, OUR_PROCESSES)


@dataclass(frozen=True)
class Cell:
    """What to run; travels as JSON on the command line.

    Parameters
    ----------
    way : str
        One of the names above.
    backend : str
        Keras's; empty: no model.
    folder : str
        The JPEG files.
    side, alpha : int, float
        Size of MobileNetV2's input and width.
    batch, epochs, workers : int
    """

    way: str
    backend: str
    folder: str
    side: int
    alpha: float
    batch: int
    epochs: int
    workers: int

    def dumps(self) -> str:
        """Return the cell as JSON."""
        return json.dumps(asdict(self))


def train(cell: Cell, source: Pictures) -> dict[str, Any]:
    """Train MobileNetV2 from random weights; return seconds, those of each epoch, waiting."""
    import keras

    class Epochs(keras.callbacks.Callback):
        async_safe = True

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.begin = time.perf_counter()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seconds.append(time.perf_counter() - self.begin)

    seconds: list[float] = []
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2(
        (cell.side, cell.side, 3), alpha=cell.alpha, weights=None, classes=KINDS
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    begin = time.perf_counter()
    options = {"epochs": cell.epochs, "shuffle": False, "verbose": 0, "callbacks": [Epochs()]}
    logs = _fit(cell, model, source, options).history
    return {
        "seconds": time.perf_counter() - begin,
        "epochs": seconds,
        "data_wait": logs.get("data_wait"),
        "loss": logs["loss"][-1],
    }


def _fit(cell: Cell, model: Any, source: Pictures, options: dict[str, Any]) -> Any:
    """Make the one call that differs; decoding into memory belongs to it."""
    if cell.way == IN_MEMORY:
        x, y = source.arrays()
        return model.fit(x, y, batch_size=cell.batch, **options)
    ahead = {"workers": cell.workers, "max_queue_size": QUEUE}
    if cell.way in OURS:
        processes = cell.way == OUR_PROCESSES
        return fastfeed.fit_generator(
            model, source, use_multiprocessing=processes, **ahead, **options
        )
    from bench.rivals.keras_fit import Dataset

    if cell.way == ALONE:
        ahead["workers"] = 0
    return model.fit(Dataset(source, use_multiprocessing=cell.way == PROCESSES, **ahead), **options)


def load(cell: Cell, source: Pictures) -> dict[str, Any]:
    """Take all batches and drop them; return seconds and those of each epoch."""
    if cell.way not in OURS:
        import bench.rivals.keras_pydataset  # noqa: F401 (before the clock: it imports Keras)
    seconds = []
    begin = time.perf_counter()
    with _opened(cell, source) as batches:
        for _ in range(cell.epochs):
            begin_of_epoch = time.perf_counter()
            taken = 0
            for batch in batches:
                del batch
                taken += 1
            if taken != len(source):
                raise AssertionError(f"an epoch of {len(source)} batches gave {taken}")
            seconds.append(time.perf_counter() - begin_of_epoch)
    return {"seconds": time.perf_counter() - begin, "epochs": seconds}


@contextmanager
def _opened(cell: Cell, source: Pictures) -> Iterator[Any]:
    if cell.way in OURS:
        processes = cell.way == OUR_PROCESSES
        with fastfeed.Loader(
            source, workers=cell.workers, max_queue_size=QUEUE, use_multiprocessing=processes
        ) as loader:
            yield loader
        return
    from bench.rivals.keras_pydataset import opened  # it settles Keras's backend: numpy

    workers = 0 if cell.way == ALONE else cell.workers
    option = "processes" if cell.way == PROCESSES else "threads"
    with opened(source, workers, QUEUE, option) as epochs:
        yield epochs


def main() -> None:
    """Run the cell of the command line."""
    cell = Cell(**json.loads(sys.argv[1]))
    source = Pictures(cell.folder, cell.side, cell.batch)
    run: Callable[[Cell, Pictures], dict[str, Any]] = train if cell.backend else load
    print(json.dumps(run(cell, source)))


if __name__ == "__main__":
    main()
