# Part of _core.pyx: segments, leases and DLPack tensors.

def segments_alive():
    """Number of segments in this process that somebody still holds."""
    return ff_segments_alive()


@cython.final
cdef class Segment(Memory):
    """A memfd cut into `count` slots of `stride` bytes; knows which are free, and which are bound:
    those that belong to a ticket.
    """

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

    @property
    def bound(self):
        """Slots that belong to a ticket."""
        return ff_segment_bound(self.segment)

    def acquire(self):
        """Bind a free slot to a ticket; -1 if there is none."""
        cdef uint32_t slot = 0
        return slot if ff_slot_acquire(self.segment, &slot) == 0 else -1

    def release(self, uint32_t slot):
        """Give back a slot whose ticket nobody will see."""
        self.unbind(slot)
        ff_slot_release(self.segment, slot)

    def release_all(self):
        """Give back every slot that belongs to a ticket."""
        cdef uint32_t slot
        for slot in range(ff_segment_count(self.segment)):
            if ff_slot_unbind(self.segment, slot) == 0:
                ff_slot_release(self.segment, slot)

    def lease(self, uint32_t slot):
        """Turn a ticket's use of a slot into a `Lease`."""
        self.unbind(slot)
        return make_lease(self.segment, slot)

    cdef int unbind(self, uint32_t slot) except -1:
        if ff_slot_unbind(self.segment, slot) != 0:
            raise CoreError(errno.EINVAL, f"nobody has acquired slot {slot}")
        return 0


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


cdef class Array:
    """Shape, dtype and place of an array in memory of ours; a producer of DLPack tensors."""

    cdef uint64_t offset
    cdef DLDataType dtype
    cdef int ndim
    cdef int64_t shape[32]

    cdef int describe(self, uint64_t room, uint64_t offset, tuple dtype, tuple shape) except -1:
        """Note them, after a look whether they fit into `room` bytes."""
        cdef int i
        cdef uint64_t size
        self.offset = offset
        self.dtype.code, self.dtype.bits = dtype
        self.dtype.lanes = 1
        self.ndim = len(shape)
        if self.ndim > 32:
            raise CoreError(errno.EINVAL, f"{self.ndim} dimensions; DLPack tensors have up to 32")
        size = self.dtype.bits // 8
        for i in range(self.ndim):
            self.shape[i] = shape[i]
            if self.shape[i] < 0 or self.shape[i] and size > room // <uint64_t>self.shape[i]:
                raise CoreError(errno.ERANGE, f"{shape} does not fit in {room} bytes")
            size *= self.shape[i]
        if offset > room or size > room - offset:
            raise CoreError(errno.ERANGE, f"{size} bytes at {offset} do not fit in {room}")
        return 0


@cython.final
cdef class Tensor(Array):
    """Part of a slot as a DLPack producer: `torch.from_dlpack(t)`, `jax.dlpack.from_dlpack(t)`."""

    cdef Lease lease

    def __cinit__(self, Lease lease not None, uint64_t offset, tuple dtype, tuple shape):
        self.lease = lease
        self.describe(lease.size, offset, dtype, shape)

    def __dlpack_device__(self):
        return (1, 0)

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A new capsule, itself a user of the slot. Version 0: what every consumer understands."""
        if copy:
            raise BufferError("fastfeed hands over slots as they are; copy the tensor afterwards")
        cdef DLManagedTensor *managed = ff_slot_dlpack(
            self.lease.segment, self.lease.slot, self.offset, self.dtype, self.ndim, self.shape)
        if managed == NULL:
            raise CoreError(errno.EINVAL, f"offset {self.offset} is not a multiple of 64")
        return PyCapsule_New(managed, "dltensor", drop_unused_capsule)
