# cython: language_level=3, embedsignature=True
"""Thin Cython over csrc/: errno in, exceptions out, nothing clever.

Who may call: `Ring.post`, `take`, `cancel` and `Segment.acquire` belong to the parent, one thread
at a time; `Ring.claim` and `publish` to workers; everything else to anybody. What blocks does so
without the GIL, in slices, so that Ctrl-C is heard.
"""

import errno
import os

cimport cython

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.string cimport memset

from fastfeed.errors import CoreError

ANY_WORKER = FF_ANY_WORKER
NO_WORKER = FF_NO_WORKER
NO_SEGMENT = FF_NO_SEGMENT
MAX_WORKERS = FF_MAX_WORKERS
MAX_ENTRIES = FF_MAX_ENTRIES
DATA = FF_DATA
EXCEPTION = FF_EXCEPTION
END = FF_END
CRASHED = FF_CRASHED
CANCELLED = FF_CANCELLED

cdef int64_t SLICE_NS = 100_000_000  # the longest that Ctrl-C goes unheard


cdef int check(int code, str what) except -1:
    """Turn a negative errno into an exception; `what` names the C function that returned it."""
    if code >= 0:
        return 0
    if code == -errno.ENOMEM:
        raise MemoryError(f"{what}: not enough memory")
    raise CoreError(-code, f"{what} failed: {os.strerror(-code)}")


# -- memory ---------------------------------------------------------------------------------


def headroom(str root=""):
    """Bytes of shared memory that may still be made (`root`: a folder with fake limit files)."""
    return ff_headroom(root.encode())


def create_memory(str name, uint64_t size, str root=""):
    """Make a sealed memfd of `size` bytes; returns its descriptor. MemoryError: above headroom."""
    cdef bytes c_name = name.encode(), c_root = root.encode()
    cdef const char *p_name = c_name
    cdef const char *p_root = c_root
    cdef int fd = -1, code
    with nogil:
        code = ff_memory_create(p_name, size, p_root, &fd)
    check(code, "ff_memory_create")
    return fd


