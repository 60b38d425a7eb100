"""What the doctor says about one topic, as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

Value = str | int | float | bool | None | Mapping[str, Any]


class Status(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; who wants more speed should know it."""
    WARNING = "warning"
    """Something will be slow, or fail in some uses."""
    PROBLEM = "problem"
    """fastfeed cannot be used here, or only with threads."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Parameters
    ----------
    name : str
        The topic, in a word or two.
    status : Status
    seen : str
        What was found, with numbers and units.
    values : mapping of str to value
        The same for programs; names end in their unit (``_bytes``, ``_s``, ``_gb_per_s``).
    means : str
        What follows from it. Never empty for a warning or a problem.
    cure : str
        What to do about it. Never empty for a warning or a problem.
    """

    name: str
    status: Status
    seen: str
    values: Mapping[str, Value] = field(default_factory=dict)
    means: str = ""
    cure: str = ""

    def __post_init__(self) -> None:
        if self.status in (Status.WARNING, Status.PROBLEM) and not (self.means and self.cure):
            raise ValueError(f"{self.name}: a {self.status} must say what it means, and its cure")
