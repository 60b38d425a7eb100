"""``python -m bench.gpu.part MODULE FILE LIMIT SETTINGS``: one part in a process of its own."""

from __future__ import annotations

import faulthandler
import importlib
import json
import sys
from pathlib import Path

from bench.gpu.record import Record
from bench.gpu.settings import Settings

BEFORE_THE_END = 2.0  # seconds: time to say where a part hangs


def main(module: str, file: str, limit: str, settings: str) -> None:
    """Measure; a part that hangs says on standard error where, before it is ended."""
    faulthandler.dump_traceback_later(max(0.5, float(limit) - BEFORE_THE_END))
    measure = importlib.import_module(module).measure
    measure(Settings(**json.loads(settings)), Record(Path(file)))
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