cdef class Memory:
    """Bytes that arrays are written to or read from, through the buffer protocol."""

    cdef char *base
    cdef uint64_t size

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.base, <Py_ssize_t>self.size, 0, flags)

    def __len__(self):
        return self.size

    cdef int check_range(self, uint64_t offset, uint64_t size) except -1:
        if offset > self.size or size > self.size - offset:
            raise CoreError(errno.ERANGE, f"{size} bytes at {offset} do not fit in {self.size}")
        return 0

    def copy_in(self, uint64_t offset, array):
        """Copy a C-contiguous array's bytes to `offset`, without the GIL if there are many."""
        cdef Py_buffer view
        cdef char *target
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
        try:
            self.check_range(offset, view.len)
            target = self.base + offset
            if view.len < 65536:
                ff_copy(target, view.buf, view.len)
            else:
                with nogil:
                    ff_copy(target, view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    def gather(self, uint64_t offset, array, const int64_t[::1] rows):
        """Copy `array[rows]` (along axis 0) of a C-contiguous array to `offset`."""
        cdef Py_buffer view
        cdef size_t row_bytes, count = rows.shape[0]
        cdef int64_t n_rows
        cdef int code = 0
        if count == 0:
            return
        PyObject_GetBuffer(array, &view, PyBUF_C_CONTIGUOUS)
        try:
            n_rows = len(array)
            row_bytes = view.len // n_rows if n_rows else 0
            self.check_range(offset, row_bytes * count)
            with nogil:
                code = ff_gather(self.base + offset, view.buf, row_bytes, n_rows, &rows[0], count)
        finally:
            PyBuffer_Release(&view)
        check(code, "ff_gather")


def copy(out, array):
    """Copy a C-contiguous buffer to another of the same length, without the GIL."""
    cdef Py_buffer target, source
    PyObject_GetBuffer(out, &target, PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
    try:
        PyObject_GetBuffer(array, &source, PyBUF_C_CONTIGUOUS)
        try:
            if target.len != source.len:
                raise CoreError(errno.EINVAL, f"{source.len} bytes do not fit {target.len}")
            with nogil:
                ff_copy(target.buf, source.buf, source.len)
        finally:
            PyBuffer_Release(&source)
    finally:
        PyBuffer_Release(&target)


@cython.final
cdef class Mapping(Memory):
    """A whole memfd, mapped. The descriptor stays the caller's and may be closed."""

    def __cinit__(self, int fd, bint keep_private=False):
        cdef void *base = NULL
        cdef int code
        with nogil:
            code = ff_memory_map(fd, &base, &self.size)
        check(code, "ff_memory_map")
        self.base = <char *>base
        if keep_private:
            check(ff_memory_keep_private(base, self.size), "ff_memory_keep_private")

    def __dealloc__(self):
        if self.base:
            ff_memory_unmap(self.base, self.size)


# -- segments and leases --------------------------------------------------------------------


def segments_alive():
    """Number of segments in this process that somebody still holds."""
    return ff_segments_alive()


@cython.final
cdef class Segment(Memory):
    """A memfd cut into `count` slots of `stride` bytes; knows which are free."""

    cdef ff_segment *segment

    def __cinit__(self, int fd, uint64_t stride, uint32_t count, bint poison=False):
        cdef int code
        with nogil:
            code = ff_segment_open(fd, stride, count, poison, &self.segment)
        check(code, "ff_segment_open")
        self.base = <char *>ff_slot_data(self.segment, 0)
        self.size = stride * count

    def __dealloc__(self):
        if self.segment:
            ff_segment_close(self.segment)

    @property
    def count(self):
        return ff_segment_count(self.segment)

    @property
    def stride(self):
        return ff_segment_stride(self.segment)

    @property
    def in_use(self):
        """Slots that a ticket, a view or a capsule uses now."""
        return ff_segment_in_use(self.segment)

    def acquire(self):
        """Take a free slot for a ticket; -1 if there is none."""
        cdef uint32_t slot = 0
        return slot if ff_slot_acquire(self.segment, &slot) == 0 else -1

    def release(self, uint32_t slot):
        """Give back a slot that was acquired and never leased."""
        ff_slot_release(self.segment, slot)

    def lease(self, uint32_t slot):
        """Turn the use that `acquire` gave into a `Lease`; once per acquire."""
        return make_lease(self.segment, slot)


@cython.final
cdef class Lease(Memory):
    """One slot in use. It is free again when this, every view and every capsule are gone."""

    cdef ff_segment *segment
    cdef uint32_t slot

    def __init__(self):
        raise TypeError("leases come from Segment.lease() or private_lease()")

    def __dealloc__(self):
        if self.segment:
            ff_slot_release(self.segment, self.slot)

    def tensor(self, uint64_t offset, tuple dtype, tuple shape):
        """A DLPack exporter over part of the slot; `dtype` = (code, bits) as DLPack has them."""
        return Tensor(self, offset, dtype, shape)


cdef Lease make_lease(ff_segment *segment, uint32_t slot):
    cdef Lease lease = Lease.__new__(Lease)
    lease.segment = segment
    lease.slot = slot
    lease.base = <char *>ff_slot_data(segment, slot)
    lease.size = ff_segment_stride(segment)
    return lease


def private_lease(uint64_t size):
    """A lease on ordinary memory of `size` bytes, for batches that no worker process writes."""
    cdef ff_segment *segment = NULL
    check(ff_segment_private(size, &segment), "ff_segment_private")
    return make_lease(segment, 0)  # its only holder: not to be closed as well


cdef void drop_unused_capsule(object capsule) noexcept:
    """A consumer renames the capsule; one that still has its name was never consumed."""
    cdef DLManagedTensor *managed
    if PyCapsule_IsValid(capsule, "dltensor"):
        managed = <DLManagedTensor *>PyCapsule_GetPointer(capsule, "dltensor")
        managed.deleter(managed)


@cython.final
cdef class Tensor:
    """Part of a slot as a DLPack producer: `torch.from_dlpack(t)`, `jax.dlpack.from_dlpack(t)`."""

    cdef Lease lease
    cdef uint64_t offset
    cdef DLDataType dtype
    cdef int ndim
    cdef int64_t shape[32]

    def __cinit__(self, Lease lease, uint64_t offset, tuple dtype, tuple shape):
        cdef int i
        self.lease = lease
        self.offset = offset
        self.dtype.code, self.dtype.bits = dtype
        self.dtype.lanes = 1
        self.ndim = len(shape)
        if self.ndim > 32:
            raise CoreError(errno.EINVAL, f"{self.ndim} dimensions; DLPack tensors have up to 32")
        for i in range(self.ndim):
            self.shape[i] = shape[i]

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A new capsule, itself a user of the slot. Version 0: what every consumer understands."""
        if copy:
            raise BufferError("fastfeed hands over slots as they are; copy the tensor afterwards")
        cdef DLManagedTensor *managed = ff_dlpack_new(
            self.lease.segment, self.lease.slot, self.offset, self.dtype, self.ndim, self.shape)
        if managed == NULL:
            raise CoreError(errno.EINVAL, f"offset {self.offset} is not a multiple of 64")
        return PyCapsule_New(managed, "dltensor", drop_unused_capsule)


# -- the ring -------------------------------------------------------------------------------


@cython.final
cdef class Claim:
    """A ticket in a worker's hands: make item `index` of `epoch`, write it to this place."""

    cdef ff_claim claim

    @property
    def index(self):
        return self.claim.ticket.index

    @property
    def epoch(self):
        return self.claim.ticket.epoch

    @property
    def segment(self):
        return self.claim.ticket.segment

    @property
    def offset(self):
        return self.claim.ticket.offset

    @property
    def capacity(self):
        return self.claim.ticket.capacity

    @property
    def sequence(self):
        return self.claim.sequence

    @property
    def attempt(self):
        return self.claim.attempt


@cython.final
cdef class Batch:
    """A finished ticket, taken from the ring by the parent."""

    cdef ff_batch batch

    @property
    def kind(self):
        return self.batch.result.kind

    @property
    def index(self):
        return self.batch.ticket.index

    @property
    def epoch(self):
        return self.batch.ticket.epoch

    @property
    def sequence(self):
        return self.batch.sequence

    @property
    def segment(self):
        return self.batch.ticket.segment

    @property
    def offset(self):
        return self.batch.ticket.offset

    @property
    def worker(self):
        return self.batch.worker

    @property
    def attempt(self):
        return self.batch.attempt

    @property
    def spilled(self):
        """The bytes are not in the slot but in a segment that the worker brought."""
        return self.batch.result.spilled != 0

    @property
    def data_bytes(self):
        return self.batch.result.data_bytes

    @property
    def note_offset(self):
        return self.batch.result.note_offset

    @property
    def note_bytes(self):
        return self.batch.result.note_bytes


@cython.final
cdef class Ring:
    """The ticket ring over a `Mapping`; `Ring.create` in the parent, `Ring.attach` in workers."""

    cdef ff_ring ring
    cdef Mapping mapping

    def __init__(self):
        raise TypeError("rings come from Ring.create() or Ring.attach()")

    @staticmethod
    def bytes_for(uint32_t n_entries, uint32_t n_workers):
        """Bytes of shared memory; 0 if the numbers are out of range or no power of two."""
        return ff_ring_bytes(n_entries, n_workers)

    @staticmethod
    def create(Mapping mapping, uint32_t n_entries, uint32_t n_workers, uint32_t spin=0):
        cdef Ring self = Ring.__new__(Ring)
        mapping.check_range(0, ff_ring_bytes(n_entries, n_workers))
        self.mapping = mapping
        check(ff_ring_init(&self.ring, mapping.base, n_entries, n_workers, spin), "ff_ring_init")
        return self

    @staticmethod
    def attach(Mapping mapping):
        cdef Ring self = Ring.__new__(Ring)
        self.mapping = mapping
        check(ff_ring_attach(&self.ring, mapping.base, mapping.size), "ff_ring_attach")
        return self

    cdef int check_worker(self, uint32_t worker) except -1:
        if worker >= self.ring.header.n_workers:
            raise CoreError(errno.ERANGE, f"worker {worker} of {self.ring.header.n_workers}")
        return 0

    # the parent

    def post(self, uint64_t index, uint32_t epoch, uint32_t segment, uint64_t offset,
             uint64_t capacity, uint32_t worker=FF_ANY_WORKER):
        """Post a ticket; returns its sequence number, or -1 if the ring is full."""
        cdef ff_ticket ticket
        cdef uint64_t sequence = 0
        ticket.index = index
        ticket.epoch = epoch
        ticket.segment = segment
        ticket.offset = offset
        ticket.capacity = capacity
        if worker != FF_ANY_WORKER:
            self.check_worker(worker)
        return sequence if ff_ring_post(&self.ring, &ticket, worker, &sequence) == 0 else -1

    def take(self, bint ordered=True):
        """A finished batch, or None."""
        cdef Batch batch = Batch.__new__(Batch)
        return batch if ff_ring_take(&self.ring, ordered, &batch.batch) == 0 else None

    def take_wait(self, bint ordered=True, Monitor monitor=None, uint32_t deaths_seen=0,
                  int64_t timeout_ns=SLICE_NS):
        """Like take, but sleeps up to `timeout_ns`, or until another worker has died."""
        cdef Batch batch = Batch.__new__(Batch)
        cdef const ff_a32 *alarm = NULL
        cdef int code
        if monitor is not None:
            alarm = ff_monitor_deaths(monitor.running())
        with nogil:
            code = ff_ring_take_wait(&self.ring, ordered, &batch.batch, alarm, deaths_seen,
                                     timeout_ns)
        if code == 0:
            return batch
        PyErr_CheckSignals()
        return None

    def cancel(self):
        """Withdraw tickets that nobody has claimed; they come out as CANCELLED."""
        return ff_ring_cancel(&self.ring)

    @property
    def ready(self):
        return ff_ring_ready(&self.ring)

    @property
    def outstanding(self):
        """Tickets posted and not yet taken."""
        return ff_ring_outstanding(&self.ring)

    def stop(self):
        ff_ring_stop(&self.ring)

    def stop_worker(self, uint32_t worker):
        self.check_worker(worker)
        ff_ring_stop_worker(&self.ring, worker)

    def reset_worker(self, uint32_t worker):
        self.check_worker(worker)
        ff_ring_reset_worker(&self.ring, worker)

    def reclaim(self, uint32_t worker, uint32_t max_retries):
        """Re-open what a dead worker held; only when it is certainly gone."""
        self.check_worker(worker)
        return ff_ring_reclaim(&self.ring, worker, max_retries)

    # workers

    def claim(self, uint32_t worker, int64_t timeout_ns=SLICE_NS):
        """A `Claim`; None after the time-out; raises StopIteration when it is time to go home."""
        cdef Claim claim = Claim.__new__(Claim)
        cdef int code
        self.check_worker(worker)
        with nogil:
            code = ff_ring_claim(&self.ring, worker, timeout_ns, &claim.claim)
        if code == 0:
            return claim
        PyErr_CheckSignals()
        if code == -errno.ESHUTDOWN:
            raise StopIteration
        return None

    def publish(self, Claim claim not None, uint32_t kind, uint64_t data_bytes=0,
                uint64_t note_offset=0, uint64_t note_bytes=0, bint spilled=False):
        """Hand in a claim. CoreError(ECANCELED): it is no longer ours."""
        cdef ff_result result
        memset(&result, 0, sizeof(result))
        result.kind = kind
        result.spilled = spilled
        result.data_bytes = data_bytes
        result.note_offset = note_offset
        result.note_bytes = note_bytes
        check(ff_ring_publish(&self.ring, &claim.claim, &result), "ff_ring_publish")


# -- watching processes ---------------------------------------------------------------------


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
