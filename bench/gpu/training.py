"""A training loop: ResNet-50, bf16 autocast, channels last, uint8 images in.

One model for all; what differs is where the batches come from. The loop on one batch that lies on
the device is what the GPU can do, and its step time over another loop's is that one's accelerator
utilisation (AU).
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import psutil
import torch
from torch import nn
from torch.utils.data import DataLoader

import fastfeed
from bench.gpu.images import Images, ImagesFill
from bench.gpu.lane import QUEUE
from bench.gpu.names import (
    CACHED,
    TRAINED_FILL,
    TRAINED_TORCH,
    TRAINED_TRANSFORMED,
    TRAINING,
)
from bench.gpu.record import Record
from bench.gpu.resnet import resnet
from bench.gpu.settings import Settings

MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # of ImageNet, for 0 to 255
ENDLESS = 1_000_000  # batches: nobody's pass ends
WARM_UP = 8  # steps: kernels are chosen, queues filled
SETTLE = 0.2  # seconds in which the last one's workers fill their queue again

Batches = Iterator[tuple[torch.Tensor, torch.Tensor]]


class Training:
    """The model and its step.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings):
        self.device = settings.device
        torch.backends.cudnn.benchmark = True
        torch.manual_seed(0)
        self.mean, self.std = (
            torch.tensor(values, device=self.device).view(3, 1, 1) for values in (MEAN, STD)
        )
        model = resnet().to(self.device, memory_format=torch.channels_last)
        self.model = model
        self.optimiser = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
        self.loss_of = nn.CrossEntropyLoss()
        self.loss = torch.zeros((), device=self.device)

    def step(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        """Train on one batch; images as they come, (n, side, side, 3) uint8 or normalised."""
        x = images.permute(0, 3, 1, 2)  # in memory still NHWC: channels last
        with torch.autocast(self.device, torch.bfloat16):
            if x.dtype == torch.uint8:
                x = (x - self.mean) / self.std
            self.loss = self.loss_of(self.model(x), labels)
        self.loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad(set_to_none=True)

    def steps(self, batches: Batches, count: int) -> float:
        """Train; return the seconds a step, all of it done on the device."""
        self.wait()
        begin = time.perf_counter()
        for images, labels in itertools.islice(batches, count):
            self.step(images, labels)
            del images, labels
        self.wait()
        if not torch.isfinite(self.loss):
            raise AssertionError(f"the loss is {self.loss}")
        return (time.perf_counter() - begin) / count

    def wait(self) -> None:
        """Wait for the device."""
        if self.device != "cpu":
            torch.cuda.synchronize()


def measure(settings: Settings, record: Record) -> None:
    """Let everybody train in turn, so many steps a round."""
    training = Training(settings)
    with ExitStack() as stack:
        loops: dict[str, Batches] = {}
        for name, open_batches in contestants(settings).items():
            with record.attempt(TRAINING, name):
                batches = open_batches(stack)
                training.steps(batches, WARM_UP)
                loops[name] = batches
        rounds(training, loops, settings, record)


def rounds(
    training: Training, loops: dict[str, Batches], settings: Settings, record: Record
) -> None:
    """Measure in turn, and write down after each round."""
    seconds: dict[str, list[float]] = {name: [] for name in loops}
    cpu: dict[str, list[float]] = {name: [] for name in loops}
    order = random.Random(0)
    for _ in range(settings.rounds):
        for name in order.sample(list(loops), len(loops)):
            time.sleep(SETTLE)
            before = cpu_seconds()
            seconds[name].append(training.steps(loops[name], settings.steps))
            cpu[name].append((cpu_seconds() - before) / settings.steps)
        for name in loops:
            record(
                TRAINING, name, "s/step", seconds[name],
                images=settings.images, side=settings.side, cpu_seconds_a_step=cpu[name],
            )  # fmt: skip


def contestants(settings: Settings) -> dict[str, Callable[[ExitStack], Batches]]:
    """Return how each contestant's batches are opened."""
    source = ImagesFill(settings.images, settings.side, ENDLESS)

    def cached(stack: ExitStack) -> Batches:
        return itertools.repeat(
            tuple(torch.from_numpy(array).to(settings.device) for array in source[0])
        )

    def ours(stack: ExitStack, **more: Any) -> Batches:
        on_device = {"device": "cuda", "device_queue_size": 2} | more
        loader = fastfeed.Loader(
            source, workers=settings.workers, max_queue_size=QUEUE, framework="torch",
            **({} if settings.is_rehearsal else on_device),
        )  # fmt: skip
        return iter(stack.enter_context(loader))

    def transformed(stack: ExitStack) -> Batches:
        if settings.is_rehearsal:
            raise NotImplementedError("device transforms need a GPU")
        from fastfeed.devices import transforms

        images = [transforms.Normalise(MEAN, STD), transforms.Cast("bfloat16")]
        return ours(stack, device_transform=transforms.Augment(images=images))

    def of_torch(stack: ExitStack) -> Batches:
        loader = DataLoader(
            Images(settings.images, settings.side, ENDLESS),
            batch_size=None,
            num_workers=settings.workers,
            prefetch_factor=QUEUE // settings.workers,
            pin_memory=not settings.is_rehearsal,
        )
        return (
            tuple(tensor.to(settings.device, non_blocking=True) for tensor in batch)
            for batch in loader
        )

    return {
        CACHED: cached,
        TRAINED_TORCH: of_torch,  # it forks, so it goes before those that start threads
        TRAINED_FILL: ours,
        TRAINED_TRANSFORMED: transformed,
    }


def cpu_seconds() -> float:
    """Return what this process and all below it have used, those that have ended too."""
    own = psutil.Process()
    total = 0.0
    for process in [own, *own.children(recursive=True)]:
        try:
            total += sum(process.cpu_times()[:4])
        except psutil.NoSuchProcess:
            continue
    return total
