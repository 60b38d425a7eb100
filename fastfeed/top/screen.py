"""The picture on a terminal, as wide and high as that is. Needs rich."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from fastfeed.errors import gib
from fastfeed.top import words
from fastfeed.top.model import Loader, Worker
from fastfeed.top.watch import Picture

NARROW = 64
"""Columns, below which process numbers and rates of workers are left out."""
WIDEST_BAR = 40
LABEL = 9
"""Columns of the names before the facts."""
SHADES, ASCII_SHADES = "█▓░·", "#=-."
"""For production, order, upload and the rest: to be told apart without colour."""
SHADE_STYLES = ("red", "yellow", "magenta", "dim")
HIGHLY, MODERATELY = 0.20, 0.05
"""Input-bound: shares of waiting from which TensorFlow's profiler says so."""
STATE_STYLES = {"making": "green", "idle": "dim", "gone": "bold red"}


@dataclass(frozen=True)
class Screen:
    """Draws a picture; rich asks for it with the width that there is.

    Parameters
    ----------
    picture : Picture
    fits : bool
        No higher than the terminal: workers are summed up where there is no room for a line each.
    """

    picture: Picture
    fits: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield what is to be drawn."""
        drawing = _Drawing(options.max_width, options.ascii_only)
        if self.fits:
            least = len(console.render_lines(replace(drawing, rows=0).of(self.picture), options))
            room = max(0, console.height - least)
            drawing = replace(drawing, rows=room // max(1, len(self.picture.loaders)))
        yield drawing.of(self.picture)


@dataclass(frozen=True)
class _Drawing:
    """Draws for so many columns, with so many lines for each loader's workers, besides one."""

    columns: int
    is_ascii: bool
    rows: int = sys.maxsize

    def of(self, picture: Picture) -> RenderableType:
        return Group(self._head(picture), *self._loaders(picture))

    def _head(self, picture: Picture) -> RenderableType:
        clock = time.strftime("%H:%M:%S", time.localtime(picture.time))
        is_known = picture.rss_bytes is not None and self.columns >= NARROW
        memory = f"{gib(picture.rss_bytes or 0)} resident  " if is_known else ""
        job = Text.assemble((str(picture.pid), "bold"), "  ", picture.command)
        return _two_ends(job, Text(f"{memory}{clock}", style="dim"))

    def _loaders(self, picture: Picture) -> Iterator[RenderableType]:
        if not picture.loaders:
            yield Text("\nNo loader is open in this process now.")
        for loader in picture.loaders:
            yield Rule(style="dim", characters="-" if self.is_ascii else "─")
            yield _two_ends(Text(loader.name, style="bold"), Text(self._age(loader), style="dim"))
            yield Text(loader.verdict, style=_alarm(loader))
            yield self._facts(loader)
            yield from self._workers(loader)

    def _age(self, loader: Loader) -> str:
        epoch = f"epoch {loader.epoch + 1}, " if loader.batches else ""
        return epoch + words.duration(loader.running_seconds)

    def _facts(self, loader: Loader) -> RenderableType:
        facts = Table.grid(padding=(0, 1, 0, 0))
        facts.add_column(style="cyan", width=LABEL)
        facts.add_column(overflow="fold")
        rate = f"{words.number(loader.batches_per_second)} batches/s, "
        facts.add_row("rate", rate + words.throughput(loader.bytes_per_second))
        facts.add_row("times", self._joined(_times(loader), ", "))
        facts.add_row("waiting", _waiting(loader))
        facts.add_row("", self._bar([ratio for _, ratio in words.causes(loader)]))
        if loader.waiting_ratio:
            facts.add_row("", self._legend(loader))
        if loader.ahead:
            facts.add_row("ready", self._ready_bar(loader))
        return facts

    def _bar(self, shares: list[float]) -> Text:
        """Draw shares of 1 in the shades' order; each that is not 0 is to be seen."""
        width = min(WIDEST_BAR, self.columns - LABEL - 2)
        bar = Text()
        for share, shade, style in zip(shares, self._shades, SHADE_STYLES, strict=False):
            cells = round(share * width) or (share > 0)
            bar.append(shade * min(cells, width - len(bar)), style)
        return bar.append(self._shades[-1] * (width - len(bar)), SHADE_STYLES[-1])

    @property
    def _shades(self) -> str:
        return ASCII_SHADES if self.is_ascii else SHADES

    def _legend(self, loader: Loader) -> Text:
        """Say what the shades of the bar stand for."""
        said = [
            f"{shade} {cause} {words.percent(ratio)}"
            for shade, (cause, ratio) in zip(self._shades, words.causes(loader), strict=False)
            if ratio
        ]
        return Text(self._joined(said, "  "))

    def _joined(self, parts: list[str], by: str) -> str:
        """Put parts into one line if there is room, else each into its own."""
        line = by.join(parts)
        return line if len(line) < self.columns - LABEL else "\n".join(parts)

    def _ready_bar(self, loader: Loader) -> Text:
        said = f" {words.ready(loader)}"
        width = max(1, min(WIDEST_BAR, self.columns - LABEL - 2) - len(said))
        full = round(min(1.0, loader.ready / loader.ahead) * width)
        bar = Text(self._shades[0] * full, style="green")
        return bar.append(self._shades[-1] * (width - full), "dim").append(said, "default")

    def _workers(self, loader: Loader) -> Iterator[RenderableType]:
        shown = present = words.present(loader)
        if len(shown) > self.rows:
            shown = shown[: max(0, self.rows - 1)]
        if shown:
            yield self._table(shown, loader)
        others = present[len(shown) :]
        if others:
            yield Text(_rest(others, bool(shown)))
        for note in words.notes(loader):
            yield Text(note, style="bold yellow")
        if words.absent(loader):
            yield Text(words.absent(loader), style="dim")

    def _table(self, workers: list[Worker], loader: Loader) -> Table:
        wide = self.columns >= NARROW
        has_memory = any(worker.private_bytes is not None for worker in workers)
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="cyan")
        table.add_column("worker" if wide else "#", width=LABEL - 1 if wide else 3)
        table.add_column("now", min_width=26 if wide else 17, no_wrap=True)
        table.add_column("busy", justify="right", no_wrap=True)
        if wide:
            table.add_column("batches/s", justify="right", no_wrap=True)
        if has_memory:
            table.add_column("memory", justify="right", no_wrap=True)
        if has_memory and wide:
            table.add_column("pid", justify="right", no_wrap=True)
        for worker in workers:
            rate = [words.number(worker.batches_per_second)] if wide else []
            own = [words.UNKNOWN if worker.private_bytes is None else gib(worker.private_bytes)]
            pid = [str(worker.pid or words.UNKNOWN)]
            table.add_row(
                str(worker.worker), self._now(worker, loader), words.percent(worker.busy_ratio),
                *rate, *(own if has_memory else []), *(pid if has_memory and wide else []),
            )  # fmt: skip
        return table

    def _now(self, worker: Worker, loader: Loader) -> Text:
        said = words.doing(worker) if self.columns >= NARROW else words.doing_briefly(worker)
        if words.takes_long(worker, loader):
            return Text(f"{said} !", style="bold yellow")
        return Text(said, style=STATE_STYLES[worker.state])


