"""Loaders with a cache: each sample is made once, and the batches are those without it."""

from __future__ import annotations

import functools
import gc
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit_cache import KINDS, Counted
from unit_sources import fed, private, same

import fastfeed
from fastfeed.caching import proof
from fastfeed.errors import ArgumentError, CacheError, OutOfMemory
from fastfeed.sources.rows import ItemReader, RowReader, Rows

INLINE: list[dict[str, Any]] = [{"workers": 0}, {"workers": 2, "use_multiprocessing": False}]


@pytest.fixture(params=KINDS)
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory" if request.param == "memory" else f"disk:{tmp_path / 'cache'}"


def epochs(source: Any, count: int = 3, **options: Any) -> list[list[Any]]:
    """Some epochs of a source as private copies."""
    with fastfeed.Loader(source, **{"batch_size": 4, "shuffle": True, **options}) as loader:
        return [[private(batch) for batch in loader] for _ in range(count)]


def test_each_sample_is_made_once(cache: str) -> None:
    source = Counted()
    epochs(source, workers=0, cache=cache)
    assert source.made == [1] * 20


def compared(cache: str) -> int:
    """How many samples a process makes again to compare them."""
    return 0 if cache == "memory" else proof.SAMPLES


@pytest.mark.parametrize("options", INLINE, ids=["inline", "threads"])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 20, 50])
def test_batches_are_those_without_a_cache(
    cache: str, options: dict[str, Any], batch_size: int
) -> None:
    plain = epochs(Counted(), batch_size=batch_size, **options)
    assert same(epochs(Counted(), batch_size=batch_size, cache=cache, **options), plain)


def test_a_budget_for_some_samples_makes_the_others_again() -> None:
    plain = epochs(Counted(width=1000), workers=0)
    source = Counted(width=1000)
    budget = 5 * 4200 + 2000
    assert same(epochs(source, workers=0, cache="memory", cache_budget=budget), plain)
    assert sorted(set(source.made)) == [1, 3]
    assert 3 <= source.made.count(1) <= 5


class Texts(Counted):
    """Samples with texts and objects, of which no arrays are made."""

    def __getitem__(self, index: int) -> Any:
        super().__getitem__(index)
        return {"x": np.arange(3) + index, "name": f"sample {index}", "box": (index, None)}


