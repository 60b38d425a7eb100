"""Tunes: measures one thing after the other, within the time."""

from __future__ import annotations

import datetime
import math
import time
from typing import Any, Protocol

from fastfeed._core import headroom
from fastfeed.errors import ArgumentError, FastFeedError, OutOfMemory, SourceError
from fastfeed.monitor.words import duration
from fastfeed.tuning import choice, consumer, ladder, producer
from fastfeed.tuning.answer import Measured, answer
from fastfeed.tuning.choice import Choice, Room
from fastfeed.tuning.consumer import Step
from fastfeed.tuning.deadline import OutOfTime, alarm
from fastfeed.tuning.feeding import Feeding
from fastfeed.tuning.machine import machine, versions
from fastfeed.tuning.overlap import FEWEST_ROUNDS, LEAST_SECONDS, LEAST_STEPS, Comparison, one_block
from fastfeed.tuning.result import Ended, Point, TuneResult
from fastfeed.tuning.words import count, rate

CONSUMER, PRODUCER, OVERLAP, SWEEP = 0.10, 0.45, 0.27, 0.03
"""Shares of the budget, at the most; the last one for each length of the queue."""
SLOW_POINT = 1 / 3
"""Of the producer's share: so long one number of workers may take where batches are slow."""
WINDOW_SECONDS = 3.0
START_SECONDS = 0.3
"""Allowed for, for the workers of one measurement to start."""
SWEEP_SECONDS = 0.15
"""Less shows nothing."""
SWEPT_LENGTHS = 3
SWEPT = 1000
"""Rounds from this number on are of their own, and not to be compared."""
CLOSE_SECONDS, CLOSE_SHARE = 1.5, 0.09
"""Kept for the end of workers that are in the middle of something that takes long."""
MEMORY = 0.25
"""Share of the free memory that workers may take up: while loaders are compared there are three
times as many, and the training needs some."""
SILENT_TIMES = 20
"""A pause of more than so many times the longest making is no slow batch."""


class Watcher(Protocol):
    """Is told how it goes on."""

    def begin(self, what: str) -> None:
        """Something is being measured."""

    def found(self, what: str) -> None:
        """Something was measured."""


