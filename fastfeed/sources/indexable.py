"""Objects with ``__len__`` and ``__getitem__`` whose items are whole batches (a Keras Sequence)."""

from __future__ import annotations

from typing import Any

from fastfeed.errors import SourceError
from fastfeed.sources.base import Item, Source, Writer, not_none
from fastfeed.sources.fingerprints import identity_of
from fastfeed.structure import (
    ArraySpec,
    Layout,
    as_leaf,
    describe,
    is_array,
    is_leaf,
    leaves,
    map_leaves,
)


def length_of(items: Any) -> int | None:
    """Return ``len(items)``; None where a Keras PyDataset says that it is endless.

    Raises
    ------
    SourceError
        If it is 0: an epoch without batches is a mistake in paths or filters.
    """
    if hasattr(items, "num_batches") and items.num_batches is None:
        return None
    length = len(items)
    if length == 0:
        raise SourceError(
            f"The source {type(items).__name__} is empty (its length is 0), so there is nothing "
            "to feed. Check the paths or filters that it was made with."
        )
    return length


def own_hook(items: Any, name: str) -> Any:
    """Return a hook method that the user wrote; None for the empty ones that Keras inherits."""
    hook = getattr(items, name, None)
    module = getattr(hook, "__module__", None) or ""
    is_empty = module.partition(".")[0] in {"keras", "tf_keras", "keras_preprocessing"}
    return hook if callable(hook) and not is_empty else None


class EpochHooks:
    """Calls a source's ``on_epoch_begin`` before each epoch and ``on_epoch_end`` after it.

    Each worker process has its own copy of the source and calls the hooks on it. They are seeded
    alike, so a copy that shuffles itself does so as the others do.
    """

    def __init__(self, items: Any) -> None:
        self._end = own_hook(items, "on_epoch_end")
        self._begin = own_hook(items, "on_epoch_begin")

    def __bool__(self) -> bool:
        return self._end is not None or self._begin is not None

    def before(self, epoch: int) -> None:
        """Call what there is, between the epoch before and this one."""
        if self._end is not None and epoch > 0:
            self._end()
        if self._begin is not None:
            self._begin()


class BatchSource(Source):
    """Makes item i as ``items[i]``."""

    def __init__(self, items: Any) -> None:
        self.items = items
        self._hooks = EpochHooks(items)
        self.hooks_epochs = bool(self._hooks)

    def fingerprint(self) -> str:
        """Return the user's object's."""
        return identity_of(self.items)

    def start_epoch(self, epoch: int) -> None:
        """Call the user's hooks."""
        self._hooks.before(epoch)

    def make(self, item: Item, writer: Writer) -> None:
        """Copy what ``__getitem__`` returns."""
        name = f"{type(self.items).__name__}.__getitem__"
        writer.write(not_none(self.items[item.index], name, item))


class FillSource(BatchSource):
    """Makes item i by ``items.fill(i, out, rng)``, which writes into the slot: no copy at all.

    `fill` gets the batch's arrays as writable views. It returns None, or the number of rows that
    it filled where a batch is shorter than `spec` says (the last one).
    """

    def __init__(self, items: Any) -> None:
        super().__init__(items)
        self._layout = spec_layout(items)

    def layout(self) -> Layout | None:
        """Return the layout that ``spec`` gives."""
        return self._layout

    def prepare(self, item: Item) -> None:
        """Without a spec: let the first batch show what the others look like."""
        if self._layout is None:
            name = type(self.items).__name__
            shown = not_none(self.items[0], f"{name}.__getitem__", item, 0)
            first = map_leaves(as_leaf, shown)
            if not all(map(is_array, leaves(first))):
                raise SourceError(
                    f"{name}.fill can write arrays only, but a batch of __getitem__ holds other "
                    f"objects: {describe(first)}. Return arrays, or feed without `fill`."
                )
            self._layout = Layout.of(first)

    def make(self, item: Item, writer: Writer) -> None:
        """Let the user write."""
        layout = self._layout
        assert layout is not None
        rows = self.items.fill(item.index, writer.reserve(layout), item.rng)
        if rows is not None:
            name = f"{type(self.items).__name__}.fill"
            layout = layout.with_rows(checked_rows(rows, layout, name))
        writer.commit(layout)


def checked_rows(rows: Any, layout: Layout, name: str) -> int:
    """Return the number of rows that ``fill`` says it has filled.

    Raises
    ------
    SourceError
        If it is no number, or more than there are.
    """
    arrays = [leaf for leaf in leaves(layout.skeleton) if is_leaf(leaf) and leaf.shape]
    most = min((leaf.shape[0] for leaf in arrays), default=0)
    is_number = hasattr(rows, "__index__") and not isinstance(rows, bool)
    if not is_number or not 0 <= rows <= most:
        raise SourceError(
            f"{name} must return None, or how many rows it has filled: 0 to {most}. "
            f"Received: {rows if is_number else describe(rows)}"
        )
    return int(rows)


def spec_layout(items: Any) -> Layout | None:
    """Return the layout of ``items.spec``, None if there is no spec.

    Raises
    ------
    SourceError
        If a leaf of the spec is neither an array nor an `ArraySpec`, or nothing tells the layout.
    """
    spec = getattr(items, "spec", None)
    if spec is None:
        if not hasattr(items, "__getitem__"):
            raise SourceError(
                f"{type(items).__name__} has `fill` but neither `spec` nor `__getitem__`, so "
                "nothing tells the shapes. Add `spec`: the batch's tree with "
                "fastfeed.ArraySpec(shape, dtype) as leaves."
            )
        return None
    for leaf in leaves(spec):
        if not (isinstance(leaf, ArraySpec) or is_array(leaf)):
            raise SourceError(
                f"{type(items).__name__}.spec has a leaf that is neither an array nor a "
                f"fastfeed.ArraySpec(shape, dtype). Received: {leaf!r}"
            )
    return Layout.of(spec)
