"""Shows ``next()`` to the profilers that run: PyTorch's, TensorFlow's, and NVIDIA's by NVTX.

Neither framework is imported here: who has not imported it has no profiler of it running.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from fastfeed.workers.ranges import VARIABLE, are_on, nvtx_range

NAME = "fastfeed.__next__"
TORCH_NAME = f"enumerate(DataLoader)#{NAME}"
"""PyTorch's plugin for TensorBoard takes for data loading what begins and ends like this
(``tb_plugin/torch_tb_profiler/profiler/event_parser.py`` in pytorch/kineto)."""


class Profilers:
    """Those that may be running in this process; see `present`.

    Parameters
    ----------
    torch : module or None
        ``torch.autograd.profiler``.
    tensorflow : module or None
        ``tensorflow.python.profiler.trace``.
    nvtx : context manager or None
        A range.
    """

    def __init__(self, torch: Any, tensorflow: Any, nvtx: Any) -> None:
        self._torch = torch
        self._tensorflow = tensorflow
        self._nvtx = nvtx

    def are_running(self) -> bool:
        """Tell whether one of them wants to know of ranges now. Asked for each batch."""
        return (
            self._nvtx is not None
            or (self._torch is not None and self._torch._is_profiler_enabled)
            or (self._tensorflow is not None and self._tensorflow.enabled())
        )

    @contextmanager
    def range(self) -> Iterator[None]:
        """Show all of them what is done in this context as loading data."""
        with ExitStack() as ranges:
            if self._torch is not None:
                ranges.enter_context(self._torch.record_function(TORCH_NAME))
            if self._tensorflow is not None:
                ranges.enter_context(self._tensorflow.Trace(NAME))
            if self._nvtx is not None:
                ranges.enter_context(self._nvtx)
            yield


def present() -> Profilers | None:
    """Return the profilers that are there; None: nobody can be watching.

    Asked for once a pass, so a loop without them pays next to nothing for each batch.
    """
    torch = _module("torch.autograd.profiler", "_is_profiler_enabled")
    tensorflow = _module("tensorflow.python.profiler.trace", "enabled")
    nvtx = nvtx_range("wait")
    if nvtx is None and are_on():
        warnings.warn(
            f"{VARIABLE} is set, but there are no ranges without the package nvtx: "
            "pip install nvtx",
            stacklevel=4,  # the loop that begins
        )
    if torch is None and tensorflow is None and nvtx is None:
        return None
    return Profilers(torch, tensorflow, nvtx)


def _module(name: str, needed: str) -> Any:
    """Return a module that is imported, wholly, and has what is needed; both are private."""
    module = sys.modules.get(name)
    return module if hasattr(module, needed) else None
