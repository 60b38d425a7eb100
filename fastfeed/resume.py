"""Where a loader stands in its source, as a small dict; and how it goes on from there.

The state says how much of the epoch's order all ranks together have consumed. So it is the same on
all of them, knows nothing of ranks, workers, queues and batch sizes, and costs the same at any
point of any source.
"""

from __future__ import annotations

import operator
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Protocol, TypeVar

from fastfeed.errors import ArgumentError, StateMismatch
from fastfeed.feed import Feed
from fastfeed.recognise import Plan
from fastfeed.sources.mapped import MappedSource
from fastfeed.sources.streams import OnePass

VERSION = 1
MOST_EPOCHS = 2**32 - 1
ENDLESS = 2**62
"""More items than anybody consumes."""
T = TypeVar("T")


class HasAhead(Protocol):
    """What has looked at batches that it is still to hand out."""

    @property
    def ahead(self) -> int:
        """So many."""


class Progress:
    """Of one loader.

    Parameters
    ----------
    plan : Plan
    feed : Feed
        What it hands out is consumed.
    take : callable
        Takes the next batch from it; None at the end of the epoch.
    ordered : bool
        Whether batches come in their order.
    """

    def __init__(
        self, plan: Plan, feed: Feed, take: Callable[[], object | None], ordered: bool
    ) -> None:
        self._source = plan.source
        self._order = plan.order
        self._seed = plan.seed
        self._feed = feed
        self._take = take
        self._ordered = ordered
        self._loaded: tuple[int, int] | None = None  # until an epoch has begun there
        self._to_pass: int | None = None  # first batches of it, once it has
        self._peeking: Callable[[], HasAhead | None] = lambda: None

    # -- for the loader -----------------------------------------------------------------------

    def begin_epoch(self) -> None:
        """Begin the next epoch, or the one of a state that was loaded: there, in the middle. A
        source that serves one pass goes on with it.

        Raises
        ------
        SourceExhausted
            If that is over.
        """
        if self._loaded is not None:
            self._go_on(self._loaded)
        elif not isinstance(self._source, OnePass) or self._feed.epoch < 0:
            self._feed.begin_epoch()
        elif self._feed.is_over:
            raise self._source.used_up(before=False)

    def _go_on(self, loaded: tuple[int, int]) -> None:
        if self._to_pass is None:  # else: the epoch has begun already
            to_pass = self._feed.resume(*loaded)
            self._feed.begin_epoch()
            self._to_pass = to_pass
        while self._feed.handed_out < self._to_pass:  # after Ctrl-C here the next call goes on
            if self._take() is None:
                raise StateMismatch(
                    f"The stream ended after {self._feed.handed_out} batches, but the state says "
                    f"that {self._to_pass} were consumed: it gives something else than before. A "
                    "stream can only be resumed if it gives the same again."
                )
        self._loaded = self._to_pass = None

    def for_dataset(
        self, begin: Callable[[], T], batches: int | None
    ) -> tuple[Callable[[], T], int | None]:
        """Return what begins the passes of a ``tf.data.Dataset``, and how many batches each has:
        None if the first one has fewer, because a state was loaded. Of the others each has so many,
        or TensorFlow would raise at the end: here that is raised at the begin.
        """
        if self._begins_within():
            return begin, None

        def begin_whole() -> T:
            if batches is not None and self._begins_within():
                raise ArgumentError(
                    "The state that was loaded leaves a part of an epoch, and TensorFlow was told "
                    "that this data set has whole ones. Call load_state_dict() before "
                    "as_tf_dataset(), or make another data set now."
                )
            return begin()

        return begin_whole, batches

    def not_counting(self, passes: HasAhead) -> None:
        """Leave out what a data set has only looked at, and is to hand out."""
        self._peeking = weakref.ref(passes)

    def state(self, unread: int) -> dict[str, Any]:
        """Return what `Resumable.state_dict` does."""
        if not self._ordered:
            raise ArgumentError(
                "With ordered=False batches are handed out as they are finished, so what was "
                "consumed is not the first part of the epoch, and no position says what is left. "
                "Use ordered=True where a job is to be resumed.",
                "ordered=False",
            )
        passes = self._peeking()
        looked_at = 0 if passes is None else passes.ahead
        handed_out = max(self._feed.handed_out, 0) - looked_at
        if not hasattr(unread, "__index__") or not 0 <= unread <= handed_out:
            raise ArgumentError(
                "unread is how many of the last batches of this epoch do not count: an integer, "
                f"at the most as many as were handed out, and {handed_out} were.",
                f"unread={unread!r}",
            )
        epoch, consumed = self._position(operator.index(unread) + looked_at)
        return {**self._identity, "epoch": epoch, "consumed": consumed}

    def load(self, state: Any) -> None:
        """Let the next epoch be what is left of the state's.

        Raises
        ------
        StateMismatch
            It is the state of something else, or none.
        ArgumentError
            This loader is past that point, and its source cannot go back.
        """
        epoch, consumed = checked(state, self._identity)
        if self._order is not None and not self._order.steps(consumed):
            epoch, consumed = epoch + 1, 0  # too little is left for a step of these ranks
        to_pass = self._way_to(epoch, consumed)
        self._loaded, self._to_pass = (epoch, consumed), to_pass

    # -- inside -------------------------------------------------------------------------------

    def _begins_within(self) -> bool:
        return self._loaded is not None and self._loaded[1] > 0

    def _position(self, unread: int) -> tuple[int, int]:
        feed = self._feed
        if self._loaded is not None:
            return self._loaded
        if feed.epoch < 0:
            return 0, 0
        if feed.is_over and not unread and not isinstance(self._source, OnePass):
            return feed.epoch + 1, 0
        return feed.epoch, feed.reached(unread)

    @cached_property
    def _identity(self) -> dict[str, Any]:
        order = self._order
        return {
            "version": VERSION,
            "seed": self._seed,
            "length": order.length if order else 0,
            "shuffle": bool(order and order.shuffle),
            "fingerprint": self._source.fingerprint(),
        }

    def _way_to(self, epoch: int, consumed: int) -> int | None:
        """Return None if the epoch can be begun there; where a source only goes forward, after how
        many batches of the epoch that has begun it is there.
        """
        source, feed = self._source, self._feed
        one_way = source.hooks_epochs or source.shards or isinstance(source, MappedSource)
        at = feed.epoch
        if at < 0 or not one_way or (epoch > at and not isinstance(source, OnePass)):
            return None
        if epoch == at and not feed.is_over:
            steps, rest = divmod(consumed - feed.reached(0), feed.reached(-1) - feed.reached(0))
            if steps >= 0 and not rest:
                return feed.handed_out + steps
        raise ArgumentError(
            f"This loader is in epoch {at} already, and its source only goes forward: it is a "
            "stream, or has on_epoch_begin or on_epoch_end. Make a new source and a new Loader, "
            "and load the state there before its first loop.",
            f"a state of epoch {epoch}",
        )


