# Part of _core.pyx: watching processes.

@cython.final
cdef class Monitor:
    """The thread that sees worker processes die and re-opens their tickets."""

    cdef ff_monitor *monitor
    cdef Ring ring  # the thread uses its memory

    def __cinit__(self, Ring ring not None, uint32_t max_retries):
        self.ring = ring
        check(ff_monitor_start(&ring.ring, max_retries, &self.monitor), "ff_monitor_start")

    def __dealloc__(self):
        self.stop()

    cdef ff_monitor *running(self) except NULL:
        if self.monitor == NULL:
            raise CoreError(errno.ESRCH, "this monitor has been stopped")
        return self.monitor

    def watch(self, uint32_t worker, int fd):
        """Watch worker `worker` through `fd`, which becomes readable at its end. Takes `fd`."""
        self.ring.check_worker(worker)
        check(ff_monitor_watch(self.running(), worker, fd), "ff_monitor_watch")

    @property
    def deaths(self):
        return ff_load_acquire32(ff_monitor_deaths(self.running()))

    def next_death(self):
        """Number of a worker that died and was not reported yet; None if there is none."""
        cdef int worker = ff_monitor_next_death(self.running())
        return worker if worker >= 0 else None

    def stop(self):
        cdef ff_monitor *monitor = self.monitor
        self.monitor = NULL
        if monitor != NULL:
            with nogil:
                ff_monitor_stop(monitor)


def start_lifeline(int parent_pidfd, int socket):
    """End this process when the parent dies or hangs up. For worker processes only."""
    check(ff_lifeline_start(parent_pidfd, socket), "ff_lifeline_start")
