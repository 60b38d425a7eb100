"""Recognises the batches that Keras takes to look at only.

Before it trains or evaluates, Keras on torch and JAX takes a batch to build what is not built yet,
for its shapes alone. It neither says so nor gives the batch back: PyDataset loses batches by it.
What tells such a peek from a step is the order of Keras's calls to its data adapter, written here
as N: asks for the number of batches, B: begins an epoch, t: takes a batch, E: ends an epoch.

=====================  ===========================================================
fit, evaluate          N [B t] N E   B t t t E   B t t t E ...
each validation        N E   B t t t E
predict                N B t t t E
fit that was stopped   N [B t] N E   B t       and then N for whatever comes next
=====================  ===========================================================

So it is a peek if ``B t`` stands between one N and N E, and B does not follow on an E. Under a
distribution strategy there is one before each validation too, ``B t N E``, and no evaluation
without one; so there B may follow on an E.
"""

from __future__ import annotations

from typing import Any

AHEAD = 2
"""A peek takes so many batches at the most: JAX on a GPU is one ahead."""
AHEAD_OF_STRATEGY = 8
"""A distribution strategy reads ahead by one batch a device, and tf.data by some more."""


class Peek:
    """Listens to Keras's calls, and keeps the batches that may have to be put back.

    Parameters
    ----------
    always : bool
        The model is trained under a distribution strategy.
    """

    def __init__(self, always: bool) -> None:
        self._begun, self._reset = ("B", "BN") if always else ("NB", "NBN")
        self._most = AHEAD_OF_STRATEGY if always else AHEAD
        self._calls = ""  # since the last E, and that
        self._taken: list[Any] = []

    def asked_for_length(self) -> None:
        """Note an N."""
        self._calls += "N"

    def begin_epoch(self) -> None:
        """Note a B."""
        self._calls = self._calls[-1:] + "B"
        self._taken = []

    def took(self, batch: Any) -> None:
        """Note a t. Of a real epoch no batch is kept: its slot would not be free."""
        if not self._calls.endswith(self._begun):
            return
        self._taken.append(batch)
        if len(self._taken) > self._most:
            self._taken = []
            self._calls = ""

    def end_epoch(self) -> list[Any]:
        """Note an E; return the batches that were taken to look at only."""
        was_reset = self._calls.endswith(self._reset)
        self._calls = "E"
        taken, self._taken = self._taken, []
        return taken if was_reset else []

    def forget(self) -> None:
        """Keep no batch any longer."""
        self._taken = []