class Tuning:
    """One run.

    Parameters
    ----------
    feeding : Feeding
    step : Step or None
    cores : float
        That all ranks may use together.
    budget_seconds : float
    watcher : Watcher
    """

    def __init__(
        self,
        feeding: Feeding,
        step: Step | None,
        cores: float,
        budget_seconds: float,
        watcher: Watcher,
    ) -> None:
        self._feeding = feeding
        self._step = step
        self._cores = cores / feeding.ranks
        self._budget = budget_seconds
        self._watcher = watcher
        self._too_slow = ""
        self._most_workers = ladder.MOST_WORKERS
        self._window = WINDOW_SECONDS
        self._end = 0.0
        self._measured = Measured(
            Room(feeding.memory_bytes // feeding.ranks), step=step.given if step else None
        )

    def run(self, name: str) -> TuneResult:
        """Measure what there is time for, and answer.

        Parameters
        ----------
        name : str
            What is tuned, for the result.

        Raises
        ------
        ArgumentError
            The loader refuses one of its arguments.
        """
        started = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        begin = time.perf_counter()
        self._end = begin + self._budget - min(CLOSE_SECONDS, CLOSE_SHARE * self._budget)
        try:
            with alarm(self._end):
                self._measure(begin)
            ended, error = Ended.OUT_OF_TIME if self._too_slow else Ended.DONE, self._too_slow
        except OutOfTime:
            ended = Ended.OUT_OF_TIME
            error = self._too_slow or f"The budget of {self._budget:g} s was used up."
        except KeyboardInterrupt:
            ended, error = Ended.INTERRUPTED, "Interrupted."
        except ArgumentError:
            raise  # of the loader's arguments, before anything was measured
        except Exception as raised:
            ended, error = Ended.FAILED, described(raised)
        return answer(self._measured, self._empty(name, started, begin, ended, error))

    def _empty(self, name: str, started: str, begin: float, ended: Ended, error: str) -> TuneResult:
        """Return what is known without measuring."""
        workers = max(1, math.floor(self._cores))
        return TuneResult(
            source=name,
            workers=workers,
            max_queue_size=workers + choice.SPARE,
            bound="default",
            verdict="",
            ended=ended,
            error=error,
            budget_seconds=self._budget,
            seconds=time.perf_counter() - begin,
            memory_bytes=self._feeding.memory_bytes,
            ranks=self._feeding.ranks,
            batch_size=self._feeding.batch_size,
            threads=self._feeding.threads,
            machine=machine(),
            versions=versions(),
            started=started,
        )

    # -- measuring --------------------------------------------------------------------------

    def _measure(self, begin: float) -> None:
        share = PRODUCER * self._budget
        self._window = self._window_seconds(share, 0, START_SECONDS)
        batch = self._produce(1, begin + SLOW_POINT * share)
        consuming = time.perf_counter()
        if self._step is not None:
            self._consume(self._step, batch, begin)
        del batch  # its slot
        self._climb(begin + share + time.perf_counter() - consuming, SLOW_POINT * share)
        if self._step is not None:
            self._compare(self._step)

    def _climb(self, end: float, slow: float) -> None:
        """Measure other numbers of workers than one."""
        measured = self._measured
        for one in measured.points[:1]:
            left = end - time.perf_counter()
            self._window = self._window_seconds(left, 1, one.first_batch_seconds)
            if ladder.inline_is_worth_it(one, measured.step_seconds):
                self._produce(0, end)
        while time.perf_counter() + START_SECONDS < end and not self._measured.one_stream:
            workers = ladder.next_workers(
                measured.points, self._cores, measured.step_seconds, self._most_workers
            )
            if workers is None:
                return
            self._produce(workers, min(end, time.perf_counter() + slow))

    def _window_seconds(self, seconds: float, done: int, start: float) -> float:
        """Return how long each number of workers is measured, if each start takes so long."""
        each = seconds / (ladder.expected_rungs(self._cores) - done)
        return min(WINDOW_SECONDS, max(each - start, each / 2))

    def _produce(self, workers: int, end: float) -> Any:
        """Measure so many workers alone; return a batch."""
        self._watcher.begin(f"{count(workers)} alone")
        run = producer.Run(self._feeding, workers, self._measured.room.slot_bytes)
        try:
            run.go(self._window, min(end, self._end), self._end)
        finally:
            self._keep(run)
        return run.batch

    def _keep(self, run: producer.Run) -> None:
        if run.worker_bytes:
            fit = int(MEMORY * headroom() / (run.worker_bytes * self._feeding.ranks))
            self._most_workers = max(1, min(self._most_workers, fit))
        if run.slot_bytes:
            room = self._measured.room
            self._measured.room = Room(room.memory_bytes, run.slot_bytes, run.kept_slots)
        if run.real_workers < run.workers * self._feeding.ranks:
            self._measured.one_stream = True
            self._measured.warnings.append(
                "The source is one stream, which runs in one worker. A generator function with "
                "the parameters shard and num_shards runs in several."
            )
            if self._measured.points:
                return
        if run.point is not None:
            self._add(run.point, run.silent_seconds)

    def _add(self, point: Point, silent_seconds: float) -> None:
        self._measured.points.append(point)
        made = rate(point.batches_per_second.mean)
        self._watcher.found(f"{count(point.workers)} alone: {made} batches/s")
        if silent_seconds > max(producer.SILENT_SECONDS, SILENT_TIMES * point.make_seconds.max()):
            raise SourceError(
                f"With {count(point.workers)}, no batch came for {duration(silent_seconds)} after "
                "those that are measured: an item of the source hangs, or takes far longer than "
                "the others."
            )

    def _consume(self, step: Step, batch: Any, begin: float) -> None:
        """Measure the step alone."""
        self._watcher.begin("the step alone")
        end = time.perf_counter() + CONSUMER * self._budget
        times = consumer.measure(step, batch, end, max(end, begin + self._budget / 2))
        self._measured.step = times
        if times is None:
            self._too_slow = "Not one step ended in half of the budget: this is without a step."
        else:
            self._watcher.found(f"the step alone: {duration(times.median)}")

    # -- both together ----------------------------------------------------------------------

    def _compare(self, step: Step) -> None:
        """Compare the answer from the times with its neighbours, in real loops."""
        chosen = self._measured.from_times()
        if chosen is None or self._measured.step is None:
            return
        if self._feeding.ranks > 1:
            self._measured.warnings.append(
                "With several ranks, workers and step are measured apart, not together."
            )
            return
        seconds_left = min(
            OVERLAP * self._budget,
            self._end - time.perf_counter() - SWEPT_LENGTHS * SWEEP * self._budget,
        )
        if seconds_left < self._least_seconds(chosen):
            self._measured.warnings.append(
                "There was no time to measure workers and step together. Give it more (--budget)."
            )
            return
        self._watcher.begin("workers and step together")
        try:
            self._alternate(step, chosen, seconds_left)
        except OutOfMemory as error:
            self._measured.warnings.append(f"Workers and step were not measured together. {error}")
            return
        self._sweep(step, self._measured.final() or chosen)

    def _least_seconds(self, chosen: Choice) -> float:
        """Return the least time that the real loops need, with their start."""
        started = max(point.first_batch_seconds for point in self._measured.points)
        block = max(LEAST_SECONDS, LEAST_STEPS * _pace(chosen))
        return started + len(self._lanes(chosen)) * FEWEST_ROUNDS * block

    def _alternate(self, step: Step, chosen: Choice, seconds: float) -> None:
        comparison = Comparison(self._feeding, step, self._lanes(chosen))
        self._measured.blocks = comparison.blocks
        comparison.go(_pace(chosen), seconds)
        for block in comparison.blocks[-len(self._lanes(chosen)) :]:
            self._watcher.found(
                f"{count(block.workers)} and the step: {duration(block.seconds_per_batch)} a batch"
            )

    def _lanes(self, chosen: Choice) -> list[tuple[int, int]]:
        """Return the answer, its neighbours, and the calling thread where that may be best."""
        most = 1 if self._measured.one_stream else self._most_workers
        near = [each for each in range(chosen.workers - 1, chosen.workers + 2) if 1 <= each <= most]
        longest = self._measured.room.most_ahead
        lanes = [(each, min(longest, max(chosen.ahead, each + choice.SPARE))) for each in near]
        return [(0, 1), *lanes] if self._measured.inline else lanes

    def _sweep(self, step: Step, chosen: Choice) -> None:
        """Train without pauses; with shorter queues too, to compare with the prediction."""
        shorter = sorted({1, chosen.workers} - {0, chosen.ahead}) if chosen.workers else []
        for number, ahead in enumerate([chosen.ahead, *shorter]):
            seconds = min(SWEEP * self._budget, self._end - time.perf_counter() - START_SECONDS)
            if seconds < SWEEP_SECONDS:
                return
            self._watcher.begin(f"max_queue_size={ahead}")
            block, records = one_block(
                self._feeding, step, chosen.workers, ahead, seconds, SWEPT + number
            )
            self._measured.sweep.append(block)
            if ahead == chosen.ahead:
                self._measured.timeline = records


def _pace(chosen: Choice) -> float:
    """Return the seconds that a step and its waiting take, by the times."""
    return chosen.step_seconds / (1 - min(chosen.stall or 0.0, 0.99))


def described(error: Exception) -> str:
    """Say in a sentence what was raised; fastfeed's own errors say it themselves."""
    if isinstance(error, FastFeedError):
        return str(error)
    return f"The source failed with {type(error).__name__}: {error}".rstrip(".: ") + "."
