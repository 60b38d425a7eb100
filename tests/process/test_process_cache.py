"""Caches of worker processes and of jobs: one copy, whole samples, whoever dies in the middle."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from leftovers import eventually, worker_pids
from process_cache import WIDTH, Slow, check_epoch, sample
from process_scripts import Script, run

from fastfeed import Loader
from fastfeed.caching import proof
from fastfeed.caching.base import Cache, stamp_of
from fastfeed.caching.opening import open_cache
from fastfeed.errors import ArgumentError, CacheError


@pytest.fixture(params=["memory", "disk"])
def option(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return "memory" if request.param == "memory" else f"disk:{tmp_path / 'cache'}"


def loader_of(source: Any, option: str, **options: Any) -> Loader:
    return Loader(source, **{"batch_size": 8, "shuffle": True, "cache": option, **options})


def samples_of(cache: Cache, length: int) -> int:
    """Assert that what the cache holds is right; return how much that is."""
    found = [cache.find(row) for row in range(length)]
    for row, kept in enumerate(found):
        if kept is not None:
            np.testing.assert_array_equal(kept[0], sample(row)[0])
            assert kept[1] == row
    return sum(kept is not None for kept in found)


@pytest.mark.parametrize("rows", [True, False])
def test_what_one_worker_made_none_makes_again(tmp_path: Path, option: str, rows: bool) -> None:
    source = Slow(tmp_path / "made")
    with loader_of(source, option, workers=3, rows=rows) as loader:
        check_epoch(loader, 120)
        assert eventually(lambda: loader._source.cache.use().samples == 120)
        check_epoch(loader, 120)  # some were asked for before the first epoch's end
        before = source.count()
        check_epoch(loader, 120)
        check_epoch(loader, 120)
        assert source.count() == before
    assert 120 <= before < 240


def test_there_is_one_copy_for_all_workers(tmp_path: Path) -> None:
    source = Slow(tmp_path / "made")
    with loader_of(source, "memory", workers=4, cache_budget=8 << 20) as loader:
        for _ in range(3):
            check_epoch(loader, 120)
        (fd,) = loader._source.descriptors()
        assert os.fstat(fd).st_blocks * 512 < 160 * WIDTH  # 120 samples, and some made by two
        assert worker_pids()


def killing(loader: Loader, source: Slow) -> Iterator[Any]:
    """Go through an epoch, and now and then kill the worker that made the last sample."""
    for number, batch in enumerate(loader):
        if number % 7 == 3 and (maker := source.makers()[-1]) in worker_pids():
            os.kill(maker, signal.SIGKILL)
        yield batch


def test_workers_that_are_killed_leave_whole_samples(tmp_path: Path, option: str) -> None:
    source = Slow(tmp_path / "made", length=400)
    with loader_of(source, option, workers=2) as loader:
        for _ in range(2):
            check_epoch(killing(loader, source), 400)
        assert loader.stats().worker_restarts > 0
        check_epoch(loader, 400)
        assert samples_of(loader._source.cache, 400) > 0
    assert source.count() < 3 * 400  # the cache survived them


FILL = """
    from fastfeed import Loader
    from process_cache import Slow, check_epoch
    source = Slow({made!r}, 400, {seconds})
    options = dict(batch_size=8, shuffle=True, seed={seed}, workers=2, cache={option!r})
    with Loader(source, **options) as loader:
        for epoch in range({epochs}):
            print("epoch", epoch, flush=True)
            check_epoch(loader, 400)
    print("all right")
"""


def test_a_job_killed_while_it_writes_leaves_whole_samples(tmp_path: Path) -> None:
    option, made = f"disk:{tmp_path / 'cache'}", tmp_path / "made"
    text = FILL.format(made=str(made), seconds=0.002, seed=1, option=option, epochs=99)
    for number in (1, 2, 3):
        script = Script(tmp_path, text)
        script.wait_for("epoch 0")
        assert eventually(lambda least=number * 40: Slow(made).count() > least)
        for pid in script.pids():
            with contextlib.suppress(ProcessLookupError):  # it has ended because the job did
                os.kill(pid, signal.SIGKILL)
        script.process.wait()
        script.check_nothing_left()
        os.close(script.terminal)
    cache = open_cache(option, None, 400, "slow 400 of 400")
    assert 0 < samples_of(cache, 400) == cache.use().samples
    cache.close()
    source = Slow(tmp_path / "made later", 400)
    with loader_of(source, option, workers=2) as loader:
        check_epoch(loader, 400)
    assert source.count() < 400


def test_two_jobs_fill_one_folder_at_once(tmp_path: Path) -> None:
    option = f"disk:{tmp_path / 'cache'}"
    jobs = []
    for seed in (1, 2):
        folder = tmp_path / str(seed)
        folder.mkdir()
        made = str(folder / "made")
        text = FILL.format(made=made, seconds=0.002, seed=seed, option=option, epochs=2)
        jobs.append(Script(folder, text))
    for job in jobs:
        assert job.finish() == 0, job.output
        assert "all right" in job.output
    source = Slow(tmp_path / "made", 400)
    with loader_of(source, option, workers=2) as loader:
        check_epoch(loader, 400)
        assert loader._source.cache.use().samples == 400
    assert source.count() <= 2 * proof.SAMPLES  # each worker compares some


def test_another_sources_cache_is_refused(tmp_path: Path) -> None:
    option, made = f"disk:{tmp_path / 'cache'}", tmp_path / "made"
    with loader_of(Slow(made, 100), option, workers=1) as loader:
        check_epoch(loader, 100)
    text = FILL.format(made=str(made), seconds=0.0, seed=1, option=option, epochs=1)
    status, output = run(tmp_path, text)
    assert status == 1
    last = output.strip().splitlines()[-1]
    assert last.startswith("fastfeed.errors.CacheError: The cache in")
    assert "number of samples is 100, not 400" in last
    assert "delete this one" in last


class Stamped(Slow):
    """Samples that know their file."""

    def stamp(self, index: int) -> int:
        return stamp_of(Path(self.made).parent / f"{index}.bin")


def test_a_file_that_has_changed_is_noticed_in_a_worker(tmp_path: Path) -> None:
    for index in range(20):
        (tmp_path / f"{index}.bin").touch()
    source, option = Stamped(tmp_path / "made", 20), f"disk:{tmp_path / 'cache'}"
    with loader_of(source, option, workers=2) as loader:
        check_epoch(loader, 20)
    (tmp_path / "7.bin").write_text("new")
    with (
        loader_of(source, option, workers=2) as loader,
        pytest.raises(CacheError, match="older than its files: that of sample 7 "),
    ):
        check_epoch(loader, 20)


def test_a_budget_smaller_than_a_sample_ends_the_loop(tmp_path: Path, option: str) -> None:
    with (
        loader_of(Slow(tmp_path / "made"), option, workers=2, cache_budget=18_000) as loader,
        pytest.raises(ArgumentError, match=r"A sample takes \d+ bytes.*Received: cache_budget="),
    ):
        list(loader)
