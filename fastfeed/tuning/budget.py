"""What tuning may use: memory for slots, and cores."""

from __future__ import annotations

from fastfeed.machine.limits import default_memory_bytes, usable_cores

__all__ = ["default_memory_bytes", "usable_cores"]
