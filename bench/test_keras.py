"""Keras's fit on each backend: what a step costs besides the model, and large batches.

Run by ``python -m bench keras``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.conftest import Settings
from bench.probes import probe
from bench.rivals import Contestant, large_fits, on_backend, small_fits
from bench.sources import BACKENDS

LINEUPS = {
    **{f"fit small, {backend}": small_fits(backend) for backend in BACKENDS},
    **{f"fit uint8, {backend}": large_fits(backend) for backend in BACKENDS},
}
ENTRIES = [(work, contestant) for work, lineup in LINEUPS.items() for contestant in lineup]


@pytest.mark.parametrize(
    ("work", "contestant"), ENTRIES, ids=[f"{work}-{one.name}" for work, one in ENTRIES]
)
def test_fit(work: str, contestant: Contestant, enter: Callable[..., None]) -> None:
    enter(work, contestant, LINEUPS[work])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("way", ["with", "without"])
def test_data_wait(
    backend: str,
    way: str,
    waits: Callable[[str], dict[str, list[float]]],
    record: Callable[..., None],
) -> None:
    record(f"fit data_wait, {backend}", waits(backend)[way], contestant=way)


@pytest.fixture(scope="module")
def waits(settings: Settings) -> Callable[[str], dict[str, list[float]]]:
    """Run the probe once for each backend; both tests of a backend share the answer."""
    kept: dict[str, dict[str, list[float]]] = {}

    def answer(backend: str) -> dict[str, list[float]]:
        pytest.importorskip(backend)
        if backend not in kept:
            kept[backend] = probe("data_wait.py", 5 * settings.rounds, **on_backend(backend))
        return kept[backend]

    return answer