class Resumable(ABC):
    """The part of a `Loader` that lets it go on later."""

    _progress: Progress

    def state_dict(self, unread: int = 0) -> dict[str, Any]:
        """Return how much of which epoch was consumed, after the last batch that was handed out.

        Parameters
        ----------
        unread : int
            So many of the last batches are not counted: the program has taken them ahead.

        Returns
        -------
        dict of str to int, bool or str
            For a checkpoint of any kind; the same on all ranks that have made as many steps. It
            takes microseconds, at any point of any source.

        Raises
        ------
        ArgumentError
            With ``ordered=False``; or not so many batches of this epoch were handed out.
        """
        return self._progress.state(unread)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a state was taken: the next loop gives what was left of that epoch, those
        after it give whole epochs. A loop that runs is over.

        The ranks, workers, batches ahead and batch size may be others than then. Generators and
        iterators have no positions: the next loop has the batches made again, and drops them.

        Parameters
        ----------
        state : mapping
            What `state_dict` has returned.

        Raises
        ------
        StateMismatch
            It is the state of another source, seed or order, or none.
        ArgumentError
            The loader is past that point, and its source cannot go back.
        LoaderClosed
            The loader was closed.
        """
        self._progress.load(state)
        self._end_loop()

    @abstractmethod
    def _end_loop(self) -> None:
        """End the loop that runs; raise if none can follow."""


def checked(state: Any, own: Mapping[str, Any]) -> tuple[int, int]:
    """Return a state's epoch and position, if it is one of the loader whose identity is `own`.

    Raises
    ------
    StateMismatch
        If not.
    """
    if not isinstance(state, Mapping):
        raise StateMismatch(
            "load_state_dict takes the dict that state_dict() has returned. Received: "
            f"{type(state).__name__}"
        )
    missing = [name for name in (*own, "epoch", "consumed") if name not in state]
    if missing:
        raise StateMismatch(
            f"This is no state of a Loader, or a part of it is lost: {', '.join(missing)} missing. "
            f"Give the whole dict that state_dict() has returned. Received: {list(state)}"
        )
    for name, value in own.items():
        if not is_same(state[name], value):
            raise StateMismatch(
                f"The state is of another loader: {name} was {state[name]!r} and is {value!r} here."
                f" {CURES[name]}"
            )
    most = own["length"] or ENDLESS
    return number(state, "epoch", MOST_EPOCHS - 1), number(state, "consumed", most)


def is_same(found: Any, own: Any) -> bool:
    """Tell whether a state has this value; an array that came into it has not."""
    try:
        return bool(found == own)
    except (TypeError, ValueError):
        return False


def number(state: Mapping[str, Any], name: str, most: int) -> int:
    """Return one of a state's numbers.

    Raises
    ------
    StateMismatch
        If it is none, or out of range.
    """
    try:
        value = operator.index(state[name])
    except TypeError:
        value = -1
    if not 0 <= value <= most:
        raise StateMismatch(
            f"The state is damaged: {name} must be an integer from 0 to {most}. Received: "
            f"{name}={state[name]!r}"
        )
    return value


ANOTHER_ORDER = "Items would come in another order: what was seen is not what is left out."
CURES = {
    "version": "Resume with the fastfeed that has written it, or begin the epoch anew.",
    "seed": f"{ANOTHER_ORDER} Make the Loader with the seed of the state.",
    "length": "The source has other items now, so positions mean something else. Resume with the "
    "data that the job began with (items that are batches count as such: keep their size).",
    "shuffle": f"{ANOTHER_ORDER} Make the Loader with the shuffle of the state.",
    "fingerprint": "It is not the source that the job began with. Resume with the same data. If "
    "it is the same, and only looks different (files were copied, a class was renamed), put this "
    "loader's into the state: state['fingerprint'] = loader.state_dict()['fingerprint']; or give "
    "your class a method fingerprint() that says so.",
}
"""What to do about each difference."""
