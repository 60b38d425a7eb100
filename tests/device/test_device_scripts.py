"""Scripts with a simulated GPU: Ctrl-C, their end, forks, and parents that are killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from leftovers import eventually
from process_scripts import SEARCHED, Script
from simulated_gpu import Gpu

HERE = Path(__file__).parent
START = """
import gc, os, sys, threading, time
from device_support import Batches, index_of, indices, use_simulated_gpu
from process_support import in_a_fork
from fastfeed import Loader

gpu = use_simulated_gpu()
"""
pytestmark = pytest.mark.filterwarnings("ignore:os.fork")  # JAX may be in this process
KINDS = ["workers=2", "workers=2, use_multiprocessing=False", "workers=0"]
each_kind = pytest.mark.parametrize("kind", KINDS)


def start(folder: Path, text: str, **options: Any) -> Script:
    path = os.pathsep.join([str(HERE), str(HERE.parent), SEARCHED])
    return Script(folder, START + text, environment={"PYTHONPATH": path}, **options)


def said(folder: Path, text: str, status: int = 0) -> list[str]:
    """Run a script to its end; return the lines that it wrote."""
    script = start(folder, text)
    assert script.finish() == status, script.output
    return script.output.splitlines()


# -- Ctrl-C ---------------------------------------------------------------------------------

LOOP = """
loader = Loader(Batches(1000, {before}), device="cuda", {kind})
for number, batch in enumerate(loader):
    if number == 5:
        print("five", flush=True)
        {then}
"""
STUCK = "lambda index: index > 5 and time.sleep(60)"


@pytest.mark.parametrize(
    ("kind", "before", "then"),
    [
        (KINDS[0], STUCK, "pass"),
        (KINDS[1], STUCK, "pass"),
        (KINDS[0], "None", "time.sleep(60)"),
    ],
    ids=["in a wait", "in a wait for threads", "in a step"],
)
def test_ctrl_c_ends_the_script_with_one_traceback(
    gpu: Gpu, tmp_path: Path, kind: str, before: str, then: str
) -> None:
    text = LOOP.format(before=before, then=then, kind=kind)
    script = start(tmp_path, text, on_terminal=True)
    script.wait_for("five")
    time.sleep(0.15)
    script.press_ctrl_c()
    assert script.finish() == -signal.SIGINT, script.output
    echo = script.output.replace("^C", "")
    lines = [line for line in echo.splitlines() if line and not line.startswith(" ")]
    assert lines == ["five", "Traceback (most recent call last):", "KeyboardInterrupt"], echo


def test_after_ctrl_c_in_a_wait_the_loader_goes_on(gpu: Gpu, tmp_path: Path) -> None:
    script = start(
        tmp_path,
        """
