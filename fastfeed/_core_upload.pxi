# Part of _core.pyx: the upload thread.

@cython.final
cdef class Uploader:
    """Takes batches from the ring to a device, in a thread of its own that never needs Python.

    Parameters
    ----------
    device : Device
    ring : Ring
        From which nobody else takes.
    waiting : int
        Batches that wait on the device for `take`, at the most.
    buffers : int
        Buffers on the device that there usually are.
    fixed : bool
        Exactly so many, in turn, at the same addresses for ever.
    ordered : bool
        Batches in the order of their tickets, or as they are finished.

    Attributes
    ----------
    taken : int
        Batches that `take` and `take_wait` have returned, with their last parts.
    """

    cdef ff_uploader *uploader
    cdef Ring ring  # the thread uses its memory
    cdef readonly uint64_t taken

    def __cinit__(self, Device device not None, Ring ring not None, uint32_t waiting,
                  uint32_t buffers, bint fixed=False, bint ordered=True):
        cdef ff_upload_plan plan
        cdef ff_cuda_error error
        cdef int code
        plan.waiting = waiting
        plan.buffers = buffers
        plan.fixed = fixed
        plan.ordered = ordered
        plan.journal = ring.journal
        self.ring = ring
        error.code = 0
        with nogil:
            code = ff_uploader_start(device.device, &ring.ring, plan, &self.uploader, &error)
        check_device(code, &error, "ff_uploader_start")

    def __dealloc__(self):
        self.stop()

    def stop(self):
        """End the thread; batches that were handed out stay valid."""
        cdef ff_uploader *uploader = self.uploader
        self.uploader = NULL
        if uploader != NULL:
            with nogil:
                ff_uploader_stop(uploader)

    cdef ff_uploader *running(self) except NULL:
        if self.uploader == NULL:
            raise CoreError(errno.ESRCH, "this uploader has been stopped")
        return self.uploader

    def use(self, uint32_t number, Segment segment not None, bint pinned):
        """Let tickets name slots of this segment by `number`; `pinned`: it is page-locked."""
        check(ff_uploader_use(self.running(), number, segment.segment, pinned), "ff_uploader_use")

    def forget(self, uint32_t number):
        """No ticket names the segment any more."""
        ff_uploader_forget(self.running(), number)

    def skip_below(self, uint64_t sequence):
        """Do not upload batches of tickets below this number."""
        ff_uploader_skip_below(self.running(), sequence)

    def take(self):
        """A batch that has arrived or is passed on as it is, or None. After the end there is none:
        a signal handler may stop this while a loop is about to ask.
        """
        if self.uploader == NULL:
            return None
        cdef Batch batch = Batch.__new__(Batch)
        return self.received(batch, ff_uploader_take(self.running(), &batch.arrival))

    def take_wait(self, Monitor monitor=None, uint32_t deaths_seen=0, int64_t timeout_ns=SLICE_NS):
        """The same, after a sleep of up to `timeout_ns`; it ends early when a slot becomes free."""
        if self.uploader == NULL:
            return None
        cdef Batch batch = Batch.__new__(Batch)
        cdef ff_uploader *uploader = self.uploader
        cdef const ff_a32 *alarm = NULL
        cdef int code
        if monitor is not None:
            alarm = ff_monitor_deaths(monitor.running())
        with nogil:
            code = ff_uploader_take_wait(uploader, &batch.arrival, alarm, deaths_seen, timeout_ns)
        if code != 0:
            PyErr_CheckSignals()
        return self.received(batch, code)

    cdef Batch received(self, Batch batch, int code):
        cdef ff_cuda_error error
        if code == 0:
            self.taken += is_last(&batch.arrival.batch)
            return batch
        if code == -errno.EIO and self.uploader != NULL:  # a signal handler may have stopped it
            ff_uploader_error(self.uploader, &error)
            raise explained(&error)
        return None

    def send(self, Memory memory not None, uint64_t size, Batch batch not None):
        """Upload the first bytes of other memory, for a batch that lies in no slot. None: the
        fixed buffer whose turn it is is in use still.
        """
        cdef ff_uploader *uploader = self.running()
        cdef ff_buffer *buffer = NULL
        cdef ff_cuda_error error
        cdef int code
        memory.check_range(0, size)
        error.code = 0
        with nogil:
            code = ff_uploader_send(uploader, memory.base, size, &buffer, &error)
        if code == -errno.EAGAIN:
            return None
        check_device(code, &error, "ff_uploader_send")
        return make_device_lease(buffer, batch.epoch, batch.index)

    def find(self, uintptr_t pointer):
        """A lease more on the buffer that an array of the caller's lies in; None: there is none."""
        return find_lease(ff_uploader_pool(self.running()), pointer)

    @property
    def counts(self):
        """Running totals, as a dict."""
        cdef ff_upload_counts counts = ff_uploader_counts(self.running())
        buffers, size = pool_size(ff_uploader_pool(self.uploader))
        return {
            "uploads": counts.uploads,
            "upload_bytes": counts.bytes,
            "host_copies": counts.host_copies,
            "waiting": counts.waiting,
            "buffers": buffers,
            "buffer_bytes": size,
        }

    @property
    def in_use(self):
        """Buffers on the device that somebody uses: a batch that waits, the user, the thread."""
        return ff_pool_in_use(ff_uploader_pool(self.running()))

    @property
    def is_starved(self):
        """The next upload needs a fixed buffer whose batch somebody still has."""
        return self.uploader != NULL and ff_uploader_is_starved(self.uploader)
