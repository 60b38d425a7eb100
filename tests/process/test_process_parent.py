"""Parents that end, in every way: no process and no shared memory is left."""

from __future__ import annotations

import os
import select
import signal
import socket

import pytest
from leftovers import eventually
from process_scripts import Script, run

from fastfeed.workers.forkserver import fork_one

LOOP = """
import os, sys, time
from fastfeed import Loader
from process_sources import Batches

loader = Loader(Batches(1000, {before}, rows=100_000), workers=2)
for number, batch in enumerate(loader):
    if number == 5:
        print("five", flush=True)
        {then}
"""
STUCK = "lambda i: i > 5 and time.sleep(60)"


def named_shared_memory() -> set[str]:
    return set(os.listdir("/dev/shm"))


@pytest.mark.parametrize(
    ("before", "then"),
    [("None", "time.sleep(60)"), (STUCK, "pass"), (STUCK, "time.sleep(60)")],
    ids=["in a step, workers idle", "in a wait, workers busy", "in a step, workers busy"],
)
def test_a_parent_that_is_killed_leaves_nothing(tmp_path, before, then):
    named = named_shared_memory()
    script = Script(tmp_path, LOOP.format(before=before, then=then))
    script.wait_for("five")
    assert eventually(lambda: len(script.pids()) == 4)  # itself, the fork server, two workers
    script.process.kill()
    assert script.finish() == -signal.SIGKILL
    assert script.output.strip() == "five"
    assert eventually(lambda: named_shared_memory() <= named)  # others make theirs meanwhile


def test_a_parent_that_is_killed_takes_with_it_what_workers_have_started(tmp_path):
    script = Script(
        tmp_path,
        """
        import subprocess
        from fastfeed import Loader

        class Items:
            def __len__(self):
                return 3
            def __getitem__(self, index):
                subprocess.run(["sleep", "60"])

        next(iter(Loader(Items(), workers=2)))
        """,
    )
    assert eventually(lambda: len(script.pids()) == 6)
    script.process.kill()
    assert script.finish() == -signal.SIGKILL


@pytest.mark.parametrize("before", ["None", STUCK], ids=["workers idle", "workers busy"])
@pytest.mark.parametrize(
    ("then", "status", "last_line"),
    [
        ("break", 0, "five"),
        ("raise KeyError('mine')", 1, "KeyError: 'mine'"),
        ("sys.exit(7)", 7, "five"),
        ("os._exit(8)", 8, "five"),
        ("os.abort()", -signal.SIGABRT, "five"),
        ("os.kill(os.getpid(), signal.SIGTERM)", -signal.SIGTERM, "five"),
    ],
)
def test_a_parent_that_ends_without_close_leaves_nothing(tmp_path, before, then, status, last_line):
    given, output = run(tmp_path, "import signal" + LOOP.format(before=before, then=then))
    assert given == status
    assert output.splitlines()[0] == "five"
    assert output.splitlines()[-1] == last_line
    assert output.count("Traceback") == (1 if status == 1 else 0)


def test_a_loader_of_a_daemon_thread_does_not_keep_the_program_from_ending(tmp_path):
    status, output = run(
        tmp_path,
        """
        import threading, time
        from fastfeed import Loader
        from process_sources import Batches

        def consume():
            for batch in Loader(Batches(100, lambda i: i == 5 and time.sleep(60)), workers=2):
                if batch[0][0, 0] == 4:
                    started.set()

        started = threading.Event()
        threading.Thread(target=consume, daemon=True).start()
        started.wait()
        print("end")
        """,
    )
    assert (status, output) == (0, "end\n")


def test_batches_that_are_alive_at_the_end_of_the_program_do_no_harm(tmp_path):
    status, output = run(
        tmp_path,
        """
        from fastfeed import Loader
        from process_sources import Batches

        import os

        class Keeper:
            def __init__(self, batch):
                self.batch = batch
            def __del__(self):
                os.write(1, b"%d " % self.batch[0][0, 0])

        loader = Loader(Batches(100), workers=2)
        keepers = [Keeper(batch) for batch, _ in zip(loader, range(3))]
        """,
    )
    assert (status, sorted(output.split())) == (0, ["0", "1", "2"])


def test_output_that_nobody_reads_is_no_trouble(tmp_path):
    text = """
    from fastfeed import Loader
    from process_sources import Batches
    import os, sys

    reading, writing = os.pipe()
    os.dup2(writing, 1)
    os.close(reading)  # like `python script.py | head -0`
    with Loader(Batches(20, lambda i: print("i", i)), workers=2) as loader:
        numbers = [int(batch[0][0, 0]) for batch in loader]
    print(numbers == list(range(20)), file=sys.stderr)
    os._exit(0)
    """
    assert run(tmp_path, text, environment={"PYTHONUNBUFFERED": ""}) == (0, "True\n")


def test_a_parent_that_is_killed_while_it_waits_for_a_worker_is_no_error() -> None:
    """The fork server finds the request, and nobody who would hear the answer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with open(os.devnull) as link, open(os.devnull) as parent:
        socket.send_fds(ours, [b"fork"], [link.fileno(), parent.fileno()])
    ours.close()
    children: dict[int, int] = {}
    assert not fork_one(theirs, children, select.poll(), lambda *_: os._exit(0))
    ((pidfd, pid),) = children.items()
    assert os.waitpid(pid, 0) == (pid, 0)
    os.close(pidfd)
    theirs.close()
