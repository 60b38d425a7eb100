"""What every op is: a check, a NumPy function, and its part of a kernel.

A kernel computes one element of the result per thread. It goes through the ops twice: from the last
to the first to find which input element it needs (`locate`), then forwards with its value
(`compute`). So ops that only move elements cost no memory traffic, and values are computed once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fastfeed.devices.transforms.draws import Draws
from fastfeed.devices.transforms.dtypes import c_type
from fastfeed.devices.transforms.form import Form
from fastfeed.errors import ArgumentError


@dataclass(frozen=True)
class Site:
    """An op's place in a chain, for the text of a kernel.

    Attributes
    ----------
    number : int
        The op's position. Its value arrives as ``v<number>`` and leaves as ``v<number + 1>``; its
        random numbers are those of this purpose.
    before, after : Form
        The array before and after the op.
    coordinates : list of str
        C expressions of the element's coordinates after the op, without the sample's.
    """

    number: int
    before: Form
    after: Form
    coordinates: list[str]

    def result(self, expression: str) -> str:
        """Return the C statement that gives the op's value to the next one."""
        return f"const {c_type(self.after.dtype)} v{self.number + 1} = {expression};"


class Op(ABC):
    """An op on one array of the batch. Subclasses are frozen dataclasses, so they are hashable and
    show their arguments in messages.
    """

    def fit(self, form: Form) -> Form:
        """Return the form of the result.

        Raises
        ------
        ArgumentError
            If the op cannot be applied to such arrays.
        """
        return form

    @abstractmethod
    def on_host(self, array: np.ndarray, form: Form, draws: Draws, number: int) -> np.ndarray:
        """Return the result, with NumPy. `number` is the purpose of the random numbers."""

    def locate(self, site: Site) -> tuple[list[str], list[str]]:
        """Return C statements, and the coordinates of the element that the op takes."""
        return [], site.coordinates

    def compute(self, site: Site, value: str) -> list[str]:
        """Return C statements of which the last is `Site.result`."""
        return [site.result(value)]

    def misfit(self, form: Form, rule: str) -> ArgumentError:
        """Return the error for an array that the op cannot take; `rule` names the cure."""
        return ArgumentError(f"{self} cannot be applied here: {rule}", str(form))


@dataclass(frozen=True)
class Chain:
    """The ops of one array, each of which fits the one before.

    Attributes
    ----------
    ops : tuple of Op
    forms : tuple of Form
        Before the first op, and after each.
    """

    ops: tuple[Op, ...]
    forms: tuple[Form, ...]

    @classmethod
    def of(cls, ops: Sequence[Op], form: Form) -> Chain:
        """Check that each op fits what the one before gives."""
        forms = [form]
        for op in ops:
            forms.append(op.fit(forms[-1]))
        return cls(tuple(ops), tuple(forms))

    @property
    def result(self) -> Form:
        """The form after the last op."""
        return self.forms[-1]

    def on_host(self, array: np.ndarray, draws: Draws) -> np.ndarray:
        """Apply the ops with NumPy."""
        for number, op in enumerate(self.ops):
            array = op.on_host(array, self.forms[number], draws, number)
        return array
