"""A simulated loader and consumer, for the control law to steer."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

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

    stalls: list[float]
    changes: list[tuple[int, Change]]
    remarks: list[Change]
    final: State

    @property
    def late_stall(self) -> float:
        """Of the last ten windows."""
        return float(np.mean(self.stalls[-10:]))


def steer(plant: Plant, limits: Limits, workers: int, ahead: int, windows: int = 60) -> Course:
    """Let the law steer the plant."""
    state = State(workers, ahead)
    course = Course([], [], [], state)
    for window in range(windows):
        seen = plant.run(state)
        course.stalls.append(seen.stall)
        before = (state.workers, state.ahead)
        state, change = decide(state, seen, limits)
        if change is not None and (change.workers, change.ahead) != before:
            course.changes.append((window, change))
        elif change is not None:
            course.remarks.append(change)
    course.final = state
    return course
