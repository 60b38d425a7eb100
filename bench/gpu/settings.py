"""How long and how much to measure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Settings:
    """The same for all parts.

    Parameters
    ----------
    device : {"cuda", "cpu"}
        "cpu": a rehearsal without a GPU, whose figures mean nothing.
    rounds : int
    seconds : float
        That a round of one contestant lasts, about.
    workers : int
        Of every loader, unless a part says otherwise.
    arena_bytes : int
        Host memory that copies read from, in turn: more than any cache holds.
    images : int
        A batch of the training loop.
    side : int
        Pixels of its images.
    steps : int
        Of the training loop, a round.
    calls : int
        Of ``next()`` that are timed.
    """

    device: str = "cuda"
    rounds: int = 5
    seconds: float = 0.4
    workers: int = 8
    arena_bytes: int = 1 << 29
    images: int = 128
    side: int = 224
    steps: int = 40
    calls: int = 2000

    @property
    def is_rehearsal(self) -> bool:
        """Whether there is no GPU."""
        return self.device == "cpu"

    def dumps(self) -> str:
        """Return the settings as JSON."""
        return json.dumps(asdict(self))


FULL = Settings()
QUICK = Settings(rounds=3, seconds=0.2, steps=15, calls=500)
REHEARSAL = Settings(
    device="cpu", rounds=2, seconds=0.05, workers=2, arena_bytes=1 << 27, images=2, side=64,
    steps=2, calls=20,
)  # fmt: skip
