"""Which rank a process is, whoever says so; and what ranks cannot be given."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from unit_sources import Batches

import fastfeed
from fastfeed.errors import ArgumentError, SourceError
from fastfeed.order import ALONE, Shard
from fastfeed.ranks import LAUNCHERS, shard_of


@pytest.fixture(autouse=True)
def nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a launcher, and as if none of the frameworks had been imported."""
    for name in [name for pair in LAUNCHERS for name in pair]:
        monkeypatch.delenv(name, raising=False)
    for name in ("torch.distributed", "jax", "ray.train"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Any:
    def set_variables(**variables: object) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, str(value))

    return set_variables


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put something in the place of a framework that is not installed, or not initialised."""

    def put(name: str, **members: Any) -> None:
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(**members))

    return put


# -- what is asked for ----------------------------------------------------------------------


def test_without_a_shard_and_without_a_launcher_there_is_one_rank() -> None:
    assert shard_of(None) == shard_of("auto") == ALONE == Shard(0, 1)


@pytest.mark.parametrize("asked", [(1, 3), [1, 3], (np.int64(1), np.int32(3))])
def test_a_rank_and_a_number_of_ranks(asked: Any) -> None:
    assert shard_of(asked) == Shard(1, 3)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ((0, 0), "number of ranks must be from 1 to .*Received: shard=\\(0, 0\\)"),
        ((0, -2), "number of ranks must be from 1"),
        ((3, 3), "Of 3 ranks the first is 0 and the last 2: there is no rank 3.*the rank first"),
        ((-1, 3), "there is no rank -1"),
        ((1.0, 2), "shard is None, .auto., or the rank"),
        (("0", "2"), "shard is None"),
        ((1, 2, 3), "shard is None"),
        (2, "shard is None.*Received: shard=2"),
        ("torch", "shard is None.*Received: shard='torch'"),
    ],
)
def test_what_is_no_shard_is_refused(asked: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        fastfeed.Loader(np.arange(20), batch_size=2, shard=asked)


# -- who says it ----------------------------------------------------------------------------


@pytest.mark.parametrize("pair", LAUNCHERS)
def test_the_launchers_variables_are_read(pair: tuple[str, str], say: Any) -> None:
    say(**{pair[0]: 2, pair[1]: 5})
    assert shard_of("auto") == Shard(2, 5)
    assert shard_of(None) == ALONE


def test_torchrun_under_srun_counts_its_own_ranks(say: Any) -> None:
    say(SLURM_PROCID=1, SLURM_STEP_NUM_TASKS=2, RANK=11, WORLD_SIZE=16)
    assert shard_of("auto") == Shard(11, 16)


def test_a_batch_script_of_slurm_is_one_process(say: Any) -> None:
    say(SLURM_PROCID=0, SLURM_NTASKS=8)
    assert shard_of("auto") == ALONE


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": 0}, "WORLD_SIZE is missing.*torchrun.*Received: RANK=0, WORLD_SIZE=None"),
        ({"WORLD_SIZE": 4}, "RANK is missing"),
        ({"RANK": "first", "WORLD_SIZE": 4}, "they are no integers.*RANK=first"),
        ({"RANK": 4, "WORLD_SIZE": 4}, "they name no rank.*RANK=4, WORLD_SIZE=4"),
        ({"RANK": 0, "WORLD_SIZE": 0}, "they name no rank"),
        ({"OMPI_COMM_WORLD_RANK": 1}, "OMPI_COMM_WORLD_SIZE is missing"),
        ({"SLURM_STEP_NUM_TASKS": 2}, "SLURM_PROCID is missing"),
    ],
)
def test_half_of_what_a_launcher_says_is_refused(
    variables: dict[str, object], message: str, say: Any
) -> None:
    say(**variables)
    with pytest.raises(ArgumentError, match=message):
        shard_of("auto")


def test_what_the_program_has_initialised_comes_first(say: Any, stand_in: Any) -> None:
    say(RANK=0, WORLD_SIZE=2)
    stand_in(
        "jax",
        distributed=SimpleNamespace(is_initialized=lambda: True),
        process_index=lambda: 1,
        process_count=lambda: 3,
    )
    assert shard_of("auto") == Shard(1, 3)
    stand_in(
        "torch.distributed",
        is_available=lambda: True,
        is_initialized=lambda: True,
        get_rank=lambda: 4,
        get_world_size=lambda: 5,
    )
    assert shard_of("auto") == Shard(4, 5)


def test_ray_train_is_asked_in_its_runs_only(say: Any, stand_in: Any) -> None:
    def outside() -> None:
        raise RuntimeError("Ray Train function utilities not initialized.")

    say(RANK=0, WORLD_SIZE=2)
    stand_in("ray.train", get_context=outside)
    assert shard_of("auto") == Shard(0, 2)
    context = SimpleNamespace(get_world_rank=lambda: 2, get_world_size=lambda: 3)
    stand_in("ray.train", get_context=lambda: context)
    assert shard_of("auto") == Shard(2, 3)


def test_asking_jax_does_not_start_its_backend() -> None:
    pytest.importorskip("jax")
    program = (
        "import jax; from fastfeed.ranks import shard_of; print(shard_of('auto'));"
        "from jax._src import xla_bridge; print(xla_bridge.backends_are_initialized())"
    )
    out = subprocess.check_output([sys.executable, "-c", program], text=True)
    assert out.splitlines() == ["Shard(rank=0, world=1)", "False"]


# -- what goes with it ----------------------------------------------------------------------


def shares(source: Any, world: int = 2, **options: Any) -> list[list[int]]:
    """What each rank is given, in one epoch."""
    seen = []
    for rank in range(world):
        with fastfeed.Loader(source, shard=(rank, world), **options) as loader:
            seen.append([int(value) for batch in loader for value in batch.ravel()])
    return seen


def number(index: int) -> np.ndarray:
    return np.array([index])


@pytest.mark.parametrize("workers", [0, 2])
def test_each_kind_of_source_is_dealt_out(workers: int) -> None:
    ranks = functools.partial(shares, workers=workers, use_multiprocessing=False)
    half = [[0, 1, 4, 5], [2, 3, 6, 7]]
    assert ranks(np.arange(9), batch_size=2) == half
    assert ranks(list(range(9)), batch_size=2) == half
    assert ranks(Batches(number, 5)) == [[0, 2], [1, 3]]
    light = fastfeed.generator(lambda: iter(range(9)), map=number)
    assert ranks(light) == [[0, 2, 4, 6], [1, 3, 5, 7]]
    assert ranks(light, batch_size=2) == half


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_a_divided_generator_function_has_a_shard_for_each_worker_of_each_rank(
    workers: int,
) -> None:
    def function(shard: int, num_shards: int) -> Iterator[np.ndarray]:
        for index in range(shard, 12, num_shards):
            yield np.array([index, num_shards])

    seen = []
    for rank in range(2):
        with fastfeed.Loader(function, workers=workers, shard=(rank, 2)) as loader:
            seen.append([batch.tolist() for batch in loader])
    assert {shards for part in seen for _, shards in part} == {2 * max(1, workers)}
    assert sorted(index for part in seen for index, _ in part) == list(range(12))
    assert not {index for index, _ in seen[0]} & {index for index, _ in seen[1]}


def plain() -> Iterator[np.ndarray]:
    yield np.zeros(2)


class Endless(Batches):
    num_batches = None


@pytest.mark.parametrize("source", [plain, iter([np.zeros(2)]), Endless(number)])
def test_what_cannot_be_dealt_out_is_refused(source: Any) -> None:
    with pytest.raises(ArgumentError, match=r"every rank would get all.*num_shards.*shard=.1, 2"):
        fastfeed.Loader(source, shard=(1, 2))


@pytest.mark.parametrize("source", [plain, fastfeed.generator(plain, map=abs), Endless(number)])
def test_the_end_of_a_stream_is_never_uneven(source: Any) -> None:
    with pytest.raises(ArgumentError, match="uneven is about the end of an epoch of known length"):
        fastfeed.Loader(source, uneven="pad")


def test_uneven_is_one_of_three() -> None:
    with pytest.raises(ArgumentError, match=r"uneven is .drop., .pad. or .short.*join"):
        fastfeed.Loader(np.arange(9), batch_size=2, uneven="join")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"uneven can only be .drop..*short"):
        fastfeed.Loader(np.arange(9), batch_size=2, uneven="short", drop_last=True)


def test_more_ranks_than_batches() -> None:
    source = np.arange(9)
    with pytest.raises(SourceError, match=r"9 samples are too few for 5 ranks.*uneven=\"short\""):
        fastfeed.Loader(source, batch_size=2, shard=(0, 5))
    padded = shares(source, 5, batch_size=2, uneven="pad")
    assert padded == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 0]]
    assert shares(source, 5, batch_size=2, uneven="short") == [[0], [1, 2], [3, 4], [5, 6], [7, 8]]
    with pytest.raises(SourceError, match="3 batches are too few for 4 ranks: there is not one"):
        fastfeed.Loader(Batches(number, 3), shard=(0, 4))
    with pytest.raises(SourceError, match="smaller batches, in place of drop_last=True"):
        fastfeed.Loader(source, batch_size=2, shard=(0, 5), drop_last=True)
    with pytest.raises(SourceError, match=r"uneven=.drop. leaves no batch.*leave uneven"):
        fastfeed.Loader(source, batch_size=10, uneven="drop")


@pytest.mark.parametrize(("uneven", "sizes"), [("pad", [4, 4, 4]), ("short", [4, 4, 1])])
def test_the_steps_of_an_epoch_are_known(uneven: Any, sizes: list[int]) -> None:
    with fastfeed.Loader(np.arange(18), 4, shard=(0, 2), uneven=uneven) as loader:
        assert len(loader) == loader.batches_per_epoch == 3
        assert [len(batch) for batch in loader] == sizes
