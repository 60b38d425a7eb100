"""The answer from whatever was measured until now."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from fastfeed.monitor.journal import Records
from fastfeed.monitor.sizing import predicted_stall
from fastfeed.tuning import choice
from fastfeed.tuning.choice import Choice, Outcome, Room
from fastfeed.tuning.overlap import FEWEST_ROUNDS
from fastfeed.tuning.result import Block, Point, StepTimes, TuneResult
from fastfeed.tuning.words import verdict

FEW_BATCHES = 30


@dataclass
class Measured:
    """What was measured until now.

    Parameters
    ----------
    room : Room
    points : list of Point
    step : StepTimes or None
    blocks : list of Block
        Several numbers of workers in turn.
    sweep : list of Block
        The answer, also with shorter queues, each in one piece.
    timeline : records or None
        Of the answer, without pauses.
    one_stream : bool
        The source cannot be divided.
    warnings : list of str
    """

    room: Room
    points: list[Point] = field(default_factory=list)
    step: StepTimes | None = None
    blocks: list[Block] = field(default_factory=list)
    sweep: list[Block] = field(default_factory=list)
    timeline: Records | None = None
    one_stream: bool = False
    warnings: list[str] = field(default_factory=list)

    @property
    def step_seconds(self) -> float | None:
        """Tc; None: there is no step, or it was not measured."""
        return self.step.median if self.step else None

    @property
    def rungs(self) -> list[Point]:
        """The points with workers, fewest first."""
        return sorted((each for each in self.points if each.workers), key=lambda p: p.workers)

    @property
    def inline(self) -> Point | None:
        """The point of the calling thread."""
        return next((point for point in self.points if not point.workers), None)

    def from_times(self) -> Choice | None:
        """Return the answer from the times alone, with at least one worker; None without any."""
        if not self.rungs:
            return None
        return choice.choose(self.rungs, self.step_seconds, self.room)

    def outcome(self) -> Outcome | None:
        """Return the answer from the real loops; None if there were too few."""
        if len({block.round for block in self.blocks}) < FEWEST_ROUNDS:
            return None
        able = [block for block in self.blocks if self._is_able(block.workers)]
        return choice.settle(able or self.blocks)

    def _is_able(self, workers: int) -> bool:
        """Return whether so many workers make enough in the long run: a queue hides it for long."""
        if not workers or self.step_seconds is None:
            return True
        made = choice.make_seconds(self.rungs, workers).mean()
        return bool(made / workers <= choice.AS_GOOD * self.step_seconds)

    def final(self) -> Choice | None:
        """Return the answer: from the real loops, else from the times."""
        first, outcome = self.from_times(), self.outcome()
        if first is None:
            return None
        if outcome is None:
            workers = 0 if self._inline_is_as_good(first) else first.workers
        else:
            workers = outcome.workers
        if workers == first.workers:
            return first
        return self._inline(first) if workers == 0 else self._neighbour(first, workers)

    def _inline_is_as_good(self, first: Choice) -> bool:
        """Return whether the calling thread is, by the times, as fast as the workers."""
        if self.inline is None:
            return False
        if self.step_seconds is None:
            best = max(point.batches_per_second.mean for point in self.rungs)
            return self.inline.batches_per_second.mean * choice.AS_GOOD >= best
        with_workers = self.step_seconds / (1 - min(first.stall or 0.0, 0.99))
        return self.step_seconds + self.inline.make_mean_seconds <= choice.AS_GOOD * with_workers

    def _inline(self, first: Choice) -> Choice:
        """Return the calling thread as the answer: it waits for the whole making."""
        stall = None
        if self.inline is not None and self.step_seconds is not None:
            made = self.inline.make_mean_seconds
            stall = made / (made + self.step_seconds)
        return dataclasses.replace(first, workers=0, ahead=1, bound="workers", stall=stall)

    def _neighbour(self, first: Choice, workers: int) -> Choice:
        """Return another number of workers with the queue that it was compared with."""
        assert self.step_seconds is not None
        ahead = next(block.ahead for block in self.blocks if block.workers == workers)
        made = choice.make_seconds(self.rungs, workers)
        stall = predicted_stall(made, self.step_seconds, workers, ahead)
        return dataclasses.replace(first, workers=workers, ahead=ahead, stall=stall)


def answer(measured: Measured, empty: TuneResult) -> TuneResult:
    """Return the result.

    Parameters
    ----------
    measured : Measured
    empty : TuneResult
        With everything that is known without measuring, and the answer where nothing was measured.
    """
    final, outcome = measured.final(), measured.outcome()
    result = dataclasses.replace(
        empty,
        step=measured.step,
        points=tuple(measured.points),
        blocks=tuple(measured.blocks + measured.sweep),
        slot_bytes=measured.room.slot_bytes,
        one_stream=measured.one_stream,
        warnings=(*measured.warnings, *_doubts(measured)),
    )
    if final is not None:
        result = dataclasses.replace(
            result,
            workers=final.workers,
            max_queue_size=final.ahead,
            bound=final.bound,
            predicted_stall=final.stall,
            measured_stall=_stall(result.blocks, final),
            step_seconds=final.step_seconds,
            needed_workers=final.needed,
            timeline=empty.timeline if measured.timeline is None else measured.timeline,
        )
    flat = outcome is not None and outcome.flat
    return dataclasses.replace(result, verdict=verdict(result, flat))


def _stall(blocks: Sequence[Block], final: Choice) -> float | None:
    """Return the share of the time that a loop with the answer waited."""
    own = [
        block for block in blocks if (block.workers, block.ahead) == (final.workers, final.ahead)
    ]
    seconds = math.fsum(block.seconds for block in own)
    return math.fsum(block.stall * block.seconds for block in own) / seconds if own else None


def _doubts(measured: Measured) -> list[str]:
    """Return what makes the answer less sure."""
    found = []
    batches = max((len(point.make_seconds) for point in measured.points), default=0)
    if 0 < batches < FEW_BATCHES:
        found.append(
            f"No more than {batches} batches were measured with any number of workers; slow ones "
            "among the others would ask for a longer queue. Give it more time (--budget)."
        )
    if measured.blocks and measured.outcome() is None:
        found.append(
            f"Fewer than {FEWEST_ROUNDS} rounds of workers and step together: the number of "
            "workers is from the times alone."
        )
    return found