class Ragged(Counted):
    """Samples that differ in shape from batch to batch."""

    def __getitem__(self, index: int) -> Any:
        super().__getitem__(index)
        return np.full(2 + index // 4, index), index


class InAnyOrder(Counted):
    """Samples whose parts are named in another order each time."""

    def __getitem__(self, index: int) -> Any:
        x, y = super().__getitem__(index)
        return {"x": x, "y": y} if index % 3 else {"y": y, "x": x}


@pytest.mark.parametrize("kind", [Texts, Ragged, InAnyOrder])
def test_samples_of_every_kind(cache: str, kind: type[Counted]) -> None:
    options = {"workers": 0, "shuffle": False}
    assert same(epochs(kind(), cache=cache, **options), epochs(kind(), **options))


def test_samples_that_do_not_fit_together_are_named(cache: str) -> None:
    with (
        fastfeed.Loader(Ragged(), batch_size=5, workers=0, cache=cache) as loader,
        pytest.raises(fastfeed.errors.SourceError, match="differ: sample 4"),
    ):
        list(loader)


# -- transforms -------------------------------------------------------------------------------


def noisy(sample: Any, rng: np.random.Generator) -> Any:
    """Augmentation that uses every kind of random numbers and changes its sample in place."""
    x, y = sample
    x += rng.random(x.shape, np.float32) + np.float32(random.random())
    return x, y, np.random.random()


@pytest.mark.parametrize("options", INLINE, ids=["inline", "threads"])
def test_augmentation_comes_after_the_cache(cache: str, options: dict[str, Any]) -> None:
    source = Counted()
    first, second, third = epochs(source, cache=cache, transform=noisy, shuffle=False, **options)
    for batch, other in zip(first, second, strict=True):
        assert not np.array_equal(batch[0], other[0])  # other numbers in each epoch
        assert ((batch[0] >= batch[1][:, None]) & (batch[0] < batch[1][:, None] + 2)).all()
    assert len(third) == len(first)


def test_a_cache_does_not_change_what_a_transform_makes(cache: str) -> None:
    plain = epochs(Counted(), workers=0, transform=noisy)
    assert same(epochs(Counted(), workers=0, transform=noisy, cache=cache), plain)


def test_a_transform_may_use_numbers_as_keys(cache: str) -> None:
    names = {0: "even", 1: "odd"}

    def named(sample: Any, rng: np.random.Generator) -> Any:
        return sample[0], names[sample[1] % 2], list(names)[sample[1] % 2]

    for batches in epochs(Counted(), workers=0, transform=named, cache=cache, shuffle=False):
        assert batches[0][1] == ["even", "odd", "even", "odd"]


def test_a_transform_works_without_a_cache() -> None:
    (batch,) = fed([1, 2, 3], batch_size=3, workers=0, transform=lambda x, rng: x * 10)
    assert batch.tolist() == [10, 20, 30]


def test_a_forgotten_return_in_a_transform_is_named() -> None:
    def forgetful(sample: Any, rng: np.random.Generator) -> Any:
        sample + 1

    with pytest.raises(fastfeed.errors.SourceError, match=r"forgetful returned None"):
        fed([1, 2, 3], batch_size=3, workers=0, transform=forgetful)


# -- readers ----------------------------------------------------------------------------------


class Reader(RowReader):
    """Rows of a table; counts how often each was read."""

    spec = (fastfeed.ArraySpec((3,), "f4"), fastfeed.ArraySpec((), "i8"))

    def __init__(self) -> None:
        self.read_rows = [0] * 20
        self.broken: set[int] = set()

    @property
    def n_samples(self) -> int:
        return len(self.read_rows)

    def fingerprint(self) -> str:
        return "a table"

    def read(self, rows: Rows) -> None:
        for i, sample in enumerate(rows.index.tolist()):
            self.read_rows[sample] += 1
            bad = sample in self.broken
            rows.failed += bad
            rows.out[0][i] = 0 if bad else sample
            rows.out[1][i] = sample


class Decoder(ItemReader):
    """Decodes slowly, augments quickly."""

    spec = fastfeed.ArraySpec((2,), "f8")

    def __init__(self) -> None:
        self.loaded = [0] * 20

    @property
    def n_samples(self) -> int:
        return len(self.loaded)

    def fingerprint(self) -> str:
        return "pictures"

    def load(self, row: int) -> Any:
        self.loaded[row] += 1
        return np.full(2, row, np.uint8)

    def put(self, sample: Any, row: int, out: Any, rng: np.random.Generator) -> None:
        out[row] = sample + rng.random()


def test_a_reader_of_rows_reads_each_once(cache: str) -> None:
    reader = Reader()
    plain = epochs(Reader(), workers=0)
    assert same(epochs(reader, workers=0, cache=cache), plain)
    assert reader.read_rows == [1] * 20


def test_a_reader_reads_what_the_budget_left_out() -> None:
    reader = Reader()
    plain = epochs(Reader(), workers=0)
    assert same(epochs(reader, workers=0, cache="memory", cache_budget=2048), plain)
    assert sorted(set(reader.read_rows)) == [1, 3]


def test_rows_that_could_not_be_read_are_not_kept() -> None:
    reader = Reader()
    reader.broken = {5}
    with fastfeed.Loader(reader, batch_size=4, workers=0, cache="memory") as loader:
        assert next(iter(loader))[1].tolist() == [0, 1, 2, 3]
        list(loader)
        assert loader.stats().failed == 1
        reader.broken.clear()
        x = np.concatenate([batch[0] for batch in loader])
    assert x[5].tolist() == [5, 5, 5]


def test_decoded_is_kept_and_augmented_anew(cache: str) -> None:
    reader = Decoder()
    first, second, _ = epochs(reader, workers=0, cache=cache, shuffle=False)
    assert sum(reader.loaded) == 20 + compared(cache)
    assert reader.cache is None  # the user's own object stays as it is
    assert not np.array_equal(first[0], second[0])
    assert same(epochs(Decoder(), workers=0, shuffle=False)[:2], [first, second])


# -- use, and the end ---------------------------------------------------------------------------


def test_a_closed_loader_has_given_back_its_cache() -> None:
    loader = fastfeed.Loader(Counted(), batch_size=4, workers=0, cache="memory")
    batch = next(iter(loader))
    loader.close()
    loader.close()
    assert batch[1].tolist() == [0, 1, 2, 3]


def test_a_loader_that_cannot_be_made_leaves_no_cache_open(tmp_path: Path) -> None:
    option = f"disk:{tmp_path / 'cache'}"
    with pytest.raises(ArgumentError, match="rows must be"):
        fastfeed.Loader(Counted(), batch_size=4, workers=2, rows=7, cache=option)
    gc.collect()
    opened = [os.path.realpath(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd")]
    assert not [path for path in opened if path.startswith(str(tmp_path))]


def test_a_second_run_makes_nothing(tmp_path: Path) -> None:
    option = f"disk:{tmp_path / 'cache'}"
    plain = epochs(Counted(), 1, workers=0, cache=option)
    source = Counted()
    assert same(epochs(source, 1, workers=0, cache=option), plain)
    assert sum(source.made) == proof.SAMPLES  # to compare them


def test_other_data_under_the_same_name_are_noticed(tmp_path: Path) -> None:
    """A dataset without a fingerprint, in whose cache other data of the same length lie."""
    option = f"disk:{tmp_path / 'cache'}"
    run = functools.partial(fed, batch_size=4, workers=0, cache=option)
    run([np.full(5, i) for i in range(12)])
    run([np.full(5, i) for i in range(12)])
    with pytest.raises(CacheError, match=r"holds another sample 0 .* with other values"):
        run([np.full(5, i + 100) for i in range(12)])
    with pytest.raises(CacheError, match=r"another sample 0 .* int64\[5\] and not int64\[6\]"):
        run([np.full(6, i) for i in range(12)])


def test_what_a_processor_rounds_otherwise_is_the_same(tmp_path: Path) -> None:
    option = f"disk:{tmp_path / 'cache'}"
    picture = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    values = np.array([0.5, np.nan, -3.0, np.inf])
    samples = [(picture, values, "a", np.arange(3) > 1)] * 4
    run = functools.partial(fed, batch_size=2, workers=0, cache=option)
    run(samples)
    run([(picture ^ 1, values * (1 + 1e-6), "a", np.arange(3) > 1)] * 4)
    with pytest.raises(CacheError, match="other values"):
        run([(picture, values, "a", np.arange(3) > 0)] * 4)


def test_chance_before_the_cache_is_noticed(tmp_path: Path) -> None:
    class Random(Counted):
        def __getitem__(self, index: int) -> Any:
            return np.random.random(5)

    run = functools.partial(epochs, workers=0, cache=f"disk:{tmp_path / 'cache'}")
    first = run(Random(), seed=1)
    assert len(first) == 3
    with pytest.raises(CacheError, match=r"chance has a part in it.*transform="):
        run(Random(), seed=2)


# -- bad input ----------------------------------------------------------------------------------


class Changing(Counted):
    """Makes other samples in each epoch."""

    def on_epoch_end(self) -> None:
        pass


REFUSED: dict[str, tuple[Any, dict[str, Any], str]] = {
    "batches": (Counted(), {"cache": "memory", "batch_size": None}, "keeps samples"),
    "arrays": (np.zeros((9, 2)), {"cache": "memory"}, "in memory already"),
    "a generator": (lambda: iter([1]), {"cache": "memory", "shuffle": False}, "keeps samples"),
    "a transform of arrays": (np.zeros((9, 2)), {"transform": noisy}, "changes samples"),
    "a transform that is none": (Counted(), {"transform": 3}, "function of a sample"),
    "a transform without rng": (Counted(), {"transform": len}, r"called as len\(sample, rng\)"),
    "a transform of rows": (Reader(), {"transform": noisy}, "changes samples"),
    "hooks": (Changing(), {"cache": "memory"}, "on_epoch_end"),
    "an unknown kind": (Counted(), {"cache": "ram"}, '"disk:FOLDER"'),
    "a budget for nothing": (Counted(), {"cache_budget": 1 << 20}, "cache_budget is for a cache"),
    "a budget of no number": (Counted(), {"cache": "memory", "cache_budget": "1"}, "number of"),
    "a small table": (Counted(), {"cache": "memory", "cache_budget": 100}, "table"),
    "a small sample": (Counted(width=5000), {"cache": "memory", "cache_budget": 9999}, "A sample"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused(name: str) -> None:
    source, options, words = REFUSED[name]
    with pytest.raises(ArgumentError, match=words) as caught:
        epochs(source, 1, **{"workers": 0, **options})
    assert "Received: " in str(caught.value)


def test_more_than_there_is_is_refused() -> None:
    with pytest.raises(OutOfMemory, match=r"cache_budget asks for .* only .* may be used"):
        epochs(Counted(), workers=0, cache="memory", cache_budget=1 << 60)


def test_stats_show_the_cache(cache: str) -> None:
    with fastfeed.Loader(Counted(), batch_size=4, workers=0, cache=cache) as loader:
        assert loader.stats().cache == loader._source.cache.use()
        for _ in range(3):
            list(loader)
    use = loader.stats().cache  # also of a closed loader
    assert use is not None
    assert use.samples == 20
    assert (use.hits, use.misses) == ((40, 20) if cache == "memory" else (None, None))
    assert "cache: 20 samples, " in str(loader.stats())
    assert ("; 40 found, 20 made" in str(loader.stats())) == (cache == "memory")


def test_stats_of_a_loader_without_a_cache_show_none() -> None:
    with fastfeed.Loader(Counted(), batch_size=4, workers=0) as loader:
        list(loader)
    assert loader.stats().cache is None
    assert "cache" not in str(loader.stats())
