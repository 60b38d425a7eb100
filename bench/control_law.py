"""``python -m bench.control_law``: the law of live tuning and a simpler one, on simulated loaders.

The simpler law has the same thresholds. It judges a growth by one window against the one before,
smooths the make times over changes, gives back two workers at a time and takes any other answer for
the look-ahead at once. Takes some seconds; nothing is measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np

from bench.plant import COURSES, MOST_AHEAD, MOST_WORKERS, Plant, run_course
from fastfeed.autotune.state import State, Window
from fastfeed.monitor.sizing import look_ahead

WINDOWS, SEEDS, LATE = 60, 40, 10


@dataclass
class SimplerLaw:
    """What it remembers."""

    workers: int
    ahead: int
    make: float = 0.0
    settling: bool = True
    trial: tuple[int, float] | None = None  # workers and capacity before the last growth
    most: int = MOST_WORKERS
    until: int = 0
    backoff: int = 4
    idle: int = 0
    answers: list[int] = field(default_factory=list)

    def decide(self, window: int, seen: Window) -> bool:
        """Change the numbers; tell whether one is another now."""
        if self.settling:
            self.settling = False
            return False
        mean = float(seen.make_seconds.mean())
        self.make = (self.make + mean) / 2 if self.make else mean
        before = self.workers, self.ahead
        self.workers = self._workers(window, seen)
        if window % 10 == 9:
            self._review(seen)
        self.ahead = max(self.ahead, self.workers + 2)
        self.settling = self.workers != before[0]
        return (self.workers, self.ahead) != before

    def _workers(self, window: int, seen: Window) -> int:
        want = math.ceil(self.make / 0.8)
        if self.trial:
            (workers, capacity), self.trial = self.trial, None
            gain = (self.workers / self.make / capacity - 1) / (self.workers / workers - 1)
            if gain < 0.25:
                self.most, self.until = workers, window + self.backoff
                self.backoff = min(40, 2 * self.backoff)
                return workers
            self.backoff = 4
        most = self.most if window < self.until else MOST_WORKERS
        full = seen.host_cpu is not None and seen.host_cpu >= 0.9
        if seen.stall > 0.03 and self.workers < most and not full:
            self.trial = self.workers, self.workers / self.make
            return min(max(want, self.workers + 1), 2 * self.workers, most)
        idle = seen.stall < 0.01 and seen.busy < 0.7 and want < self.workers
        self.idle = self.idle + 1 if idle else 0
        if self.idle < 3:
            return self.workers
        self.idle = 0
        return max(want, self.workers - 2)

    def _review(self, seen: Window) -> None:
        answer = min(MOST_AHEAD, look_ahead(seen.recent_make_seconds, 1.0, self.workers))
        self.answers = [] if answer >= self.ahead else [*self.answers, answer][-3:]
        if answer > self.ahead or (len(self.answers) == 3 and len(set(self.answers)) == 1):
            self.ahead = answer


def simpler(name: str, seed: int) -> tuple[list[float], int]:
    """Return the stalls of a course with the simpler law, and the number of changes."""
    about, workers = COURSES[name]
    plant, law = Plant(seed=seed, **about), SimplerLaw(workers, max(4, workers + 2))
    state, stalls, changes = State(workers, law.ahead), [], 0
    for window in range(WINDOWS):
        seen = plant.run(state)
        stalls.append(seen.stall)
        changes += law.decide(window, seen)
        state = replace(state, workers=law.workers, ahead=law.ahead)
    return stalls, changes


def lines() -> Iterator[str]:
    """Yield the table."""
    yield "| course | law: stall at the end, % | of all, % | changes (most) | simpler law: | | |"
    yield "|---|---|---|---|---|---|---|"
    for name in COURSES:
        ours = [run_course(name, seed) for seed in range(SEEDS)]
        cells = [
            *_cells([(course.stalls, len(course.changes)) for course in ours]),
            *_cells([simpler(name, seed) for seed in range(SEEDS)]),
        ]
        yield f"| {name} | {' | '.join(cells)} |"


def _cells(courses: list[tuple[list[float], int]]) -> list[str]:
    changes = [count for _, count in courses]
    return [
        f"{100 * np.mean([stalls[-LATE:] for stalls, _ in courses]):.1f}",
        f"{100 * np.mean([stalls for stalls, _ in courses]):.1f}",
        f"{np.mean(changes):.1f} ({max(changes)})",
    ]


if __name__ == "__main__":
    print("\n".join(lines()))
