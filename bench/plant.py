"""A simulated loader and consumer, for the control law to steer."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fastfeed.autotune.law import decide
from fastfeed.autotune.state import Change, Limits, State, Window

STEP_S = 1.0
STEPS = 50
CONTENTION = 0.03
"""What each further set of workers on the same cores costs all of them."""
RECENT = 500
SOON = 0.01


@dataclass
class Plant:
    """Workers that share cores, and a consumer that takes `STEP_S` for each batch.

    Parameters
    ----------
    make : callable
        Mean time to make a batch alone on a core, in steps, for each window.
    cores : int
        That the workers have; the consumer's is not among them.
    cpu : float
        Share of a making in which it computes (the rest sleeps, and shares nothing).
    """

    make: Callable[[int], float]
    cores: int
    seed: int
    spread: float = 0.4
    tail: float = 0.0  # share of batches that take ten times as long
    cpu: float = 1.0
    knows_cpu: bool = True
    now: float = 0.0
    window: int = 0
    posted: int = 0
    taken: int = 0
    free_at: list[float] = field(default_factory=list)
    ready_at: list[float] = field(default_factory=list)
    made: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    def draw(self, workers: int) -> float:
        """How long the next batch takes with so many workers at once."""
        sigma = np.sqrt(np.log1p(self.spread**2))
        alone = self.make(self.window) * self.random.lognormal(-(sigma**2) / 2, sigma)
        if self.random.random() < self.tail:
            alone *= 10
        sets = max(1.0, workers * self.cpu / self.cores)
        slower = sets * (1 + CONTENTION * (sets - 1))
        return alone * (1 - self.cpu + self.cpu * slower)

    def resize(self, workers: int) -> None:
        """Have so many workers: new ones start now, the first that are free go home."""
        while len(self.free_at) < workers:
            heapq.heappush(self.free_at, self.now)
        while len(self.free_at) > workers:
            heapq.heappop(self.free_at)

    def run(self, state: State) -> Window:
        """Let the consumer make a window's steps."""
        self.resize(state.workers)
        started, waited, first = self.now, 0.0, self.posted
        for _ in range(STEPS):
            while self.posted < self.taken + state.ahead:
                seconds = self.draw(state.workers)
                self.made.append(seconds)
                self.ready_at.append(max(self.now, self.free_at[0]) + seconds)
                heapq.heapreplace(self.free_at, self.ready_at[-1])
                self.posted += 1
            waits = max(0.0, self.ready_at[self.taken] - self.now)
            waited += waits
            self.now += waits + STEP_S
            self.taken += 1
        self.window += 1
        made = np.array(self.made[min(first, self.posted - STEPS) :])
        busy = min(1.0, float(made.sum()) / ((self.now - started) * state.workers))
        used = min(self.cores, busy * state.workers * self.cpu)
        return Window(
            stall=waited / (self.now - started),
            wait_seconds=waited / STEPS + SOON,
            make_seconds=made,
            recent_make_seconds=np.array(self.made[-RECENT:]),
            step_seconds=STEP_S,
            busy=busy,
            host_cpu=used / self.cores if self.knows_cpu else None,
            worker_cores=used if self.knows_cpu else None,
        )


@dataclass
class Course:
    """What came of it."""

    stalls: list[float]  # of each window
    changes: list[tuple[int, Change]]  # with their windows
    remarks: list[Change]
    final: State

    @property
    def late_stall(self) -> float:
        """Of the last ten windows."""
        return float(np.mean(self.stalls[-10:]))


def steer(plant: Plant, limits: Limits, workers: int, ahead: int, windows: int = 60) -> Course:
    """Let the law steer the plant."""
    state = State(workers, ahead)
    stalls, changes, remarks = [], [], []
    for window in range(windows):
        seen = plant.run(state)
        stalls.append(seen.stall)
        before = (state.workers, state.ahead)
        state, change = decide(state, seen, limits)
        if change is not None and (change.workers, change.ahead) != before:
            changes.append((window, change))
        elif change is not None:
            remarks.append(change)
    return Course(stalls, changes, remarks, state)


MOST_WORKERS, MOST_AHEAD = 32, 64
COURSES: dict[str, tuple[dict[str, Any], int]] = {
    # what the plant is like, and the workers to begin with; times in steps
    "8 steps a batch, 16 cores": ({"make": lambda w: 8, "cores": 16}, 10),
    "the same, from one worker": ({"make": lambda w: 8, "cores": 16}, 1),
    "8 steps, 4 cores": ({"make": lambda w: 8, "cores": 4}, 3),
    "8 steps, 4 cores, processors not seen": (
        {"make": lambda w: 8, "cores": 4, "knows_cpu": False},
        3,
    ),
    "half a step": ({"make": lambda w: 0.5, "cores": 16}, 1),
    "4, then 10 steps": ({"make": lambda w: 4 if w < 30 else 10, "cores": 16}, 5),
    "10, then 3 steps": ({"make": lambda w: 10 if w < 30 else 3, "cores": 16}, 13),
    "8, 2, then 8 steps": ({"make": lambda w: 2 if 20 <= w < 40 else 8, "cores": 16}, 10),
    "4 steps, 1 % ten times slower": ({"make": lambda w: 4, "cores": 16, "tail": 0.01}, 6),
    "6 steps, spread 1.0": ({"make": lambda w: 6, "cores": 16, "spread": 1.0}, 8),
    "8 steps, 98 % asleep, 2 cores": ({"make": lambda w: 8, "cores": 2, "cpu": 0.02}, 1),
}
"""What the law is tried on: `spread` is 0.4 where nothing else is said."""


def run_course(name: str, seed: int, windows: int = 60) -> Course:
    """Steer one of `COURSES`."""
    plant, workers = COURSES[name]
    limits = Limits(MOST_WORKERS, plant["cores"], MOST_AHEAD)
    return steer(Plant(seed=seed, **plant), limits, workers, max(4, workers + 2), windows)
