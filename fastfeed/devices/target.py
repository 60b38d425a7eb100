"""From the Loader's arguments to where its batches go."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fastfeed._core import Device
from fastfeed.devices.arrays import (
    check_framework,
    check_sees_gpu,
    current_ordinal,
    hand_over_device,
    hand_over_for_tensorflow,
    is_used_anywhere,
)
from fastfeed.devices.cuda import open_device, ordinal_of
from fastfeed.devices.handover import HandOver, hand_over_to
from fastfeed.devices.transforming import DeviceTransform, Transforming
from fastfeed.errors import ArgumentError
from fastfeed.structure import Tree


@dataclass(frozen=True)
class Wanted:
    """What the Loader was asked for, as its docstring has it."""

    device: Any
    framework: str | None
    device_queue_size: int
    device_transform: DeviceTransform | None
    device_synchronise: bool
    stable_addresses: bool
    seed: int


@dataclass(frozen=True)
class Target:
    """Where batches go.

    Attributes
    ----------
    framework : str
        Whose arrays they are made of.
    hand_over : callable
        Makes a batch of a lease and its skeleton.
    device : Device or None
        The GPU; None: host memory.
    waiting : int
        Batches that wait on the GPU, at the most; 0: none is uploaded by us, the slots are
        page-locked only.
    fixed : bool
        In buffers at the same addresses for ever.
    transforming : Transforming or None
        What is done to batches there, by `hand_over`.
    """

    framework: str
    hand_over: HandOver
    device: Device | None = None
    waiting: int = 0
    fixed: bool = False
    transforming: Transforming | None = None


def target(wanted: Wanted) -> Target:
    """Find the GPU, if one is asked for, and the framework.

    Raises
    ------
    ArgumentError
        Arguments that do not go together, or a framework that is not installed.
    DeviceUnavailable
        The GPU cannot be used.
    """
    if wanted.device is None:
        _refuse_device_options(wanted)
        framework = "numpy" if wanted.framework is None else wanted.framework
        return Target(framework, hand_over_to(framework))
    framework = "cupy" if wanted.framework is None else wanted.framework
    check_framework(framework)
    ordinal = ordinal_of(wanted.device)
    device = open_device(_current(framework) if ordinal is None else ordinal)
    if framework == "tensorflow" and not wanted.device_synchronise:
        return _copied_by_tensorflow(wanted, device)
    hand_over = hand_over_device(framework, device.ordinal, wanted.device_synchronise)
    transforming = None
    if wanted.device_transform is not None:
        transforming = Transforming(
            wanted.device_transform,
            device,
            wanted.seed,
            fixed=wanted.stable_addresses,
            anywhere=is_used_anywhere(framework, wanted.device_synchronise),
        )
        hand_over = _after(transforming, hand_over)
    return Target(
        framework,
        hand_over,
        device,
        wanted.device_queue_size,
        fixed=wanted.stable_addresses,
        transforming=transforming,
    )


def _refuse_device_options(wanted: Wanted) -> None:
    for name in ("device_transform", "device_synchronise", "stable_addresses"):
        if getattr(wanted, name):
            raise ArgumentError(
                f'{name} is about batches on a GPU: add device="cuda", or leave it out.',
                f"{name}={getattr(wanted, name)!r}",
            )


def _current(framework: str) -> int:
    """Return the GPU that a framework uses; what it lacks is reported when it is imported."""
    try:
        return current_ordinal(framework)
    except ImportError:
        return 0


def _copied_by_tensorflow(wanted: Wanted, device: Device) -> Target:
    for name in ("device_transform", "stable_addresses"):
        if getattr(wanted, name):
            raise ArgumentError(
                f"TensorFlow copies batches to the GPU itself, so {name} needs "
                "device_synchronise=True: then it gets arrays that lie there already.",
                f"{name}={getattr(wanted, name)!r}",
            )
    hand_over = hand_over_for_tensorflow(f"/GPU:{device.ordinal}")
    check_sees_gpu("tensorflow", device.ordinal)
    return Target("tensorflow", hand_over, device)


def _after(transform: Transforming, hand_over: HandOver) -> HandOver:
    def transformed(lease: Any, skeleton: Tree) -> Tree:
        return hand_over(*transform(lease, skeleton))

    return transformed
