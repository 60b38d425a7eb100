"""Scripts that measure one thing each, run by their path as a user's script is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.harness import ENVIRONMENT, ROOT

LONGEST = 180.0  # seconds for one probe


def probe(script: str, *arguments: object, **environment: str) -> dict[str, Any]:
    """Run a probe and return what it measured."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "bench" / "probes" / script), *map(str, arguments)],
        env=os.environ | ENVIRONMENT | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        timeout=LONGEST,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer
