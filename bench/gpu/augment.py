"""Device transforms: fastfeed's one kernel against the same operations in torch.

Random crop, random flip, normalise, NHWC to NCHW, float16; from uint8 images on the device.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import torch

from bench.gpu.names import AUGMENT, AUGMENT_COPY, AUGMENT_OURS, AUGMENT_TORCH
from bench.gpu.record import Record
from bench.gpu.settings import Settings
from bench.gpu.training import MEAN, STD

BORDER = 32  # pixels more than the crop's side
WARM_UP = 5
CHECKED = 4  # images that are compared with NumPy's


class OfTorch:
    """The same in torch: crop and flip of a whole batch by one gather.

    Parameters
    ----------
    device : str
    images, side, crop : int
    """

    def __init__(self, device: str, images: int, side: int, crop: int):
        self.device, self.images, self.room, self.crop = device, images, side - crop + 1, crop
        self.mean, self.scale = (
            torch.tensor(values, device=device).view(1, 3, 1, 1)
            for values in (MEAN, tuple(1 / std for std in STD))
        )
        self.along = torch.arange(crop, device=device)
        self.number = torch.arange(images, device=device).view(-1, 1, 1)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return where each window begins, and which are mirrored."""
        n, device = (self.images, 1), self.device
        return (
            torch.randint(0, self.room, n, device=device),
            torch.randint(0, self.room, n, device=device),
            torch.rand(n, device=device) < 0.5,
        )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Transform a batch (n, side, side, 3) uint8."""
        tops, lefts, flips = self.draw()
        return self.apply(images, tops, lefts, flips)

    def apply(
        self, images: torch.Tensor, tops: torch.Tensor, lefts: torch.Tensor, flips: torch.Tensor
    ) -> torch.Tensor:
        """Transform with windows and flips given."""
        rows = tops + self.along
        columns = lefts + torch.where(flips, self.crop - 1 - self.along, self.along)
        cut = images[self.number, rows[:, :, None], columns[:, None, :]]
        numbers = (cut.permute(0, 3, 1, 2).float() - self.mean) * self.scale
        return numbers.to(torch.float16, memory_format=torch.contiguous_format)


def measure(settings: Settings, record: Record) -> None:
    """Time both in turn, and a copy for comparison."""
    crop, side = settings.side, settings.side + BORDER
    shape = (settings.images, side, side, 3)
    host = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    images = torch.from_numpy(host).to(settings.device)
    of_torch = OfTorch(settings.device, settings.images, side, crop)
    runs: dict[str, Callable[[], Any]] = {AUGMENT_TORCH: lambda: of_torch(images)}
    moved = dict.fromkeys(
        (AUGMENT_OURS, AUGMENT_TORCH), settings.images * crop * crop * 3 * (1 + 2)
    )
    copy = torch.empty_like(images)
    runs[AUGMENT_COPY], moved[AUGMENT_COPY] = (lambda: copy.copy_(images)), 2 * prod(shape)
    if not settings.is_rehearsal:
        with record.attempt(AUGMENT, AUGMENT_OURS):
            runs[AUGMENT_OURS] = fused(host, crop)
    compete(runs, moved, settings, record)


def fused(host: np.ndarray, crop: int) -> Callable[[], None]:
    """Return fastfeed's kernel over a batch, after a look at what it computes."""
    import cupy

    from fastfeed.devices import transforms
    from fastfeed.structure import ArrayLeaf

    ops = [
        transforms.RandomCrop(crop, crop), transforms.RandomFlip(0.5),
        transforms.Normalise(MEAN, STD), transforms.ChannelsFirst(), transforms.Cast("float16"),
    ]  # fmt: skip
    augment = transforms.Augment(images=ops)
    plan = augment.plan((ArrayLeaf(0, host.shape, host.dtype),))
    source = cupy.asarray(host).reshape(-1)
    target = cupy.empty(plan.output_bytes, cupy.uint8)
    plan.run(source, target, 0, 0, 0)
    leaf = plan.outputs[0]
    arrived = cupy.asnumpy(target[leaf.offset :]).view(leaf.dtype)[: prod(leaf.shape)]
    expected = augment.on_host((host[:CHECKED],), seed=0, epoch=0, index=0)[0]
    if not np.array_equal(arrived.reshape(leaf.shape)[:CHECKED], expected):
        raise AssertionError("the kernel gives other numbers than NumPy")
    return lambda: plan.run(source, target, 0, 0, 0)


def compete(
    runs: dict[str, Callable[[], Any]], moved: dict[str, int], settings: Settings, record: Record
) -> None:
    """Time all in turn."""
    wait = (lambda: None) if settings.is_rehearsal else torch.cuda.synchronize
    rates: dict[str, list[float]] = {name: [] for name in runs}
    times = {name: calibrate(run, wait, settings.seconds) for name, run in runs.items()}
    order = random.Random(0)
    for _ in range(settings.rounds):
        for name in order.sample(list(runs), len(runs)):
            seconds = timed(runs[name], wait, times[name])
            rates[name].append(settings.images * times[name] / seconds)
    for name, measured in rates.items():
        record(AUGMENT, name, "images/s", measured, bytes_an_image=moved[name] / settings.images)


def calibrate(run: Callable[[], Any], wait: Callable[[], Any], seconds: float) -> int:
    """Warm up; return how often it goes into a round."""
    timed(run, wait, WARM_UP)
    once = timed(run, wait, WARM_UP) / WARM_UP
    return max(WARM_UP, min(2000, int(seconds / once)))


def timed(run: Callable[[], Any], wait: Callable[[], Any], times: int) -> float:
    """Return the seconds that so many runs take on the device."""
    wait()
    begin = time.perf_counter()
    for _ in range(times):
        run()
    wait()
    return time.perf_counter() - begin
