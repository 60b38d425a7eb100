"""Producer and consumer together, with some numbers of workers in turn."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence

from fastfeed.monitor.journal import Records
from fastfeed.tuning.consumer import Step
from fastfeed.tuning.feeding import Feeding, endless
from fastfeed.tuning.result import Block

ROUNDS = 5
FEWEST_ROUNDS = 3
"""Fewer do not show what is noise."""
SETTLING = 0.5
"""Share of a block that is at most not measured."""
QUEUES = 2
"""Times that a block uses up a full queue, if there is time for that."""
LEAST_SECONDS = 0.1
LEAST_STEPS = 5
TIMELINE_BATCHES = 2000


class Lane:
    """A loader that takes its turn. Between turns its workers fill the queue and then sleep.

    Parameters
    ----------
    feeding : Feeding
    workers, ahead : int
    """

    def __init__(self, feeding: Feeding, workers: int, ahead: int) -> None:
        self.workers = workers
        self.ahead = ahead
        self._loader = feeding.loader(workers, ahead)
        self._view = self._loader._view()
        self._batches = endless(self._loader)
        self._ready = 0
        self._begun_ns = 0

    def settle(self, step: Step, seconds: float) -> None:
        """Train until the queue has been used up once, or for so long."""
        stop = time.perf_counter() + seconds
        for _ in range(self.ahead + self.workers):
            step(next(self._batches))
            if time.perf_counter() >= stop:
                break
        self._ready = self._view.totals().ready

    def run(self, step: Step, seconds: float, number: int) -> Block:
        """Train for so long, and measure all of it but the beginning."""
        self._forget_pause()
        clock = time.perf_counter
        stop = clock() + seconds
        self.settle(step, SETTLING * seconds)
        waited, steps, begun = 0.0, 0, clock()
        self._begun_ns = time.monotonic_ns()
        now = begun
        while now < stop or steps < LEAST_STEPS:
            batch = next(self._batches)
            waited += clock() - now
            step(batch)
            del batch  # or its slot stays taken during the next one's wait
            steps += 1
            now = clock()
        self._ready = self._view.totals().ready
        spent = now - begun
        return Block(self.workers, self.ahead, number, steps, spent, waited / spent)

    def _forget_pause(self) -> None:
        """Drop what was made since the last turn: the queue is as full as it was then.

        That slow batches were finished meanwhile cannot be undone: settling is for that.
        """
        for _ in range(self._view.totals().ready - self._ready):
            next(self._batches)

    def timeline(self) -> Records:
        """Return records of the last turn, and of what was made ahead in it; ends the training."""
        for _ in range(self._view.totals().ready):
            next(self._batches)
        records = self._view.records()
        return records[records["asked_ns"] >= self._begun_ns][:TIMELINE_BATCHES]

    def close(self) -> None:
        """End the workers."""
        self._loader.close()


def one_block(
    feeding: Feeding, step: Step, workers: int, ahead: int, seconds: float, number: int
) -> tuple[Block, Records]:
    """Return one block of a loader of its own, without pauses, and its records."""
    lane = Lane(feeding, workers, ahead)
    try:
        block = lane.run(step, seconds, number)
        return block, lane.timeline()
    finally:
        lane.close()


class Comparison:
    """Several lanes, block by block in turn. What was measured stays here when it is interrupted.

    Parameters
    ----------
    feeding : Feeding
    step : Step
    lanes : sequence of (int, int)
        Workers and `max_queue_size` of each.
    """

    def __init__(self, feeding: Feeding, step: Step, lanes: Sequence[tuple[int, int]]) -> None:
        self.blocks: list[Block] = []
        self._feeding = feeding
        self._step = step
        self._settings = lanes

    def go(self, step_seconds: float, seconds: float) -> None:
        """Run rounds for about so long.

        Parameters
        ----------
        step_seconds : float
            What a step takes, with its waiting, about.
        seconds : float
            In all.
        """
        end = time.perf_counter() + seconds
        with contextlib.ExitStack() as undo:
            lanes = []
            for setting in self._settings:  # they start side by side
                lanes.append(Lane(self._feeding, *setting))
                undo.callback(lanes[-1].close)
            for lane in lanes:
                lane.settle(self._step, self._block_seconds(step_seconds, seconds) / 2)
            block = self._block_seconds(step_seconds, end - time.perf_counter())
            self._rounds(lanes, block, end)

    def _block_seconds(self, step_seconds: float, seconds: float) -> float:
        """Return how long a block is: long enough to empty a queue, if that leaves some rounds."""
        even = seconds / (len(self._settings) * ROUNDS)
        longest = seconds / (len(self._settings) * FEWEST_ROUNDS)
        queue = QUEUES * max(ahead for _, ahead in self._settings) * step_seconds
        return max(even, min(queue, longest), LEAST_SECONDS, LEAST_STEPS * step_seconds)

    def _rounds(self, lanes: list[Lane], block: float, end: float) -> None:
        """Alternate; every other round runs backwards, so that none is always the first."""
        for number in range(ROUNDS):
            for lane in lanes if number % 2 else reversed(lanes):
                if time.perf_counter() + block / 2 > end and number:
                    return
                self.blocks.append(lane.run(self._step, block, number))
