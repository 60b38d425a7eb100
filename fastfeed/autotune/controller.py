"""When a window is over, and carrying out what the law decides.

Everything here runs in the consumer's thread, inside ``next()``: a comparison a batch, some
milliseconds a window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from fastfeed._core import Belt
from fastfeed.autotune.history import Decision, decision
from fastfeed.autotune.law import decide, start
from fastfeed.autotune.observing import Observer
from fastfeed.autotune.options import Elastic
from fastfeed.autotune.state import Change, Limits, Rule, State, Window
from fastfeed.monitor.journal import Records, View
from fastfeed.workers.pool import ElasticPool

WINDOW_STEPS = 50
WINDOW_S = 2.0
FIRST_BATCHES = 4
"""That the first number of workers is chosen from. With three steps between them; the very first
batch, for which workers import things, is not among them."""
LATE_WINDOWS = 5
"""A worker that has made nothing in so many windows is not waited for: it hangs in an item, or
there is nothing to do for it."""


class Autotune:
    """Chooses the number of workers and of batches ahead while the loop runs.

    What batches hold does not depend on it, and neither does their order: both follow from the
    seed, the epoch and the index alone.

    Attributes
    ----------
    history : list of Decision
        What was decided, when, and why; oldest first.
    """

    def __init__(
        self,
        options: Elastic,
        pool: ElasticPool,
        belt: Belt,
        view: View,
        *,
        ordered: bool,
        waiting: int,
        room: Callable[[], int],
    ) -> None:
        """Not for users: a `Loader` makes it.

        Parameters
        ----------
        waiting : int
            Batches that wait on a GPU, which the belt counts as ahead.
        room : callable
            Returns how many batches ahead there are slots for.
        """
        self.history: list[Decision] = []
        self._frozen = False
        self._pool = pool
        self._belt = belt
        self._waiting = waiting
        self._room = room
        self._note = options.note
        self._observer = Observer(view, pool)
        self._limits = Limits(
            workers=options.most_workers,
            cores=options.cores,
            ahead=options.most_ahead,
            tunes_workers=options.tunes_workers,
            tunes_ahead=options.tunes_ahead,
            ordered=ordered,
        )
        self._state = State(pool.size, belt.ahead - waiting)
        self._has_started = False
        self._late = 0

    # -- for users --------------------------------------------------------------------------

    @property
    def workers(self) -> int:
        """Workers, now."""
        return self._state.workers

    @property
    def ahead(self) -> int:
        """Batches ready or in the making ahead of the consumer, at the most, now."""
        return self._state.ahead

    @property
    def advice(self) -> str:
        """What would be better and cannot be done from here, in a sentence; empty: nothing."""
        for entry in reversed(self.history):
            if entry.rule == Rule.NO_USE:
                return entry.reason
            if entry.is_change:
                break
        return ""

    @property
    def frozen(self) -> bool:
        """Nothing is changed any more."""
        return self._frozen

    def freeze(self) -> None:
        """Leave everything as it is, from now on: for a measurement, or once it is good."""
        self._frozen = True

    def thaw(self) -> None:
        """Go on after `freeze`."""
        self._frozen = False
        self._state = replace(self._state, settling=1)
        self._observer.begin()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Change nothing meanwhile: what the loop does now is not training."""
        was_frozen, self._frozen = self._frozen, True
        try:
            yield
        finally:
            if not was_frozen:
                self.thaw()

    def __repr__(self) -> str:
        state = "; frozen" if self._frozen else ""
        return f"Autotune(workers={self.workers}, ahead={self.ahead}{state})"

    # -- for the loop -----------------------------------------------------------------------

    def look(self) -> int:
        """See whether there is something to decide, and do it. For the consumer only.

        Returns
        -------
        int
            After so many batches posted it is worth while to look again.
        """
        observer, posted = self._observer, self._belt.posted
        if self._frozen:
            return self._belt.batches + WINDOW_STEPS
        if not observer.has_begun:  # by now there are workers to look at
            observer.begin()
        elif not self._has_started:
            self._start(observer.records(posted))
        elif observer.steps >= WINDOW_STEPS and observer.seconds >= WINDOW_S:
            self._close_window(observer.records(posted))
        return self._belt.batches + self._until_next()

    def _until_next(self) -> int:
        """Return in how many steps the window may be over, at the present speed."""
        steps, seconds = self._observer.steps, self._observer.seconds
        if not self._has_started or not steps:
            return 1
        by_time = int(steps * (WINDOW_S - seconds) / seconds)
        return max(1, WINDOW_STEPS - steps, min(by_time, steps))

    def _start(self, records: Records) -> None:
        """Choose the first number of workers, from the first few batches."""
        seen = self._observer.look(records) if len(records) >= FIRST_BATCHES else None
        if seen is None:
            return
        self._has_started = True
        before, limits = self._state, self._present_limits()
        change = start(before, seen, limits, self._note)
        if change is not None:
            self._state = replace(before, workers=change.workers, ahead=change.ahead)
            self._apply(before, change, seen)
        self._observer.begin()

    def _close_window(self, records: Records) -> None:
        """Hear what the law says about a window; a new one begins."""
        self._pool.tend()  # the loop does so only while it waits
        seen = self._observer.look(records)
        if seen is not None and not self._is_late(records):
            # Whatever an interrupted change has left undone.
            ahead = self._belt.ahead - self._waiting
            before = replace(self._state, workers=self._pool.size, ahead=ahead)
            self._state, change = decide(before, seen, self._present_limits())
            if change is not None:
                self._apply(before, change, seen)
        self._observer.begin()

    def _present_limits(self) -> Limits:
        """Return the limits as they are now that the size of a batch is known."""
        return replace(self._limits, ahead=min(self._limits.ahead, self._room()))

    def _is_late(self, records: Records) -> bool:
        """Tell whether workers that were started have still made nothing: windows that end before
        they do say nothing about them.
        """
        missing = set(self._pool.workers).difference(records["worker"].tolist())
        self._late = self._late + 1 if missing and self._state.settling else 0
        return 0 < self._late < LATE_WINDOWS

    def _apply(self, before: State, change: Change, seen: Window) -> None:
        """Carry out a change and write it down."""
        self.history.append(
            decision(self._observer.now_s, self._observer.batches, before, change, seen)
        )
        try:
            self._resize(change.workers, change.ahead)
        except (OSError, RuntimeError) as error:  # one is WorkersLost
            self._refused(change, seen, error)

    def _refused(self, change: Change, seen: Window, error: Exception) -> None:
        """Go on with the workers there are: the system gives no more, and will not later."""
        size = self._pool.size
        self._limits = replace(self._limits, workers=size)
        self._state = replace(self._state, workers=size)
        why = f"more than {size} workers cannot be started: {error}"
        left = Change(Rule.REFUSED, size, change.ahead, why)
        now_s, batches = self._observer.now_s, self._observer.batches
        self.history.append(decision(now_s, batches, self._state, left, seen))

    def _resize(self, workers: int, ahead: int) -> None:
        """Have so many workers, and batches ahead; workers that are too many finish theirs."""
        self._belt.ahead = ahead + self._waiting
        if workers > self._pool.size:
            self._pool.add(workers - self._pool.size)
        for worker in self._pool.workers[workers:]:
            self._pool.drain(worker)
