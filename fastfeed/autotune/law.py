"""The control law: from what a window of steps showed to the numbers of the next one.

Feed-forward by Little's law on the measured make times, with two vetoes (somebody else needs the
processors; more workers made no more batches) and a look-ahead that covers the slow batches.
docs/autotune.md says what each rule is for and what it was measured against.

Symbols: W workers, D batches ahead, S mean make time, Tc step without waiting.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from fastfeed.autotune.state import Bar, Change, Limits, Rule, State, Trial, Window
from fastfeed.monitor.sizing import look_ahead, workers_needed
from fastfeed.monitor.words import duration

SHORT = 0.03
"""More stall than this is to be cured."""
ENOUGH = 0.01
"""With less than this nothing is missing."""
IDLE = 0.65
"""Workers that are busy for less of their time are too many."""
BUSY = 0.85
"""Workers that are busy for less of their time are not what is missing."""
FULL = 0.90
"""Of the host's processors: with more workers, the training's own threads would wait."""
LIGHT = 0.1
"""Cores. A worker that uses less waits for something else, and can do so on a full host."""
USEFUL = 0.25
"""Of the gain that would be in proportion: with less, more workers are of no use."""
PATIENCE = 3
"""Windows in a row that must say that there are too many."""
CLEARLY = 3.0
"""Standard errors between two means that are not the same by chance."""
REVIEW_WINDOWS = 10
BACKOFF_WINDOWS = 8
MOST_BACKOFF_WINDOWS = 64
UNORDERED_SLACK = 6
"""Batches ahead beyond the workers that are enough where order does not matter."""
LEAST_AHEAD = 10
"""With shorter queues somebody is woken for each batch. One of 2 kB then takes 10 us, not 6."""
TOLERANCE = 1.1
"""Measured use of processors wavers by so much."""
LEAST_STEP_S = 1e-7
"""A loop without any work in it."""

Answer = tuple[State, Change | None]


def start(state: State, seen: Window, limits: Limits, note: str = "") -> Change | None:
    """Return the numbers to begin with, from the first few batches; None: those that are.

    Parameters
    ----------
    note : str
        Why the number of workers cannot change, if it cannot.
    """
    if not limits.tunes_workers:
        return remark(Rule.START, state, note) if note else None
    usual = float(np.median(seen.make_seconds))  # the first one has imports to do
    want = workers_needed(usual, max(seen.step_seconds, LEAST_STEP_S))
    most = min(limits.workers, limits.ahead)
    if seen.worker_cores is None:
        most = min(most, int(limits.cores))
    workers = max(state.workers, min(want, most, affordable(state, seen, limits)))
    if workers == state.workers:
        return None
    why = (
        f"the first batches took {duration(usual)} to make and {duration(seen.step_seconds)} to "
        f"use, which asks for {want} workers"
    )
    ahead = max(state.ahead, workers + 2) if limits.tunes_ahead else state.ahead
    return Change(Rule.START, workers, min(ahead, limits.ahead), why)


def decide(state: State, seen: Window, limits: Limits) -> Answer:
    """Return what to remember, and what to change; None: nothing.

    Parameters
    ----------
    state : State
        What the last call returned. `workers` and `ahead` are what was in force in this window.
    seen : Window
    limits : Limits
    """
    state = replace(state, window=state.window + 1)
    if state.settling:
        return replace(state, settling=state.settling - 1), None
    state = remember(state, seen)
    for rule in RULES:
        state, change = rule(state, seen, limits)
        if change is not None and change.rule not in state.said:
            return enter(state, change), change
    return state, None


def remember(state: State, seen: Window) -> State:
    """Smooth S over windows with the same number of workers: it depends on that. A load that is
    clearly another one starts anew.
    """
    mean, number = float(seen.make_seconds.mean()), seen.make_seconds.size
    # of a window and of some that are smoothed, which vary a third as much
    chance = math.sqrt((1 + 1 / 3) / number) * float(seen.make_seconds.std())
    if state.samples and abs(mean - state.make_seconds) <= CLEARLY * chance:
        mean = (state.make_seconds + mean) / 2
        number = min(state.samples + number, 3 * number)  # halving forgets all but so many
    return replace(state, make_seconds=mean, samples=number)


def enter(state: State, change: Change) -> State:
    """Take over a change; of a remark, only that it was made."""
    if (change.workers, change.ahead) == (state.workers, state.ahead):
        return replace(state, said=state.said | {change.rule})
    if change.workers != state.workers:
        state = replace(state, make_seconds=0.0, samples=0, idle=(), said=frozenset())
    return replace(
        state,
        workers=change.workers,
        ahead=change.ahead,
        settling=1,
        short_queues=0,
        shorter=(),
    )


# -- figures --------------------------------------------------------------------------------


def wanted(state: State, seen: Window) -> int:
    """Return the workers that Little's law asks for."""
    return workers_needed(state.make_seconds, max(seen.step_seconds, LEAST_STEP_S))


