"""What live tuning has decided, and on what grounds."""

from __future__ import annotations

from dataclasses import dataclass

from fastfeed.autotune.state import Change, State, Window


@dataclass(frozen=True)
class Decision:
    """One entry of ``loader.autotune.history``; a list of them makes a table of pandas.

    Attributes
    ----------
    seconds : float
        Since the loader was made.
    batches : int
        Handed out until then.
    rule : str
        Which rule of the law has spoken; see docs/autotune.md.
    workers_before, workers : int
    ahead_before, ahead : int
        Batches ahead of the consumer, at the most (`max_queue_size`).
    reason : str
        In words. Where no number changes this is a remark, made once.
    stall : float
        Waiting for batches to be made, or for their turn, as a share of all time, 0 to 1.
    make_seconds, step_seconds : float
        Means of the window: to make a batch in a worker, and the loop's own step.
    busy : float
        Share of their time that workers were making batches, 0 to 1.
    host_cpu : float or None
        Share of the processors' time that anybody used, 0 to 1; None: not known.
    worker_cores : float or None
        What the workers used of it, in cores' time; None: not known.
    """

    seconds: float
    batches: int
    rule: str
    workers_before: int
    workers: int
    ahead_before: int
    ahead: int
    reason: str
    stall: float
    make_seconds: float
    step_seconds: float
    busy: float
    host_cpu: float | None
    worker_cores: float | None

    @property
    def is_change(self) -> bool:
        """A number changes; it is not a remark."""
        return (self.workers, self.ahead) != (self.workers_before, self.ahead_before)

    def __str__(self) -> str:
        """Write it for people."""
        numbers = f"{self.workers} workers, {self.ahead} ahead"
        return f"{self.seconds:.1f} s: {self.rule}: {numbers}: {self.reason}"


def decision(seconds: float, batches: int, before: State, change: Change, seen: Window) -> Decision:
    """Return what is written down about a change."""
    return Decision(
        seconds=seconds,
        batches=batches,
        rule=str(change.rule),
        workers_before=before.workers,
        workers=change.workers,
        ahead_before=before.ahead,
        ahead=change.ahead,
        reason=change.reason,
        stall=seen.stall,
        make_seconds=float(seen.make_seconds.mean()),
        step_seconds=seen.step_seconds,
        busy=seen.busy,
        host_cpu=seen.host_cpu,
        worker_cores=seen.worker_cores,
    )
