"""NVTX ranges, as a profiler sees them that the package nvtx loads: one of ours, for the tests."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

pytest.importorskip("nvtx")

LISTENER = Path(__file__).with_name("nvtx_listener.c")
LOOP = """
import fastfeed, numpy as np, os

class Items:
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return np.full(4, index)

with fastfeed.Loader(Items(), workers=1, use_multiprocessing={processes}) as loader:
    for _ in range(2):
        for _ in loader:
            pass
print(os.getpid())
"""


@pytest.fixture(scope="module")
def listener(tmp_path_factory):
    """A library that writes down every range."""
    library = tmp_path_factory.mktemp("nvtx") / "listener.so"
    options = ["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-o", library]
    subprocess.run([os.environ.get("CC", "cc"), *options, LISTENER], check=True)
    return library


def ranges(listener, log, processes, **environment):
    """Run a loop of 2 x 6 batches; return its process, and by process the ranges that ended."""
    program = LOOP.format(processes=processes)
    environment = {"NVTX_INJECTION64_PATH": listener, "NVTX_LISTENER_LOG": log, **environment}
    environment = {**os.environ, **{name: str(value) for name, value in environment.items()}}
    loop = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True
    )
    assert loop.returncode == 0, loop.stderr
    open_, ended = defaultdict(list), defaultdict(list)
    for line in log.read_text().splitlines() if log.exists() else ():
        pid, what, domain, *name = line.split()
        if what == "+":
            open_[pid].append((domain, *name))
        else:
            ended[pid].append(open_[pid].pop())
    assert not any(open_.values())
    return loop.stdout.strip(), ended, loop.stderr


def test_the_loop_waits_and_a_worker_makes(listener, tmp_path):
    loop, ended, _ = ranges(listener, tmp_path / "log", True, FASTFEED_NVTX=1)
    assert ended.pop(loop) == [("fastfeed", "wait")] * 14, "6 batches and an end, twice"
    (made,) = ended.values()
    assert set(made) == {("fastfeed", "make")} and len(made) >= 12


def test_threads_have_ranges_of_their_own(listener, tmp_path):
    loop, ended, _ = ranges(listener, tmp_path / "log", False, FASTFEED_NVTX=1)
    names = [name for _, name in ended.pop(loop)]
    assert names.count("wait") == 14 and names.count("make") >= 12
    assert not ended


@pytest.mark.parametrize("setting", ["", "0"])
def test_without_the_variable_there_are_none(setting, listener, tmp_path):
    _, ended, _ = ranges(listener, tmp_path / "log", False, FASTFEED_NVTX=setting)
    assert not ended


def test_without_the_package_it_says_what_to_install(listener, tmp_path):
    (tmp_path / "nvtx.py").write_text("raise ImportError")
    options = {"FASTFEED_NVTX": 1, "PYTHONPATH": f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}"}
    _, ended, said = ranges(listener, tmp_path / "log", True, **options)
    assert not ended
    assert said.count("pip install nvtx") == 1
