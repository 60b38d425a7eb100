"""Keras's fit on each backend: what a step costs besides the model, and large batches.

Run by ``python -m bench keras``.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.rivals import Contestant, large_fits, small_fits
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