def _two_ends(left: Text, right: Text) -> Table:
    """Put a text at each end of a line; the left one gives way."""
    line = Table.grid(expand=True, padding=(0, 1, 0, 0))
    line.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    line.add_column(no_wrap=True, justify="right")
    line.add_row(left, right)
    return line


def _times(loader: Loader) -> list[str]:
    times = {
        "step": loader.step_seconds,
        "making a batch": loader.make_seconds,
        "first batch after": loader.first_batch_seconds,
    }
    known = [f"{name} {words.duration(time)}" for name, time in times.items() if time is not None]
    return known or ["no batch yet"]


def _waiting(loader: Loader) -> Text:
    share = words.percent(loader.waiting_ratio)
    said = f"{share} of the last {words.duration(loader.window_seconds)}"
    text = Text(said, style=_alarm(loader))
    if words.waits_long(loader):
        text.append(f", now for {words.duration(loader.waiting_seconds)}", "bold red")
    return text


def _alarm(loader: Loader) -> str:
    if loader.waiting_ratio > HIGHLY:
        return "bold red"
    return "bold yellow" if loader.waiting_ratio > MODERATELY else "green"


def _rest(others: list[Worker], follow_some: bool) -> str:
    """Say what the workers do that there is no room for, and the longest of it."""
    said = f"{len(others)} {'more' if follow_some else 'workers'}: {words.counted(others)}"
    longest = max(others, key=lambda worker: worker.making_seconds or 0)
    if longest.making_seconds:
        said += f", #{longest.index} for {words.duration(longest.making_seconds)}"
    return said
