"""``python -m bench [keras] [--quick] [pytest's arguments]``: measure and write the tables.

Without ``keras`` all but Keras's fit is measured, with it that alone. The results are written to
``bench/results/<date>-<cpu>.json`` and ``.md`` (``-keras``: of Keras's fit); those of a quick run
end in ``-quick`` and are not kept by git.
"""

from __future__ import annotations

import re
import shlex
import sys
import time
from pathlib import Path

import pytest

from bench import machine, report

HERE = Path(__file__).resolve().parent
FITS = HERE / "test_keras.py"


def main(arguments: list[str]) -> int:
    """Run the benchmarks under pytest-benchmark; return pytest's exit status."""
    cpu = re.sub(r"[^a-z0-9]+", "-", machine.cpu_model().lower()).strip("-")
    of_keras = arguments[:1] == ["keras"]
    part = "-keras" if of_keras else ""
    length = "-quick" if "--quick" in arguments else ""
    measured = HERE / "results" / f"{time.strftime('%Y-%m-%d')}-{cpu}{part}{length}.json"
    measured.parent.mkdir(exist_ok=True)
    status = pytest.main(
        [
            *([str(FITS)] if of_keras else [str(HERE), f"--ignore={FITS}"]),
            "--benchmark-only",
            f"--command={shlex.join(['python', '-m', 'bench', *arguments])}",
            f"--benchmark-json={measured}",
            "--benchmark-columns=median,iqr,min,max,ops,rounds",
            "--benchmark-sort=mean",
            "--benchmark-group-by=group",
            "-rs",
            *arguments[of_keras:],
        ]
    )
    if not measured.exists() or not measured.stat().st_size:
        print("nothing was measured", file=sys.stderr)
        return int(status) or 1
    page = report.write(measured)
    print(page.read_text())
    print(f"written: {page.relative_to(HERE.parent)} and the .json beside it")
    return int(status)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
