"""Classes of the user's script, which worker processes do not import."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import collections
import fastfeed, numpy as np

Pair = collections.namedtuple("Pair", "x y")

class Label:
    def __init__(self, number):
        self.number = number

class Unreadable(ValueError):
    pass

class Source:
    def __len__(self):
        return 3
    def __getitem__(self, index):
        if index == 2:
            raise Unreadable("no such file", index)
        return Pair(np.full(4, index), Label(index))

with fastfeed.Loader(Source(), workers=2) as loader:
    batches = iter(loader)
    for index in range(2):
        batch = next(batches)
        assert type(batch) is Pair and type(batch.y) is Label, batch
        assert (batch.x == index).all() and batch.y.number == index
    try:
        next(batches)
    except Unreadable as error:
        assert error.args == ("no such file", 2)
        print("all as in the script")
"""


def test_batches_and_exceptions_of_a_script_keep_its_classes(tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout, ended.returncode) == ("all as in the script\n", 0), ended.stderr
