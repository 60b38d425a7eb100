"""Numbers as people read them: the same in lines and on screens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from fastfeed.monitor.words import count
from fastfeed.top.model import Loader, Worker

LONG_S = 1.0
UNUSUAL = 4
"""Times the median: the making of an item takes long."""
UNKNOWN = "-"


def duration(seconds: float | None) -> str:
    """Write a time in three digits at the most: ``83 ms``, ``1.2 s``, ``4 min 03 s``."""
    if seconds is None:
        return UNKNOWN
    for unit, factor in (("us", 1e6), ("ms", 1e3), ("s", 1.0)):
        value = seconds * factor
        if value < 9.95:
            return f"{value:.1f} {unit}"
        if value < (999.5 if factor > 1 else 99.5):
            return f"{value:.0f} {unit}"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


def percent(ratio: float | None) -> str:
    """Write a share: ``38 %``; ``<1 %`` where rounding would hide it."""
    if ratio is None:
        return UNKNOWN
    return "<1 %" if 0 < ratio < 0.005 else f"{ratio * 100:.0f} %"


def number(value: float | None) -> str:
    """Write a rate: ``0.33``, ``31.2``, ``1,520``."""
    if value is None:
        return UNKNOWN
    if value == 0 or value >= 99.95:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.995 else f"{value:.2f}"


def throughput(bytes_per_second: float) -> str:
    """Write bytes a second in decimal units: ``149 MB/s``."""
    for unit, size in (("GB/s", 1e9), ("MB/s", 1e6), ("kB/s", 1e3)):
        if bytes_per_second >= size:
            return f"{number(bytes_per_second / size)} {unit}"
    return f"{bytes_per_second:.0f} B/s"


def doing(worker: Worker) -> str:
    """Say what a worker does: ``making #7 for 83 ms``."""
    if worker.state != "making":
        return worker.state
    return f"making #{worker.index} for {duration(worker.making_seconds)}"


def doing_briefly(worker: Worker) -> str:
    """Say it where there is little room: ``#7 83 ms``."""
    if worker.state != "making":
        return worker.state
    return f"#{worker.index} {duration(worker.making_seconds)}"


def takes_long(worker: Worker, loader: Loader) -> bool:
    """Tell whether an item takes much longer than others do."""
    usual = UNUSUAL * (loader.make_seconds or 0)
    return (worker.making_seconds or 0) > max(LONG_S, usual)


def waits_long(loader: Loader) -> bool:
    """Tell whether the loop has been waiting for so long now that it is worth saying."""
    return (loader.waiting_seconds or 0) > LONG_S


def counted(workers: list[Worker]) -> str:
    """Say how many workers do what: ``3 making, 1 idle``."""
    numbers = Counter(worker.state for worker in workers)
    return ", ".join(f"{numbers[state]} {state}" for state in STATES if numbers[state])


STATES = ("making", "idle", "gone", "absent")


def present(loader: Loader) -> list[Worker]:
    """Return the workers of whom there is something to say."""
    return [worker for worker in loader.workers if worker.state != "absent"]


def absent(loader: Loader) -> str:
    """Say who is not there; nothing if all are."""
    number, of = len(loader.workers) - len(present(loader)), len(loader.workers)
    if number == of and not loader.batches:
        return "no worker has started yet"
    return f"{number} of {of} places for workers are empty" if number else ""


def causes(loader: Loader) -> list[tuple[str, float]]:
    """Return what the loop waited for, and the share of time that it did."""
    return [
        ("production", loader.production_ratio),
        ("order", loader.order_ratio),
        ("upload", loader.upload_ratio),
    ]


def waited(loader: Loader) -> str:
    """Say how much of the last seconds was waited, and for what."""
    if not loader.waiting_ratio:
        return percent(0)
    split = ", ".join(f"{cause} {percent(ratio)}" for cause, ratio in causes(loader) if ratio)
    return f"{percent(loader.waiting_ratio)} ({split})"


def ready(loader: Loader) -> str:
    """Say how many batches are ready, of how many: ``4 of 10``."""
    return f"{loader.ready} of {loader.ahead}"


def notes(loader: Loader) -> Iterator[str]:
    """Say what a table of workers does not show."""
    if loader.replaced:
        others = "others took their places" if loader.replaced > 1 else "another took its place"
        yield f"{count(loader.replaced, 'worker')} ended, and {others}"
    for worker in loader.workers:
        if worker.grows_bytes_per_second:
            mib = worker.grows_bytes_per_second * 60 / (1 << 20)
            yield f"worker {worker.worker}: its memory grows {mib:.0f} MiB/min"
