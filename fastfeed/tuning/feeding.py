"""What is fed, and how: makes the loaders that are measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.loader import Loader
from fastfeed.recognise import Options, plan

MORE = {
    "device", "device_queue_size", "device_synchronise", "device_transform", "framework", "seed",
    "shuffle", "worker_env",
}  # fmt: skip
"""Arguments of the loader that may be given."""


@dataclass(frozen=True)
class Feeding:
    """A source and how it is to be fed; refuses what cannot be.

    Parameters
    ----------
    source : object
        What a `Loader` takes.
    memory_bytes : int
        That the slots of all ranks may take.
    batch_size : int or None
        Samples a batch; None: the source makes batches.
    threads : bool
        Workers are threads.
    ranks : int
        Training processes that share the machine.
    options : mapping
        More arguments of the loader.
    """

    source: Any
    memory_bytes: int
    batch_size: int | None = None
    threads: bool = False
    ranks: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.source, Iterator):
            raise ArgumentError(
                "An iterator serves one pass, and tuning needs many. Give the generator function "
                "itself, without calling it, or an object with __len__ and __getitem__.",
                type(self.source).__name__,
            )
        own = ", ".join(set(self.options) - MORE)
        if own:
            raise ArgumentError(
                f"Besides its own arguments tune takes these of the Loader's: "
                f"{', '.join(sorted(MORE))}. The others change nothing, or are what it finds.",
                own,
            )
        options = Options(self.batch_size, 1, self._processes)
        plan(self.source, options)  # refuses what is no source, before any time is spent

    @property
    def _processes(self) -> bool | None:
        return False if self.threads else None

    def loader(self, workers: int, ahead: int, *, ordered: bool = True) -> Loader:
        """Return a loader on the source."""
        return Loader(
            self.source,
            batch_size=self.batch_size,
            workers=workers,
            max_queue_size=ahead,
            ordered=ordered,
            use_multiprocessing=self._processes,
            **self.options,
        )


def endless(loader: Loader) -> Iterator[Any]:
    """Yield batches, epoch after epoch.

    Raises
    ------
    SourceError
        An epoch has none.
    """
    while True:
        before = loader.stats().batches
        yield from loader
        if loader.stats().batches == before:
            raise SourceError("The source has no batches: an epoch ended without any.")
