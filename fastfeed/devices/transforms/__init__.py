"""Transforms of a batch on the device: what uint8 images need before a model takes them.

>>> from fastfeed.devices import transforms as T
>>> augment = T.Augment(
...     images=[T.RandomCrop(24, 24), T.RandomFlip(), T.Normalise(127.5, 127.5), T.ChannelsFirst()],
...     labels=[T.OneHot(10)],
... )

All ops of an array run in one CUDA kernel, so each array crosses the device's memory once. Random
numbers depend on (seed, epoch, index of the batch, sample) alone, and `Augment.on_host` gives the
same numbers with NumPy. See docs/transforms.md.
"""

from fastfeed.devices.transforms.augment import Augment
from fastfeed.devices.transforms.images import ChannelsFirst, RandomCrop, RandomFlip
from fastfeed.devices.transforms.mixup import Mixup
from fastfeed.devices.transforms.plan import Plan
from fastfeed.devices.transforms.values import Cast, Normalise, OneHot, Scale

__all__ = [
    "Augment",
    "Cast",
    "ChannelsFirst",
    "Mixup",
    "Normalise",
    "OneHot",
    "Plan",
    "RandomCrop",
    "RandomFlip",
    "Scale",
]
