"""Say what a comparison of training runs found: a table for the terminal and a picture."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from step_clock import EpochTime


@dataclass(frozen=True)
class Run:
    """One way of feeding the training and what was measured with it.

    Every figure but `first_seconds` leaves out the first epoch, which holds TensorFlow's tracing
    and the start of worker processes.
    """

    name: str
    epochs: Sequence[EpochTime]
    accuracy: float | None  # on the validation crops; None where nothing could be learnt

    @property
    def first_seconds(self) -> float:
        return self.epochs[0].seconds

    @property
    def seconds(self) -> float:
        """Mean wall time of an epoch."""
        return sum(epoch.seconds for epoch in self.epochs[1:]) / (len(self.epochs) - 1)

    @property
    def computed(self) -> float:
        """Mean time an epoch in which the steps computed, in seconds."""
        return sum(epoch.computed for epoch in self.epochs[1:]) / (len(self.epochs) - 1)

    @property
    def waited(self) -> float:
        """Share of the time in which the training step waited, 0..1."""
        return 1 - self.computed / self.seconds

    @property
    def batches_per_second(self) -> float:
        return self.epochs[-1].steps / self.seconds

    @property
    def step_milliseconds(self) -> float:
        return 1000 * self.computed / self.epochs[-1].steps


def machine() -> str:
    """Name the machine, the libraries and the date, for the caption."""
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    cores = len(os.sched_getaffinity(0))
    libraries = ", ".join(
        f"{name} {version(name)}" for name in ("fastfeed", "keras", "opencv-python-headless")
    )
    return f"{model}, {cores} cores, no GPU used; {libraries}; {datetime.date.today()}"


def table(runs: Sequence[Run]) -> str:
    """Lay the runs out as lines of text, at most 88 columns wide."""
    lines = [
        f"{'':29}{'epoch':>8}{'speed':>11}{'step':>10}{'step':>9}{'validation':>12}{'first':>8}",
        f"{'':29}{'s':>8}{'batches/s':>11}{'computes':>10}{'waited':>9}{'accuracy':>12}"
        f"{'epoch s':>8}",
    ]
    for run in runs:
        accuracy = "" if run.accuracy is None else f"{run.accuracy:.3f}"
        lines.append(
            f"{run.name:29}{run.seconds:8.2f}{run.batches_per_second:11.1f}"
            f"{run.step_milliseconds:7.1f} ms{run.waited:9.0%}{accuracy:>12}"
            f"{run.first_seconds:8.1f}"
        )
    lines.append(
        "\n'waited': share of the time in which no training step computed. The first line, which\n"
        "has no data to wait for, shows how much of it Keras's own loop takes, and other programs\n"
        "where the machine is busy."
    )
    return "\n".join(lines)


def _split_bars(axes: Axes, runs: Sequence[Run], places: list[int]) -> None:
    """Draw each epoch's time, divided into computing and waiting."""
    computed = [run.computed for run in runs]
    waited = [run.seconds - run.computed for run in runs]
    axes.barh(places, computed, color="0.35", label="step computes")
    axes.barh(
        places, waited, left=computed, color="0.88", hatch="//", edgecolor="0.4", label="step waits"
    )
    for place, run in zip(places, runs, strict=True):
        axes.text(run.seconds, place, f" waits {run.waited:.0%}", va="center")
    axes.set_xlim(0, 1.3 * max(run.seconds for run in runs))
    axes.set_xlabel("wall time of an epoch [s]")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, frameon=False)


def _rate_bars(axes: Axes, runs: Sequence[Run], places: list[int]) -> None:
    """Draw how many batches a second the training took."""
    rates = [run.batches_per_second for run in runs]
    axes.barh(places, rates, color="0.35")
    for place, rate in zip(places, rates, strict=True):
        axes.text(rate, place, f" {rate:.1f}", va="center")
    axes.set_xlim(0, 1.2 * max(rates))
    axes.set_xlabel("training speed [batches/s]")


def picture(runs: Sequence[Run], work: str, file: Path) -> None:
    """Draw the table; `work` says in a line what was trained on. Writes a PNG."""
    names = [
        run.name + ("" if run.accuracy is None else f"\nvalidation accuracy {run.accuracy:.3f}")
        for run in runs
    ]
    places = list(range(len(runs)))[::-1]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, width_ratios=(3, 2))
    _split_bars(left, runs, places)
    _rate_bars(right, runs, places)
    left.set_yticks(places, names)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(work)
    caption = (
        f"{machine()}\nMeans without the first epoch, which starts workers. "
        "What waits where there is no data work is Keras's own loop, or a busy machine."
    )
    figure.text(0.01, 0.01, caption, fontsize=7)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    figure.savefig(file, dpi=130)
    plt.close(figure)
