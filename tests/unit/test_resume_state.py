"""What a state is, and whose; everything else is refused by name."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from unit_sources import Batches

import fastfeed
from fastfeed.errors import ArgumentError, LoaderClosed, StateMismatch
from fastfeed.sources.fingerprints import ROWS, identity_of_arrays


def loader_of(source: Any = None, **options: Any) -> fastfeed.Loader:
    """A loader that makes nothing ahead."""
    data = np.arange(40) if source is None else source
    return fastfeed.Loader(data, **{"batch_size": 4, "workers": 0, "shuffle": True, **options})


def state_of(source: Any = None, **options: Any) -> dict[str, Any]:
    with loader_of(source, **options) as loader:
        next(iter(loader))
        return loader.state_dict()


def test_it_is_a_dict_of_numbers_and_texts() -> None:
    state = state_of(seed=2**64 - 1)
    assert list(state) == [
        "version", "seed", "length", "shuffle", "fingerprint", "epoch", "consumed",
    ]  # fmt: skip
    assert {type(value) for value in state.values()} == {int, bool, str}
    assert json.loads(json.dumps(state)) == pickle.loads(pickle.dumps(state)) == state
    assert (state["seed"], state["length"], state["consumed"]) == (2**64 - 1, 40, 4)


def test_it_goes_into_a_checkpoint_of_torch(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.save({"data": state_of()}, tmp_path / "checkpoint.pt")
    loaded = torch.load(tmp_path / "checkpoint.pt")  # plain enough for weights_only
    with loader_of() as loader:
        loader.load_state_dict(loaded["data"])
        assert loader.state_dict() == state_of()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, r"seed was 0 and is 1 here.*another order.*with the seed of the state"),
        ({"shuffle": False}, r"shuffle was True and is False here.*with the shuffle"),
        ({"source": np.arange(41)}, r"length was 40 and is 41 here.*with the data that the job"),
        ({"source": np.arange(1, 41)}, r"fingerprint was 'int64\[40\], \w+' and is 'int64\[40\], "),
        ({"source": np.arange(40.0)}, r"and is 'float64\[40\]"),
        ({"source": list(range(40))}, r"and is 'builtins.list' here.*a method fingerprint\(\)"),
    ],
)
def test_the_state_of_another_loader(options: dict[str, Any], message: str) -> None:
    with loader_of(**options) as loader:
        own = loader.state_dict()
        with pytest.raises(StateMismatch, match=message):
            loader.load_state_dict(state_of())
        assert loader.state_dict() == own


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, r"version was 2 and is 1 here.*Resume with the fastfeed that has written"),
        ({"seed": np.array([0, 1])}, r"seed was array\(\[0, 1\]\) and is 0 here"),
        ({"epoch": -1}, r"epoch must be an integer from 0 to 4294967294. Received: epoch=-1"),
        ({"epoch": 2**32}, "epoch must be an integer"),
        ({"epoch": "3"}, r"epoch must be an integer.*epoch='3'"),
        ({"consumed": 41}, "consumed must be an integer from 0 to 40. Received: consumed=41"),
        ({"consumed": 1.5}, "consumed must be an integer"),
        ({"consumed": None}, "consumed must be an integer"),
    ],
)
def test_a_damaged_state(change: dict[str, Any], message: str) -> None:
    with loader_of() as loader, pytest.raises(StateMismatch, match=message) as caught:
        loader.load_state_dict({**state_of(), **change})
    assert isinstance(caught.value, ValueError)


def test_what_is_no_state() -> None:
    part = {"epoch": 1, "consumed": 3}
    with loader_of() as loader:
        states: list[dict[Any, Any]] = [part, {**part, 7: "names of two types"}]
        for state in states:
            with pytest.raises(StateMismatch, match=r"version, seed.* missing.*whole dict"):
                loader.load_state_dict(state)
        with pytest.raises(StateMismatch, match=r"takes the dict.*Received: list"):
            loader.load_state_dict([part])  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    with loader_of() as loader:
        loader.load_state_dict({**state_of(), "epoch": np.int64(1), "consumed": np.int32(8)})
        state = loader.state_dict()
    assert (state["epoch"], state["consumed"]) == (1, 8)
    assert {type(value) for value in state.values()} == {int, bool, str}


def test_what_only_looks_different_is_taken_as_the_user_says() -> None:
    state = state_of()
    with loader_of(list(range(40))) as loader:  # the same numbers
        with pytest.raises(StateMismatch, match=r"state\['fingerprint'\] = loader\.state_dict"):
            loader.load_state_dict(state)
        state["fingerprint"] = loader.state_dict()["fingerprint"]
        loader.load_state_dict(state)
        rest = [int(value) for batch in loader for value in batch]
    with loader_of() as loader:
        assert rest == [int(value) for batch in loader for value in batch][4:]


# -- fingerprints ---------------------------------------------------------------------------


class Tagged(Batches):
    """Says itself what its data is."""

    def __init__(self, fingerprint: Any) -> None:
        super().__init__(lambda index: np.array([index]))
        self.fingerprint = fingerprint


@pytest.mark.parametrize("tag", ["of today", lambda: "of today", 17])
def test_a_source_may_say_what_it_is(tag: Any) -> None:
    said = str(tag() if callable(tag) else tag)
    state = state_of(Tagged(tag), batch_size=None)
    assert state["fingerprint"] == said
    with (
        loader_of(Tagged("of tomorrow"), batch_size=None) as loader,
        pytest.raises(StateMismatch, match=f"fingerprint was '{said}' and is 'of tomorrow' here"),
    ):
        loader.load_state_dict(state)


def test_arrays_are_told_apart_by_looks_and_by_some_values() -> None:
    arrays = {"x": np.zeros((500, 20)), "y": np.arange(500)}
    known = {identity_of_arrays(arrays)}
    for row in (0, 250, 499):
        changed = arrays["y"].copy()
        changed[row] = -1
        known.add(identity_of_arrays({**arrays, "y": changed}))
    known.add(identity_of_arrays({**arrays, "x": np.zeros((500, 20), "float32")}))
    known.add(identity_of_arrays({"a": arrays["x"], "y": arrays["y"]}))
    known.add(identity_of_arrays((arrays["x"], arrays["y"])))
    assert len(known) == 7
    assert identity_of_arrays({**arrays, "x": np.zeros((500, 20))}) in known


@pytest.mark.parametrize("rows", [1, 2, ROWS, ROWS + 1])
def test_few_rows_are_all_looked_at(rows: int) -> None:
    arrays = np.eye(rows)
    identities = set()
    for row in range(rows):
        changed = arrays.copy()
        changed[row] += 1
        identities.add(identity_of_arrays(changed))
    assert len(identities) == rows
    assert identity_of_arrays(arrays) not in identities


def divided(shard: int, num_shards: int) -> Iterator[np.ndarray]:
    for index in range(shard, 20, num_shards):
        yield np.array([index])


def whole() -> Iterator[np.ndarray]:
    yield from divided(0, 1)


@pytest.mark.parametrize(
    ("source", "first", "then", "message"),
    [
        (divided, {"workers": 2}, {"workers": 1}, "1 x 2 shards' and is .* 1 x 1 shards"),
        (divided, {"shard": (0, 2), "workers": 2}, {"workers": 4}, "2 x 2 shards.* 1 x 4 shards"),
        (whole, {"batch_size": 3}, {"batch_size": 5}, "batches of 3, .* batches of 5"),
        (whole, {"batch_size": 3}, {}, "batches of 3, "),
    ],
)
def test_streams_are_taken_in_the_same_way(
    source: Any, first: dict[str, Any], then: dict[str, Any], message: str
) -> None:
    threads: dict[str, Any] = {"use_multiprocessing": False}
    with fastfeed.Loader(source, **threads, **first) as loader:
        state = loader.state_dict()
    with (
        fastfeed.Loader(source, **threads, **then) as loader,
        pytest.raises(StateMismatch, match=f"fingerprint was '.*{message}"),
    ):
        loader.load_state_dict(state)


def test_a_generator_function_may_say_what_it_gives() -> None:
    def numbers() -> Iterator[np.ndarray]:
        yield from divided(0, 1)

    states = []
    for fingerprint in ("of today", lambda: "of tomorrow"):
        numbers.fingerprint = fingerprint  # type: ignore[attr-defined]
        with fastfeed.Loader(numbers, workers=0) as loader:
            states.append(loader.state_dict()["fingerprint"])
    assert states == [
        f"stream numbers, 1 x 1 shards, {said}" for said in ("of today", "of tomorrow")
    ]


def test_light_items_are_counted_one_by_one() -> None:
    source = fastfeed.generator(lambda: iter(range(20)), map=float)
    with fastfeed.Loader(source, 4, workers=0) as loader:
        next(iter(loader))
        state = loader.state_dict()
    assert state["consumed"] == 4
    seen = []
    for rank in range(2):
        with fastfeed.Loader(source, 3, workers=0, shard=(rank, 2)) as loader:
            loader.load_state_dict(state)
            seen += [int(value) for batch in loader for value in batch]
    assert sorted(seen) == list(range(4, 16))  # the rest is too little for a step of 6


def test_without_an_order_there_is_no_position() -> None:
    with (
        fastfeed.Loader(np.arange(8), 4, ordered=False) as loader,
        pytest.raises(ArgumentError, match=r"as they are finished.*ordered=False"),
    ):
        loader.state_dict()


def test_a_closed_loader_says_so() -> None:
    with fastfeed.Loader(np.arange(8), 4) as loader:
        state = loader.state_dict()
    with pytest.raises(LoaderClosed):
        loader.load_state_dict(state)
    assert loader.state_dict() == state  # of a job that is over: still of use
