"""What ``fastfeed bench`` runs in processes of their own: ``lane TASK`` and ``look WORK``."""

from __future__ import annotations

import sys

from fastfeed.benchmark import examine, lane
from fastfeed.cli.source import load_source

PROGRAMS = {"lane": lane.main, "look": examine.main}

if __name__ == "__main__":
    PROGRAMS[sys.argv.pop(1)](load_source)
