"""The small clean process that worker processes are forked from.

Why our own and not multiprocessing's: forking the trainer itself hangs once TensorFlow, JAX or an
OpenMP pool runs threads; spawning starts Python and imports NumPy for each worker; and
multiprocessing's fork server is shared with the user's own code, imports ``__main__`` (a script
that imports TensorFlow then costs seconds and hundreds of MiB a worker), brings a resource-tracker
process, and cannot be given an environment of its own. This one imports NumPy and fastfeed once,
with one thread for every numeric library and no GPU in sight, and forks in a few milliseconds.
Sources that need a heavy package which is safe to fork after its import have a second server, which
has imported that too.

The parent sends a worker's socket and gets back the worker's pid and pidfd; the server reaps its
children and reports how they ended. It ends when the parent does.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib.util
import json
import os
import pickle
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Any

from fastfeed.errors import WorkersLost
from fastfeed.workers.teardown import undisturbed

LIGHT_KERAS = {"KERAS_BACKEND": "numpy"} if importlib.util.find_spec("jax") else {}
"""A Sequence imports keras. With its NumPy backend that costs 1.4 s instead of 5.2 s; but that
backend borrows from JAX. Without JAX workers have the backend of the parent.
"""
ENVIRONMENT = {
    **LIGHT_KERAS,
    # One thread a library in each worker: workers are the parallelism.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    # A worker that touched the GPU would take memory from the training and could not fork.
    "CUDA_VISIBLE_DEVICES": "",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}
ALLOCATOR = {
    # Sources allocate and free an array or two of the same size for each item. By default glibc
    # gives such memory back to the system every time, and the next item pays for its pages again:
    # for JPEG decoding that was 40 % of a worker's time. These are the largest values that glibc
    # itself arrives at once a program has freed an array of 32 MiB. Read at the server's start, so
    # workers have them, but not the programs that workers start.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),
}
MESSAGE_BYTES = 4096
MOST_DESCRIPTORS = 128
"""In one message. The kernel sends 253 at the most."""
START_S = 60.0
BOOT = (
    "import json, sys; fd, sys.path[:], preload = map(json.loads, sys.argv[1:]);"
    "from fastfeed.workers.forkserver import serve; serve(fd, preload)"
)


# -- in the parent --------------------------------------------------------------------------


class ForkServer:
    """The parent's end: started at first use, shared by all loaders.

    Parameters
    ----------
    preload : tuple of str
        Modules that the server imports before it forks.
    """

    def __init__(self, preload: tuple[str, ...]) -> None:
        self._preload = preload
        self._lock = threading.Lock()
        self._pid = 0
        self._socket: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._exitcodes: dict[int, int] = {}

    def start(self) -> None:
        """Start the server if there is none, and let it get ready meanwhile."""
        with self._lock:
            self._ensure()

    def spawn(self, worker_socket: socket.socket) -> tuple[int, int]:
        """Fork a worker that talks through `worker_socket`; return its pid and pidfd.

        Raises
        ------
        WorkersLost
            If the server cannot be started.
        """
        with self._lock:
            self._ensure()
            try:
                return self._request(worker_socket)
            except OSError as error:
                self._stop()
                raise WorkersLost(f"The process that starts workers is gone ({error}).") from error

    def exitcode(self, pid: int, timeout_s: float = 1.0) -> int | None:
        """Return how a worker ended: minus a signal's number or the exit status; None: unknown."""
        with self._lock:
            while pid not in self._exitcodes and self._socket is not None:
                if not readable(self._socket, timeout_s) or self._receive() is None:
                    break
            return self._exitcodes.pop(pid, None)

    def close(self) -> None:
        """End the server. Workers are not its business: their loaders end them."""
        with self._lock, undisturbed():
            self._stop()

    def _alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _ensure(self) -> None:
        if self._socket is None or self._pid != os.getpid() or not self._alive():
            self._start()

    def _start(self) -> None:
        self._stop()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        arguments = map(json.dumps, (theirs.fileno(), search_path(), self._preload))
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, *arguments],
                env={**ALLOCATOR, **os.environ, **ENVIRONMENT},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                process_group=0,  # Ctrl-C is for the parent, which then ends its workers
            )
        self._socket = ours
        self._pid = os.getpid()

    def _stop(self) -> None:
        ours, process = self._socket, self._process
        self._socket = self._process = None
        if ours is not None:
            ours.close()
        if process is not None and self._pid == os.getpid():
            try:
                process.wait(START_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _request(self, worker_socket: socket.socket) -> tuple[int, int]:
        assert self._socket is not None
        parent = os.pidfd_open(os.getpid())
        try:
            socket.send_fds(self._socket, [b"fork"], [worker_socket.fileno(), parent])
        finally:
            os.close(parent)
        while True:
            if not readable(self._socket, START_S):
                raise OSError(f"no answer within {START_S:.0f} s")
            answer = self._receive()
            if answer is None:
                raise OSError("it has ended; its own error message is on the terminal")
            if "pidfd" in answer:
                self._exitcodes.pop(answer["pid"], None)  # of an earlier process of this number
                return answer["pid"], answer["pidfd"]

    def _receive(self) -> dict[str, int] | None:
        """Read one message; note it down if it tells of an end."""
        assert self._socket is not None
        data, fds, _, _ = socket.recv_fds(self._socket, MESSAGE_BYTES, 1)
        if not data:
            return None
        message: dict[str, int] = json.loads(data)
        if fds:
            message["pidfd"] = fds[0]
        if "exitcode" in message:
            self._exitcodes[message["pid"]] = message["exitcode"]
        return message


def search_path() -> list[str]:
    """Return where this process finds modules, for processes in whatever folder."""
    return [entry or os.getcwd() for entry in sys.path if isinstance(entry, str)]


def readable(link: socket.socket, timeout_s: float) -> bool:
    """Wait until something can be read. (`select.select` refuses descriptors above 1023.)"""
    poller = select.poll()
    poller.register(link, select.POLLIN)
    return bool(poller.poll(timeout_s * 1000))


SERVERS: dict[tuple[str, ...], ForkServer] = {}


def server(preload: tuple[str, ...]) -> ForkServer:
    """Return this process's fork server for sources that need these modules."""
    if preload not in SERVERS:
        SERVERS[preload] = ForkServer(preload)
        atexit.register(SERVERS[preload].close)
    return SERVERS[preload]


# -- in the server --------------------------------------------------------------------------


def serve(fd: int, preload: list[str]) -> None:
    """Fork workers until the parent hangs up. Runs in the server process only."""
    from fastfeed.workers import child  # imported once, shared by all workers

    for module in preload:
        with contextlib.suppress(Exception):  # the worker that needs it will say what is wrong
            importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would reap the workers unseen
    link = socket.socket(fileno=fd)
    children: dict[int, int] = {}  # pidfd -> pid
    poller = select.poll()
    poller.register(link, select.POLLIN)
    gc.collect()
    gc.freeze()  # the collector of a worker would otherwise touch, so copy, every page
    has_parent = True
    while has_parent:
        # The ends of children first: the parent may have waited for them before it left.
        for ready, _ in sorted(poller.poll(), key=lambda event: event[0] == link.fileno()):
            if ready != link.fileno():
                poller.unregister(ready)
                report_end(link, children.pop(ready), ready)
            else:
                has_parent = fork_one(link, children, poller, child.main)


def fork_one(link: socket.socket, children: dict[int, int], poller: Any, main: Any) -> bool:
    """Handle one request; returns False when the parent has hung up."""
    try:
        data, fds, _, _ = socket.recv_fds(link, MESSAGE_BYTES, 2)
    except ConnectionResetError:  # it left without reading our last report
        return False
    if not data:
        return False
    worker_fd, parent_pidfd = fds
    pid = os.fork()
    if pid == 0:
        link.close()
        for pidfd in children:
            os.close(pidfd)
        main(worker_fd, parent_pidfd)  # does not return
    os.close(worker_fd)
    os.close(parent_pidfd)
    pidfd = os.pidfd_open(pid)
    children[pidfd] = pid
    poller.register(pidfd, select.POLLIN)
    try:
        socket.send_fds(link, [json.dumps({"pid": pid}).encode()], [pidfd])
    except BrokenPipeError:  # it was killed meanwhile; the worker's lifeline ends that too
        return False
    return True


def report_end(link: socket.socket, pid: int, pidfd: int) -> None:
    """Reap a child and tell the parent, if it still listens."""
    os.close(pidfd)
    # What the source left running in it, if it was killed and could not do that itself. Before the
    # child is reaped: its number is that of its group, and cannot belong to anybody else yet.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGTERM)
    _, status = os.waitpid(pid, 0)
    message = {"pid": pid, "exitcode": os.waitstatus_to_exitcode(status)}
    try:
        link.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)
    except OSError:
        pass  # nobody listens, or nobody has for long: an unknown exit status is no harm


# -- messages between the parent and a worker -------------------------------------------------


def send_message(link: socket.socket, message: dict[str, Any], fds: list[int]) -> None:
    """Send a small message and descriptors in one packet."""
    socket.send_fds(link, [pickle.dumps(message)], fds)


def receive_message(link: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Wait for one packet.

    Raises
    ------
    EOFError
        If the other side is gone.
    """
    data, fds, _, _ = socket.recv_fds(link, MESSAGE_BYTES, MOST_DESCRIPTORS)
    if not data:
        raise EOFError("the other side has closed the connection")
    return pickle.loads(data), list(fds)
