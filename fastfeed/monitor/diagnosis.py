"""What three runs of a training step say: `Diagnosis`, and how sure its figures are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from fastfeed.monitor.journal import Records
from fastfeed.monitor.summary import LONG_STEP, Summary
from fastfeed.monitor.verdict import Verdict

Floats = npt.NDArray[np.float64]

ROUNDS = 5
STUDENT = 2.776
"""Student's t for 95 %, both sides, with ROUNDS - 1 degrees of freedom."""


@dataclass
class Run:
    """One block of steps of each kind; s."""

    quiet: Floats
    busy: Floats
    real: Floats
    waits: Floats
    records: Records


class Estimate(NamedTuple):
    """A figure and half the width of its 95 % confidence interval."""

    value: float
    plus_minus: float


@dataclass(frozen=True)
class Diagnosis:
    """What three interleaved runs of a training step say; ``print`` shows it as a table.

    Attributes
    ----------
    steps : int
        Measured, in each of the three runs.
    quiet_seconds, busy_seconds : float
        T_q and T_b: the step with a batch from memory, while workers rest and while they work.
        On a GPU, T_b holds what the step waits there for the upload of the batch that is dropped.
    real_seconds : float
        T: the step with the loader's batches, and the wait for them. All three are means, because
        waits and the turns that workers take on a core may be rare and long; but steps longer than
        four medians, which something else interrupted, are left out.
    data_stall : Estimate
        (T - T_b) / T, the share of the time that training waits for data.
    interference : Estimate
        (T_b - T_q) / T, the share that workers cost by using the same cores and memory.
    most_speed_up : Estimate
        T / T_q: no loader can make this loop faster by more.
    utilisation : Estimate
        T_q / T, the accelerator's utilisation (AU) as MLPerf Storage defines it: time of computing
        over all time.
    data_ready : float
        Share of the batches of the real run that were ready when they were asked for.
    verdict : Verdict
        On the real run.
    summary : Summary
        Of the real run's batches.
    """

    steps: int
    quiet_seconds: float
    busy_seconds: float
    real_seconds: float
    data_stall: Estimate
    interference: Estimate
    most_speed_up: Estimate
    utilisation: Estimate
    data_ready: float
    verdict: Verdict
    summary: Summary = field(repr=False)

    def __str__(self) -> str:
        """Write the table."""
        speed = self.most_speed_up
        lines = [
            f"step, workers at rest {duration(self.quiet_seconds)}",
            f"step, workers busy    {duration(self.busy_seconds)}"
            f"   interference {share(self.interference)}",
            f"step, with the loader {duration(self.real_seconds)}"
            f"   data stall   {share(self.data_stall)}",
            f"utilisation{share(self.utilisation)}, "
            f"{100 * self.data_ready:.0f} % of the batches were ready",
            f"at most {speed.value:.2f} ± {speed.plus_minus:.2f} times as fast without waiting",
            str(self.verdict),
        ]
        return "\n".join(lines)


def figures(runs: list[Run], summary: Summary, judged: Verdict) -> Diagnosis:
    """Return the averages of the rounds, and what they say."""
    quiet = np.array([mean(run.quiet) for run in runs])
    busy = np.array([mean(run.busy) for run in runs])
    real = np.array([mean(run.real) + run.waits.mean() for run in runs])
    return Diagnosis(
        steps=sum(len(run.real) for run in runs),
        quiet_seconds=float(quiet.mean()),
        busy_seconds=float(busy.mean()),
        real_seconds=float(real.mean()),
        data_stall=jackknife(real - busy, real),
        interference=jackknife(busy - quiet, real),
        most_speed_up=jackknife(real, quiet),
        utilisation=jackknife(quiet, real),
        data_ready=summary.ready_ratio,
        verdict=judged,
        summary=summary,
    )


def mean(steps: Floats) -> float:
    """Return the mean of the steps that nothing interrupted."""
    return float(steps[steps <= LONG_STEP * np.median(steps)].mean())


def jackknife(parts: Floats, wholes: Floats) -> Estimate:
    """Return the ratio of two means, and how sure it is by leaving out one round at a time."""
    count = len(parts)
    without = (parts.sum() - parts) / (wholes.sum() - wholes)
    error = np.sqrt((count - 1) * without.var())
    return Estimate(float(parts.sum() / wholes.sum()), float(STUDENT * error))


def share(estimate: Estimate) -> str:
    """Write a ratio and its uncertainty: ``37.1 ± 1.2 %``."""
    value, plus_minus = (round(100 * part, 1) + 0.0 for part in estimate)  # + 0: no "-0.0"
    return f"{value:5.1f} ± {plus_minus:.1f} %"


def duration(seconds: float) -> str:
    """Write the length of a step in ms; in us if it is short."""
    return f"{1e3 * seconds:9.2f} ms" if seconds >= 1e-3 else f"{1e6 * seconds:9.2f} us"
