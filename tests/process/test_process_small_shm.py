"""A container with a tiny /dev/shm, where others die of a bus error: slots do not live there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from process_scripts import run

TEXT = """
import os
import numpy as np
from fastfeed import Loader

class Large:
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return np.full(50_000_000, index, "uint8")

size = os.statvfs("/dev/shm")
print(size.f_blocks * size.f_frsize)
with Loader(Large(), workers=2, max_queue_size=2) as loader:
    for batch in loader:
        print(batch[0], batch[-1], len(batch))
print(os.listdir("/dev/shm"))
"""


def unshare_is_refused() -> bool:
    asked = ["unshare", "-m", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", "/dev/shm"]
    return subprocess.run(asked, capture_output=True).returncode != 0


@pytest.mark.skipif(unshare_is_refused(), reason="this system refuses mount namespaces")
def test_slots_of_50_mb_with_a_dev_shm_of_1_mb(tmp_path):
    (tmp_path / "inner.py").write_text(TEXT)
    mount = "mount -t tmpfs -o size=1m tmpfs /dev/shm"
    status, output = run(
        tmp_path,
        f"""
        import os
        command = "{mount} && exec {sys.executable} inner.py"
        os.execvp("unshare", ["unshare", "-m", "sh", "-c", command])
        """,
    )
    expected = ["1048576", *(f"{i} {i} 50000000" for i in range(6)), "[]"]
    assert (status, output.splitlines()) == (0, expected)
