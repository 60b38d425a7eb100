"""What a user asks for: ops for images and labels, and which arrays of the batch those are."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

from fastfeed.devices.transforms import dtypes
from fastfeed.devices.transforms.arguments import check_key, check_ops
from fastfeed.devices.transforms.form import Form, image_form, label_form
from fastfeed.devices.transforms.images import ChannelsFirst, RandomCrop, RandomFlip
from fastfeed.devices.transforms.mixup import Mixup
from fastfeed.devices.transforms.op import Chain, Op
from fastfeed.devices.transforms.plan import Path, Plan, Touched, aligned
from fastfeed.devices.transforms.values import Cast, Normalise, OneHot, Scale
from fastfeed.errors import ArgumentError
from fastfeed.structure import (
    ArrayLeaf,
    Tree,
    as_leaf,
    children_of,
    describe,
    is_array,
    is_leaf,
    leaf_bytes,
    rebuild,
)

IMAGE_OPS = (RandomCrop, RandomFlip, ChannelsFirst, Scale, Normalise, Cast)
LABEL_OPS = (OneHot, Scale, Normalise, Cast)


class Augment:
    """Transforms of a batch on the device, for ``Loader(..., device_transform=...)``.

    Each array's ops are applied in order, in one kernel; then the batch is mixed, if asked for.
    Other arrays of the batch go through as they are.

    Parameters
    ----------
    images : sequence of ops
        For the images, of shape (N, height, width, channels) or (N, height, width): `RandomCrop`,
        `RandomFlip`, `ChannelsFirst`, `Scale`, `Normalise`, `Cast`.
    labels : sequence of ops
        For the labels, of any shape with N first: `OneHot`, `Scale`, `Normalise`, `Cast`.
    mixup : Mixup, optional
        Applied to images and labels after their ops; both must be floats by then.
    image_key, label_key : int, str or tuple
        Where they are in the batch: a position in a tuple or list, or a key of a dict. A tuple is
        the way into nested ones, and the empty tuple says that the batch is the array itself.

    Raises
    ------
    ArgumentError
        If an argument is no op that fits there, or there is nothing to do.
    """

    def __init__(
        self,
        images: Sequence[Op] = (),
        labels: Sequence[Op] = (),
        mixup: Mixup | None = None,
        *,
        image_key: Hashable = 0,
        label_key: Hashable = 1,
    ) -> None:
        self.images = check_ops("images", images, IMAGE_OPS)
        self.labels = check_ops("labels", labels, LABEL_OPS)
        if mixup is not None and not isinstance(mixup, Mixup):
            raise ArgumentError("mixup must be a Mixup, for example Mixup(0.2).", repr(mixup))
        if not (self.images or self.labels or mixup):
            raise ArgumentError("Augment needs ops for images or labels, or a mixup.")
        self.mixup = mixup
        self.image_key = check_key("image_key", image_key)
        self.label_key = check_key("label_key", label_key)
        both = mixup or (self.images and self.labels)
        if both and as_path(image_key) == as_path(label_key):
            raise ArgumentError("image_key and label_key must differ.", repr(image_key))

    def __repr__(self) -> str:
        return (
            f"Augment(images={list(self.images)}, labels={list(self.labels)}, mixup={self.mixup}, "
            f"image_key={self.image_key!r}, label_key={self.label_key!r})"
        )

    def plan(self, skeleton: Tree) -> Plan:
        """Check that the ops fit batches of a skeleton, and lay out the results.

        Parameters
        ----------
        skeleton : tree
            A batch's, with an `ArrayLeaf` for each array.

        Raises
        ------
        ArgumentError
            If an array is missing or an op does not fit it.
        """
        chains = self._chains(skeleton)
        copies: list[tuple[ArrayLeaf, ArrayLeaf]] = []
        touched: list[Touched] = []
        end = 0

        def place(path: Path, leaf: Any) -> Any:
            nonlocal end
            if not is_leaf(leaf):
                return leaf
            chain = chains.get(path)
            result = leaf if chain is None else chain.result
            target = ArrayLeaf(end, result.shape, result.dtype)
            end = aligned(end + leaf_bytes(target))
            if chain is None:
                copies.append((leaf, target))
            else:
                touched.append(Touched(path, leaf, target, chain, self.mixup is not None))
            return target

        outputs = map_paths(place, skeleton)
        return Plan(outputs, end, tuple(copies), tuple(touched), self.mixup)

    def on_host(self, batch: Tree, *, seed: int, epoch: int, index: int) -> Tree:
        """Return what the device gives for a batch, computed by NumPy: the same bits, but for NaN,
        of which there are many.

        Parameters
        ----------
        batch : tree
            With arrays in host memory; they are not changed. Those that no op touches are returned
            as they are.
        seed, epoch, index : int
            Of the batch: its random numbers follow from them.

        Raises
        ------
        ArgumentError
            If an array is missing or an op does not fit it.
        """
        arrays: dict[Path, Any] = {}

        def collect(path: Path, leaf: Any) -> Any:
            arrays[path] = as_leaf(leaf)
            return leaf_of(arrays[path])

        plan = self.plan(map_paths(collect, batch))
        arrays.update(plan.on_host(arrays, seed, epoch, index))
        return map_paths(lambda path, leaf: arrays[path], batch)

    def _chains(self, skeleton: Tree) -> dict[Path, Chain]:
        """Return the ops of each array that has some, by its path."""
        found: dict[Path, Any] = {}
        map_paths(found.setdefault, skeleton)
        chains: dict[Path, Chain] = {}
        for name, key, ops, form_of in (
            ("image_key", self.image_key, self.images, image_form),
            ("label_key", self.label_key, self.labels, label_form),
        ):
            if ops or self.mixup:
                leaf: Any = found.get(as_path(key))
                if not is_leaf(leaf):
                    raise ArgumentError(
                        f"{name}={key!r} names no array of the batch. Give the position or the key "
                        "at which it is, or a tuple of those for nested batches.",
                        describe(skeleton),
                    )
                chains[as_path(key)] = Chain.of(ops, checked(name, form_of(leaf.shape, leaf.dtype)))
        if self.mixup:
            check_mixable(list(chains.values()))
        return chains


def checked(name: str, form: Form) -> Form:
    """Return the form of an array that kernels can read.

    Raises
    ------
    ArgumentError
        If it has no samples, is of no known dtype, or is no image where it should be one.
    """
    if name == "image_key" and len(form.shape) not in (3, 4):
        raise ArgumentError(
            "Images must be of shape (N, height, width, channels) or (N, height, width); "
            "image_key says which array they are.",
            str(form),
        )
    if not form.shape:
        raise ArgumentError(f"The array of {name} has no axis of samples.", str(form))
    if not dtypes.is_supported(form.dtype):
        raise ArgumentError(
            f"The array of {name} must be of bool, integers or floats of 16 to 64 bits in this "
            "machine's byte order. Convert it in the source.",
            str(form),
        )
    return form


def check_mixable(chains: list[Chain]) -> None:
    """Check that images and labels can be mixed.

    Raises
    ------
    ArgumentError
        If one is not of floats, or they have not the same number of samples.
    """
    forms = [chain.result for chain in chains]
    for form, cure in zip(forms, ('Cast("float32") to images', "OneHot to labels"), strict=True):
        if not dtypes.is_floating(form.dtype):
            raise ArgumentError(f"Mixup mixes floats only. Add {cure}.", str(form))
    if len({form.shape[0] for form in forms}) > 1:
        raise ArgumentError("Mixup needs as many labels as images.", " and ".join(map(str, forms)))


# -- paths ----------------------------------------------------------------------------------


def as_path(key: Hashable) -> Path:
    """Return the path that a key stands for."""
    return key if isinstance(key, tuple) else (key,)


def map_paths(function: Callable[[Path, Any], Any], tree: Tree, path: Path = ()) -> Tree:
    """Apply ``function(path, leaf)`` to each leaf and keep the structure."""
    children = children_of(tree)
    if children is None:
        return function(path, tree)
    keys = tree if isinstance(tree, dict) else range(len(children))
    return rebuild(
        tree,
        [
            map_paths(function, child, (*path, key))
            for key, child in zip(keys, children, strict=True)
        ],
    )


def leaf_of(value: Any) -> Any:
    """Return what a leaf is in a skeleton; NumPy needs no offsets."""
    return ArrayLeaf(0, value.shape, value.dtype) if is_array(value) else value
