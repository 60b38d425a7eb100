"""Who can be measured: one file a library, all with one function.

``opened(source, setting)`` is a context manager. What it gives is iterated once a round and yields
the source's batches in their order, as NumPy arrays or what NumPy can look at without a copy.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

from fastfeed.errors import ArgumentError
from fastfeed.workers.forkserver import LIGHT_KERAS


@dataclass(frozen=True)
class Setting:
    """What all loaders are given.

    Parameters
    ----------
    workers : int
        Worker processes or threads.
    queue : int
        Batches ahead of the consumer.
    option : str
        Which variant, for modules that have several.
    """

    workers: int
    queue: int
    option: str = ""


@dataclass(frozen=True)
class LoaderKind:
    """One way to load.

    Parameters
    ----------
    name : str
        On the command line and in the tables.
    module : str
        Below ``fastfeed.benchmark.loaders``.
    option : str
        See `Setting`.
    needs : str
        The module that must be installed; empty: none.
    pip : str
        What to install for it.
    environment : tuple of (str, str)
        Variables that its process needs.
    streams : bool
        Whether it can feed a generator function as it is.
    """

    name: str
    module: str
    option: str = ""
    needs: str = ""
    pip: str = ""
    environment: tuple[tuple[str, str], ...] = ()
    streams: bool = False

    @property
    def fills(self) -> bool:
        """Whether the source must have ``fill``."""
        return self.option == "fill"

    @property
    def missing(self) -> str:
        """What to say where the library is not installed; empty: it is."""
        if not self.needs or importlib.util.find_spec(self.needs):
            return ""
        return f"not installed (pip install {self.pip})"


KERAS = tuple(LIGHT_KERAS.items())
"""Its enqueuers are the same on all backends; this one starts no threads before workers fork."""

LOADERS = (
    LoaderKind("fastfeed-fill", "fastfeed_loader", "fill"),
    LoaderKind("fastfeed", "fastfeed_loader", streams=True),
    LoaderKind("fastfeed-threads", "fastfeed_loader", "threads"),
    LoaderKind("plain", "plain_loop", streams=True),
    LoaderKind("torch", "torch_loader", needs="torch", pip="torch"),
    LoaderKind("keras-threads", "keras_pydataset", "threads", "keras", "keras", KERAS),
    LoaderKind("keras-processes", "keras_pydataset", "processes", "keras", "keras", KERAS),
    LoaderKind("tf.data", "tf_data", needs="tensorflow", pip="tensorflow"),
    LoaderKind("spdl-threads", "spdl_pipeline", "threads", "spdl", "spdl"),
    LoaderKind("spdl-subprocess", "spdl_pipeline", "subprocess", "spdl", "spdl"),
    LoaderKind("grain-threads", "grain_dataset", "threads", "grain", "grain"),
    LoaderKind("grain-processes", "grain_dataset", "processes", "grain", "grain"),
)


def chosen(names: list[str]) -> list[LoaderKind]:
    """Return the loaders of these names; a library's name stands for all of its variants.

    Raises
    ------
    ArgumentError
        There is none of this name.
    """
    found: dict[str, LoaderKind] = {}
    for name in names:
        here = [kind for kind in LOADERS if kind.name == name or kind.name.startswith(f"{name}-")]
        if not here:
            known = ", ".join(kind.name for kind in LOADERS)
            raise ArgumentError(f"There is no loader {name!r}. There are: {known}.", name)
        found |= {kind.name: kind for kind in here}
    return list(found.values())
