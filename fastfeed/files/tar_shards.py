"""WebDataset's tar shards, with webdataset: a stream for each worker, of its own shards."""

from __future__ import annotations

import os
import random
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, cast

from fastfeed.errors import ArgumentError, SourceError
from fastfeed.files.paths import FilePath
from fastfeed.packages import library


def webdataset(
    urls: FilePath | Sequence[FilePath],
    keys: Sequence[str],
    *,
    decode: str | Sequence[Any] = (),
    map: Callable[[Any], Any] | None = None,
    shuffle: int = 0,
) -> TarShards:
    """Read samples from tar shards, in the form of WebDataset.

    The shards are divided among the workers, those of all ranks (``Loader(shard=...)``), so no
    sample comes twice. There are no more workers than shards.

    Parameters
    ----------
    urls : str, path or list of them
        Paths or URLs of tar files; in a text, braces stand for several:
        ``"train-{000..127}.tar"``.
    keys : sequence of str
        Which of a sample's files make the sample, by their endings: ``("jpg;png", "cls")``.
    decode : str or sequence
        What `webdataset.decode` gets: ``"rgb8"`` makes uint8 arrays of images. Files that end in
        .npy, .cls, .json, .txt, ... are decoded without it.
    map : callable
        Called with each decoded sample, a tuple: for example to resize images to one shape.
    shuffle : int
        Samples come in random order out of a buffer of so many, and shards in random order: other
        ones each epoch, the same in each run with the same ``Loader(seed=...)``, but for threads,
        whose random numbers nobody seeds. 0: as they lie in the shards.

    Returns
    -------
    callable
        ``shards(shard, num_shards)`` returns an iterator of samples; a source for `Loader`.

    Raises
    ------
    SourceError
        If a local file is not there; in a worker, if there are fewer shards than ranks, a shard
        cannot be read, or a sample has none of the files that a key names.
    ArgumentError
        If `keys` are no endings, `shuffle` is no number of samples, or `map` no function.
    LibraryMissing
        webdataset is not installed.
    """
    wds = library("webdataset", "A tar shard")
    listed: Sequence[FilePath]
    if isinstance(urls, (str, os.PathLike)):
        listed = wds.shardlists.expand_urls(os.fspath(urls))
    else:
        listed = urls
    if isinstance(keys, (str, dict)) or not len(keys):
        raise ArgumentError(
            "keys are the endings of the files that make a sample: keys=('jpg', 'cls').",
            repr(keys),
        )
    if isinstance(shuffle, bool) or not hasattr(shuffle, "__index__") or shuffle < 0:
        raise ArgumentError(
            "shuffle is the number of samples to draw from, for example 1000, or 0.",
            f"shuffle={shuffle!r}",
        )
    if map is not None and not callable(map):
        raise ArgumentError("map is a function that gets a decoded sample.", f"map={map!r}")
    decode = (decode,) if isinstance(decode, str) else tuple(decode)
    return TarShards(checked([os.fspath(url) for url in listed]), tuple(keys), decode, map, shuffle)


def checked(urls: list[str]) -> list[str]:
    """Return the shards, local ones by their absolute paths: workers may run in another folder.

    Raises
    ------
    SourceError
        If one is not there.
    """
    if not urls:
        raise SourceError("There are no tar shards: the list of urls is empty.")
    found = []
    for url in urls:
        is_local = "://" not in url and not url.startswith("pipe:")
        if is_local and not os.path.isfile(url):
            raise SourceError(
                f"There is no tar shard {os.path.abspath(url)}. Check the urls. Braces stand for "
                "several, as in 'train-{000..127}.tar'; stars do not: pass "
                "sorted(pathlib.Path(...).glob('*.tar'))."
            )
        found.append(os.path.abspath(url) if is_local else url)
    return found


class TarShards:
    """Gives each worker a stream of its own shards; see `webdataset`."""

    __name__ = "webdataset"

    def __init__(
        self,
        urls: list[str],
        keys: tuple[str, ...],
        decode: tuple[Any, ...],
        map: Callable[[Any], Any] | None,
        shuffle: int,
    ) -> None:
        self._urls = urls
        self.max_shards = len(urls)
        self._keys = keys
        self._decode = decode
        self._map = map
        self._shuffle = shuffle
        self._is_sent = False

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _is_sent=True)

    def __call__(self, shard: int, num_shards: int) -> Iterator[Any]:
        """Return the samples of every `num_shards`-th shard from number `shard` on."""
        if num_shards > self.max_shards:
            raise SourceError(
                f"{num_shards} workers of all ranks share {self.max_shards} tar shards, so some "
                "have none. Write at least as many shards as there are ranks, better a multiple."
            )
        mine = self._urls[shard::num_shards]
        wds = without_torch() if self._is_sent else library("webdataset", "A tar shard")
        stages = [wds.tarfile_to_samples(), wds.decode(*self._decode), wds.map(self._chosen)]
        if self._shuffle:
            # A worker's global numbers are seeded from (seed, epoch, item): so are these.
            numbers = random.Random(random.getrandbits(64))
            numbers.shuffle(mine)
            stages.insert(1, wds.shuffle(self._shuffle, initial=self._shuffle, rng=numbers))
        if self._map is not None:
            stages.append(wds.map(self._map))
        return readable(wds.DataPipeline(wds.SimpleShardList(mine), *stages))

    def _chosen(self, sample: dict[str, Any]) -> tuple[Any, ...]:
        """Return a sample's files in the order of the keys."""
        return tuple(sample[ending_of(sample, key)] for key in self._keys)


def ending_of(sample: dict[str, Any], key: str) -> str:
    """Return the ending, of those that a key names, that the sample has.

    Raises
    ------
    SourceError
        If it has none of them.
    """
    for ending in key.split(";"):
        if ending in sample:
            return ending
    endings = ", ".join(name for name in sample if not name.startswith("__"))
    raise SourceError(
        f"The sample {sample['__key__']!r} of {sample['__url__']} has no file that ends in "
        f"{key!r}. It has: {endings or 'nothing'}. Choose keys that every sample has, or write the "
        "shards without those that are incomplete."
    )


def readable(samples: Iterable[Any]) -> Iterator[Any]:
    """Yield the samples; say of a shard that cannot be read what it is, so that it can be pickled.

    Raises
    ------
    SourceError
        If it is no tar file, or is cut off.
    """
    try:
        yield from samples
    except tarfile.TarError as error:  # its arguments: why, the open file, its URL
        raise SourceError(
            f"{error.args[-1]} is no tar file, or it is cut off ({error.args[0]}). Write or fetch "
            "it anew."
        ) from error


def without_torch() -> Any:
    """Import webdataset in a worker process, and not PyTorch with it if that is not there already.

    For its own loader it inherits from PyTorch's, and has stand-ins for where that is not
    installed. In a worker this saves 1 s of its core and 130 MB (torch 2.13, 2 cores, 2026-11-21).
    """
    if not sys.modules.keys().isdisjoint({"torch", "webdataset"}):
        return library("webdataset", "A tar shard")
    sys.modules["torch"] = cast(Any, None)  # to import it raises ModuleNotFoundError
    try:
        return library("webdataset", "A tar shard")
    finally:
        del sys.modules["torch"]