def capacity(state: State) -> float:
    """Return the batches a second that the workers can make: measured, so with what they cost each
    other.
    """
    return state.workers / state.make_seconds


def error(state: State, seen: Window) -> float:
    """Return the standard error of the capacity, as a share of it."""
    spread = float(seen.make_seconds.std()) / state.make_seconds
    return spread / math.sqrt(state.samples)


def affordable(state: State, seen: Window, limits: Limits) -> int:
    """Return how many workers the ceilings allow."""
    most = min(limits.workers, limits.ahead)
    if seen.worker_cores:
        most = min(most, int(TOLERANCE * state.workers * limits.cores / seen.worker_cores))
    return max(1, most)


def barred(bar: Bar | None, state: State) -> int | None:
    """Return the number that a bar stands at, while it stands."""
    return bar.workers if bar is not None and state.window < bar.until else None


def enough_ahead(state: State, workers: int, seen: Window, limits: Limits) -> int:
    """Return the look-ahead for so many workers, within the limits; or that which is fixed."""
    if not limits.tunes_ahead:
        return state.ahead
    answer = workers + UNORDERED_SLACK
    if limits.ordered:
        step = max(seen.step_seconds, LEAST_STEP_S)
        answer = look_ahead(seen.recent_make_seconds, step, workers, ENOUGH)
    return min(max(answer, LEAST_AHEAD), limits.ahead)


def with_workers(
    rule: Rule, state: State, workers: int, seen: Window, limits: Limits, why: str
) -> Change:
    """Return a change of workers, with as many batches ahead as those need."""
    ahead = state.ahead
    if workers > ahead - 2:
        ahead = max(ahead, enough_ahead(state, workers, seen, limits))
    return Change(rule, workers, ahead, why)


def remark(rule: Rule, state: State, why: str) -> Change:
    """Return something to be said that changes nothing."""
    return Change(rule, state.workers, state.ahead, why)


# -- rules, in the order in which they are asked ---------------------------------------------


def obey(state: State, seen: Window, limits: Limits) -> Answer:
    """Take back what is beyond the ceilings: batches have become larger, or workers busier."""
    if limits.tunes_ahead and state.ahead > limits.ahead:
        why = f"there is memory for {limits.ahead} batches ahead"
        workers = min(state.workers, limits.ahead) if limits.tunes_workers else state.workers
        return state, Change(Rule.OBEY, workers, limits.ahead, why)
    most = affordable(state, seen, limits)
    if not limits.tunes_workers or state.workers <= most:
        return state, None
    why = f"{most} workers are the most that may be"
    if seen.worker_cores:
        why = f"the workers use {seen.worker_cores:.1f} cores and may use {limits.cores:.1f}"
    return replace(state, trial=None), Change(Rule.OBEY, most, state.ahead, why)


def undo(state: State, seen: Window, limits: Limits) -> Answer:
    """Take back a growth that has brought nothing: the workers share something that is full."""
    trial = state.trial
    if trial is None or state.workers <= trial.workers:
        return replace(state, trial=None), None
    more = state.workers / trial.workers - 1
    gain = (capacity(state) / trial.capacity - 1) / more
    doubt = 2 * math.hypot(error(state, seen), trial.error) / more
    if gain - doubt > USEFUL:
        return replace(state, trial=None, backoff=BACKOFF_WINDOWS), None
    if gain + doubt > USEFUL:
        return state, None  # cannot be told apart from chance yet
    enough = round(trial.workers * capacity(state) / trial.capacity)
    enough = min(max(enough, trial.workers), state.workers - 1)
    why = (
        f"{state.workers} workers make {capacity(state):.3g} batches/s, {trial.workers} made "
        f"{trial.capacity:.3g}: more of them are of no use for {state.backoff} windows"
    )
    change = with_workers(Rule.UNDO, state, enough, seen, limits, why)
    bar = Bar(enough, state.window + state.backoff)
    backoff = min(2 * state.backoff, MOST_BACKOFF_WINDOWS)
    return replace(state, trial=None, ceiling=bar, backoff=backoff), change


def grow(state: State, seen: Window, limits: Limits) -> Answer:
    """Take more workers where batches come too late and the workers are why."""
    new = more_workers(state, seen, limits)
    if not lacks_workers(state, seen) or new <= state.workers or is_full(state, seen):
        return state, None
    why = (
        f"{seen.stall:.0%} waiting; {duration(state.make_seconds)} to make a batch and "
        f"{duration(seen.step_seconds)} to use it ask for {wanted(state, seen)} workers"
    )
    change = with_workers(Rule.GROW, state, new, seen, limits, why)
    trial = state.trial or Trial(state.workers, capacity(state), error(state, seen))
    if state.workers < state.shrunk_from:  # it was a mistake to have fewer: not again soon
        floor = Bar(min(new, state.shrunk_from), state.window + MOST_BACKOFF_WINDOWS)
        state = replace(state, floor=floor, shrunk_from=0)
    return replace(state, trial=trial), change


