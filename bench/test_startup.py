"""What a loader costs besides moving batches: its start, its memory, epochs, waiting."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import pytest

from bench.conftest import Settings
from bench.probes import probe

# work, epochs, seconds a step: as fast as the loader can, and with a queue that is always full.
BOUNDARIES = (("uint8", 400, 0.0), ("rows", 400, 0.0), ("uint8", 200, 0.002))


def test_first_batch(settings: Settings, record: Callable[..., None]) -> None:
    pytest.importorskip("fastfeed", reason="fastfeed is not installed")
    answers = [probe("first_batch.py") for _ in range(settings.rounds)]
    workers = [
        megabytes
        for answer in answers
        for name, megabytes in answer["pss_mb"].items()
        if name.startswith("worker")
    ]
    assert len(workers) == 2 * settings.rounds
    record(
        "start",
        [answer["seconds"] for answer in answers],
        contestant="first batch after Loader()",
        pss_mb_per_worker=statistics.median(workers),
        pss_mb_per_worker_worst=max(workers),
        pss_mb_of_all=answers[0]["pss_mb"],
    )


@pytest.mark.parametrize(
    ("work", "epochs", "step"), BOUNDARIES, ids=[f"{w}-{s * 1e3:.0f}ms" for w, _, s in BOUNDARIES]
)
@pytest.mark.parametrize("wait", ["boundary", "other"])
def test_epoch_boundary(
    work: str,
    epochs: int,
    step: float,
    wait: str,
    boundaries: Callable[..., list[dict[str, Any]]],
    record: Callable[..., None],
) -> None:
    answers = boundaries(work, epochs, step)
    record(
        f"epoch {work} {step * 1e3:.0f} ms",
        [answer[wait]["p99"] for answer in answers],
        contestant=f"{wait}, p99 of {epochs} epochs",
        wait=wait,
        p50=statistics.median(answer[wait]["p50"] for answer in answers),
    )


@pytest.fixture(scope="module")
def boundaries(settings: Settings) -> Callable[..., list[dict[str, Any]]]:
    """Run the boundary probe a few times for each case; both tests of a case share the answers."""
    pytest.importorskip("fastfeed", reason="fastfeed is not installed")
    kept: dict[tuple[object, ...], list[dict[str, Any]]] = {}

    def answers(*case: object) -> list[dict[str, Any]]:
        if case not in kept:
            kept[case] = [probe("boundary.py", *case) for _ in range(settings.rounds)]
        return kept[case]

    return answers


def test_idle(settings: Settings, record: Callable[..., None]) -> None:
    pytest.importorskip("fastfeed", reason="fastfeed is not installed")
    seconds = 2.0 if settings.quick else 5.0
    answers = [probe("idle.py", seconds) for _ in range(2 if settings.quick else 3)]
    record(
        "idle",
        [answer["share"] for answer in answers],  # CPU seconds a second
        contestant="parent and workers, queue full",
        ready=answers[0]["ready"],
        processes=answers[0]["processes"],
    )
