"""The contestants on a GPU; see `bench.gpu.lane.Task` for what a module of theirs offers."""

from __future__ import annotations

from bench.rivals import Contestant

FILL = Contestant("fastfeed, fill", "gpu.rivals.fastfeed_loader", ("fastfeed",), "fill")
STREAM = Contestant(
    "fastfeed, fill with fastfeed.copyto", "gpu.rivals.fastfeed_loader", ("fastfeed",), "stream"
)
ITEM = Contestant("fastfeed, __getitem__", "gpu.rivals.fastfeed_loader", ("fastfeed",))
TORCH = Contestant("torch DataLoader, pin_memory", "gpu.rivals.torch_loader", ("torch",))
CUPY_REGISTERED = Contestant(
    "CuPy thread, registered slots", "gpu.rivals.cupy_thread", ("cupy",), "stream", "registered"
)
CUPY_PAGEABLE = Contestant(
    "CuPy thread, pageable", "gpu.rivals.cupy_thread", ("cupy",), "stream", "pageable"
)
SPDL = Contestant("SPDL", "gpu.rivals.spdl_pipeline", ("spdl.io", "spdl.pipeline"))

FASTFEED = (FILL, STREAM, ITEM)
ALL = (*FASTFEED, TORCH, CUPY_REGISTERED, CUPY_PAGEABLE, SPDL)