with Loader(Batches(10, lambda index: index == 5 and time.sleep(1)), device="cuda",
            workers=1) as loader:
    try:
        for batch in loader:
            if index_of(batch) == 4:
                print("four", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    print(indices(loader) == list(range(10)))
del loader, batch
gpu.close()
print(gpu.live(), gpu.violations())
""",
        on_terminal=True,
    )
    script.wait_for("four")
    time.sleep(0.2)
    script.press_ctrl_c()
    assert script.finish() == 0, script.output
    lines = script.output.replace("^C", "").splitlines()
    assert lines == ["four", "interrupted", "True", "0 []"]


# -- the end --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "taken"), [(KINDS[0], 0), (KINDS[0], 4), (KINDS[1], 4), (KINDS[2], 4)]
)
def test_a_script_may_end_with_its_loader_open_and_batches_alive(
    gpu: Gpu, tmp_path: Path, kind: str, taken: int
) -> None:
    text = f"""
import itertools
loader = Loader(Batches(1000), device="cuda", device_queue_size=3, {kind})
batches = iter(loader)
kept = list(itertools.islice(batches, {taken}))
print(indices(kept))
"""
    assert said(tmp_path, text) == [str(list(range(taken)))]


@pytest.mark.parametrize(
    ("end", "status", "last"),
    [
        ("sys.exit(3)", 3, "done"),
        ("os._exit(4)", 4, "done"),
        ("raise KeyError('mine')", 1, "KeyError: 'mine'"),
        ("os.kill(os.getpid(), 9)", -9, "done"),
    ],
    ids=["exit", "_exit", "exception", "kill"],
)
def test_a_script_may_end_in_the_middle_of_a_loop(
    gpu: Gpu, tmp_path: Path, end: str, status: int, last: str
) -> None:
    text = f"""
kept = []
for batch in Loader(Batches(1000), device="cuda", workers=2):
    kept.append(batch)
    if len(kept) == 5:
        print("done", flush=True)
        {end}
"""
    assert said(tmp_path, text, status)[-1] == last


def test_a_script_may_end_while_daemon_threads_use_loaders(gpu: Gpu, tmp_path: Path) -> None:
    text = """
def use():
    for batch in Loader(Batches(10**6), device="cuda", workers=1):
        del batch

for _ in range(3):
    threading.Thread(target=use, daemon=True).start()
time.sleep(0.7)
print("end", flush=True)
"""
    lines = said(tmp_path, text)
    assert "end" in lines
    said_by_threads = [line for line in lines if "Error:" in line or "Closed:" in line]
    assert all("LoaderClosed" in line for line in said_by_threads), lines


def test_a_parent_that_is_killed_leaves_no_worker(gpu: Gpu, tmp_path: Path) -> None:
    text = LOOP.format(before=STUCK, then="pass", kind="workers=2")
    script = start(tmp_path, text)
    script.wait_for("five")
    assert eventually(lambda: len(script.pids()) == 4)  # itself, the fork server, two workers
    script.process.kill()
    assert script.finish() == -signal.SIGKILL
    assert script.output.strip() == "five"


# -- forks ----------------------------------------------------------------------------------

CALLS = """
names = '''cuMemFree_v2 cuMemAlloc_v2 cuEventDestroy_v2 cuEventRecord cuStreamDestroy_v2
cuMemHostUnregister cuDevicePrimaryCtxRelease_v2 cuStreamSynchronize cuEventSynchronize
cuCtxPushCurrent_v2 cuCtxPopCurrent_v2 cuStreamWaitEvent cuMemcpyHtoDAsync_v2'''.split()

def called():
    return [gpu.calls(name) for name in names]
"""


@each_kind
def test_a_fork_does_not_touch_the_gpu_and_ends_as_it_should(
    gpu: Gpu, tmp_path: Path, kind: str
) -> None:
    text = f"""
{CALLS}
def drop_all():
    global loader, batches, kept
    before = called()
    loader.close()
    del loader, batches, kept
    gc.collect()
    return before == called()

loader = Loader(Batches(20), device="cuda", {kind})
batches = iter(loader)
kept = [next(batches), next(batches)]
print(in_a_fork(lambda: next(batches)))
print(in_a_fork(drop_all))
print(in_a_fork(lambda: loader.stats().batches))
print(indices(kept) + indices(batches) == list(range(20)))
print(indices(loader) == list(range(20)))
loader.close()
del loader, batches, kept
gpu.close()
print(gpu.live(), gpu.violations())
"""
    lines = said(tmp_path, text)
    assert lines[0].startswith("LoaderClosed: This loader belongs to the process that made it")
    assert lines[1:] == ["True", "2", "True", "True", "0 []"]


def test_a_fork_that_ends_like_a_script_leaves_the_parents_loader_alone(
    gpu: Gpu, tmp_path: Path
) -> None:
    text = f"""
{CALLS}
with Loader(Batches(20), device="cuda", workers=2) as loader:
    batches = iter(loader)
    kept = [next(batches)]
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        before = called()
        import atexit
        atexit.register(lambda: print("child", before == called(), flush=True))
        sys.exit(5)  # through the end of the `with`
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    print(indices(kept) + indices(batches) == list(range(20)))
"""
    assert said(tmp_path, text) == ["child True", "5", "True"]


def test_a_fork_that_asks_for_the_gpu_is_told_why_not(gpu: Gpu, tmp_path: Path) -> None:
    text = """
with Loader(Batches(20), device="cuda", workers=1) as loader:
    print(in_a_fork(lambda: Loader(Batches(5), device="cuda", workers=1)))
    print(indices(loader) == list(range(20)))
"""
    lines = said(tmp_path, text)
    assert lines[0].startswith("DeviceUnavailable: ")
    assert "CUDA_ERROR_NOT_INITIALIZED (3)" in lines[0]
    assert "a fork of one that has used CUDA. Start it in another way" in lines[0]
    assert lines[1:] == ["True"]