def lacks_workers(state: State, seen: Window) -> bool:
    """Tell whether batches come too late because there are too few workers."""
    return seen.stall > SHORT and (wanted(state, seen) > state.workers or seen.busy >= BUSY)


def more_workers(state: State, seen: Window, limits: Limits) -> int:
    """Return the number to grow to; never more than twice as many at once."""
    most = affordable(state, seen, limits) if limits.tunes_workers else state.workers
    most = min(most, barred(state.ceiling, state) or most)
    return min(max(wanted(state, seen), state.workers + 1), 2 * state.workers, most)


def is_full(state: State, seen: Window) -> bool:
    """Tell whether the host has no processor left for another worker."""
    if seen.host_cpu is None or seen.host_cpu < FULL:
        return False
    return seen.worker_cores is None or seen.worker_cores >= LIGHT * state.workers


def compare_with_none(state: State, seen: Window, limits: Limits) -> Answer:
    """Say so where the calling thread would make batches faster than it gets them from others.

    Asked when there is no reason to grow, or no way to: one worker alone is always slower, as long
    as nothing is done with the batches.
    """
    if seen.wait_seconds <= state.make_seconds:
        return state, None
    why = (
        f"workers=0 would be faster: making a batch takes {duration(state.make_seconds)}, and "
        f"getting one that a worker makes takes {duration(seen.wait_seconds)}"
    )
    return state, remark(Rule.NO_USE, state, why)


def explain(state: State, seen: Window, limits: Limits) -> Answer:
    """Say why there are not more workers, although batches come too late."""
    if not lacks_workers(state, seen):
        return state, None
    waits = f"{seen.stall:.0%} waiting; "
    if is_full(state, seen):
        why = f"{waits}the processors are {seen.host_cpu:.0%} busy: more workers cannot help"
        return state, remark(Rule.SHORT, state, why)
    want = wanted(state, seen)
    why = f"{waits}{want} workers are wanted, and {state.workers} are the most that may be"
    return state, remark(Rule.SHORT, state, why)


def lengthen(state: State, seen: Window, limits: Limits) -> Answer:
    """Look further ahead where batches come too late although workers are idle: some are slow."""
    idle = wanted(state, seen) <= state.workers and seen.busy < BUSY
    if not limits.tunes_ahead or seen.stall <= SHORT or not idle:
        return replace(state, short_queues=0), None
    state = replace(state, short_queues=state.short_queues + 1)
    answer = enough_ahead(state, state.workers, seen, limits)
    if state.short_queues > 1:  # the formula knows nothing of slow batches that come in bursts
        answer = min(max(answer, 2 * state.ahead), limits.ahead)
    if answer <= state.ahead:
        return state, None
    why = (
        f"{seen.stall:.0%} waiting although the workers are busy for {seen.busy:.0%} of their "
        f"time; the slowest of late took {duration(float(seen.recent_make_seconds.max()))}"
    )
    return state, Change(Rule.LENGTHEN, state.workers, answer, why)


def shrink(state: State, seen: Window, limits: Limits) -> Answer:
    """Give back workers that have had nothing to do for several windows."""
    want = wanted(state, seen)
    if seen.stall >= ENOUGH or seen.busy >= IDLE or want >= state.workers:
        return replace(state, idle=()), None
    state = replace(state, idle=(*state.idle, want)[-PATIENCE:])
    usual = sorted(state.idle)[len(state.idle) // 2]  # the load may have changed within the first
    new = max(usual, barred(state.floor, state) or 1)
    if not limits.tunes_workers or len(state.idle) < PATIENCE or new >= state.workers:
        return state, None
    why = f"the workers are busy for {seen.busy:.0%} of their time; {usual} are enough"
    change = with_workers(Rule.SHRINK, state, new, seen, limits, why)
    return replace(state, shrunk_from=state.workers, trial=None), change


def review(state: State, seen: Window, limits: Limits) -> Answer:
    """Compute the look-ahead again: grow at once, shrink after several answers. Without enough
    workers the queue is empty, however long it may be.
    """
    if not limits.tunes_ahead or state.window < state.ahead_due or lacks_workers(state, seen):
        return state, None
    state = replace(state, ahead_due=state.window + REVIEW_WINDOWS)
    answer = enough_ahead(state, state.workers, seen, limits)
    needed = answer > state.ahead and (seen.stall > ENOUGH or answer > 1.25 * state.ahead)
    shorter = (*state.shorter, answer) if answer < 0.8 * state.ahead else ()
    state = replace(state, shorter=shorter)
    if not needed and len(shorter) < PATIENCE:
        return state, None
    new = answer if needed else max(shorter)
    why = f"what the last {seen.recent_make_seconds.size} batches took asks for {new} ahead"
    return state, Change(Rule.REVIEW, state.workers, new, why)


RULES: tuple[Callable[[State, Window, Limits], Answer], ...] = (
    obey,
    undo,
    grow,
    compare_with_none,
    explain,
    lengthen,
    shrink,
    review,
)
