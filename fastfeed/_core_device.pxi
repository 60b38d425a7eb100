# Part of _core.pyx: a GPU, its memory, and batches that lie there.

cdef int check_device(int code, ff_cuda_error *error, str what) except -1:
    """Turn a failure of the driver's, or of ours, into an exception."""
    if code == 0:
        return 0
    if code < 0 and error.code != code:
        return check(code, what)
    raise explained(error)


cdef object explained(const ff_cuda_error *error):
    """The exception for what the driver said."""
    return device_error(error.call.decode(), error.code, error.text.decode(errors="replace"))


def devices_alive():
    """Number of devices and pools of device memory in this process that somebody still holds."""
    return ff_devices_alive() + ff_pools_alive()


@cython.final
cdef class Device:
    """One GPU, by its ordinal, through its primary context.

    Parameters
    ----------
    ordinal : int
    library : str or None
        Where the driver's functions are; None: ``libcuda.so.1``.
    """

    cdef ff_device *device

    def __cinit__(self, int ordinal, str library=None):
        cdef ff_cuda_error error
        cdef bytes name = b"" if library is None else library.encode()
        cdef char *path = NULL
        cdef int code
        if library is not None:
            path = name
        with nogil:
            code = ff_device_open(path, ordinal, &self.device, &error)
        check_device(code, &error, "ff_device_open")

    def __dealloc__(self):
        if self.device:
            ff_device_release(self.device)

    @property
    def ordinal(self):
        return ff_device_ordinal(self.device)

    @property
    def name(self):
        return ff_device_name(self.device).decode(errors="replace")

    @property
    def bus(self):
        """PCI address, such as "0000:3b:00.0"."""
        return ff_device_bus(self.device).decode()

    @property
    def driver_version(self):
        """The newest CUDA that the driver can do: 12040 is CUDA 12.4."""
        return ff_device_driver_version(self.device)

    def pin(self, Segment segment not None):
        """Page-lock a segment until nobody holds it any more."""
        cdef ff_cuda_error error
        cdef int code
        with nogil:
            code = ff_pin(self.device, segment.segment, FF_PIN_BYTES, &error)
        check_device(code, &error, "ff_pin")


@cython.final
cdef class Pool:
    """Buffers in a device's memory, used again and again.

    Parameters
    ----------
    device : Device
    usual : int
        Buffers that are made before one is used again.
    fixed : bool
        Exactly that many, in turn.
    """

    cdef ff_pool *pool

    def __cinit__(self, Device device not None, uint32_t usual, bint fixed=False):
        check(ff_pool_open(device.device, usual, fixed, &self.pool), "ff_pool_open")

    def __dealloc__(self):
        if self.pool:
            ff_pool_close(self.pool)

    def take(self, uint64_t size, uintptr_t stream):
        """A `DeviceLease` that `stream` may write to; None: the fixed one is in use still."""
        cdef ff_device *device = ff_pool_device(self.pool)
        cdef ff_buffer *buffer = NULL
        cdef ff_cuda_error error
        cdef int code
        with nogil:
            code = ff_device_enter(device, &error)
            if code == 0:
                code = ff_pool_take(self.pool, size, <ff_cu_stream>stream, &buffer, &error)
                ff_device_leave(device)
        if code == -errno.EAGAIN:
            return None
        check_device(code, &error, "ff_pool_take")
        return make_device_lease(buffer, 0, 0)

    def find(self, uintptr_t pointer):
        """A lease more on the buffer that an array of the caller's lies in; None: there is none."""
        return find_lease(self.pool, pointer)

    @property
    def size(self):
        """(buffers, bytes) that there are now."""
        return pool_size(self.pool)


cdef DeviceLease find_lease(ff_pool *pool, uintptr_t pointer):
    """A lease more on the buffer that an array of the caller's lies in; None: it is none of ours."""
    cdef ff_buffer *buffer = ff_pool_find(pool, pointer)
    return None if buffer == NULL else make_device_lease(buffer, 0, 0)


cdef tuple pool_size(ff_pool *pool):
    cdef uint32_t buffers = 0
    cdef uint64_t size = 0
    ff_pool_size(pool, &buffers, &size)
    return buffers, size


@cython.final
cdef class DeviceLease:
    """One buffer in use, with the item that lies there. The buffer is free again when this and
    every tensor over it are gone.
    """

    cdef ff_buffer *buffer
    cdef readonly uint32_t epoch
    cdef readonly uint64_t index

    def __init__(self):
        raise TypeError("device leases come from Pool.take(), Uploader.send() or a batch")

    def __dealloc__(self):
        if self.buffer:
            ff_buffer_release(self.buffer)

    def __len__(self):
        return ff_buffer_bytes(self.buffer)

    @property
    def pointer(self):
        return ff_buffer_pointer(self.buffer)

    def tensor(self, uint64_t offset, tuple dtype, tuple shape):
        """A DLPack exporter over part of the buffer; `dtype` = (code, bits) as DLPack has them."""
        return DeviceTensor(self, offset, dtype, shape)

    def hand_to(self, uintptr_t stream):
        """Have a stream wait for the bytes, and the buffer for what that stream will do."""
        cdef ff_cuda_error error
        check_device(ff_buffer_hand_to(self.buffer, <ff_cu_stream>stream, &error), &error,
                     "ff_buffer_hand_to")

    def written_by(self, uintptr_t stream):
        """Say that what was put into a stream so far writes the bytes."""
        cdef ff_device *device = ff_pool_device(ff_buffer_pool(self.buffer))
        cdef ff_cuda_error error
        cdef int code = ff_device_enter(device, &error)
        if code == 0:
            code = ff_buffer_written_by(self.buffer, <ff_cu_stream>stream, &error)
            ff_device_leave(device)
        check_device(code, &error, "ff_buffer_written_by")

    def used_anywhere(self):
        """Say that streams that nobody can name will read the bytes."""
        ff_buffer_is_used_anywhere(self.buffer)

    def wait(self):
        """Wait until the bytes are there."""
        cdef ff_device *device = ff_pool_device(ff_buffer_pool(self.buffer))
        cdef ff_cuda_error error
        cdef int code
        with nogil:
            code = ff_device_enter(device, &error)
            if code == 0:
                code = ff_buffer_wait(self.buffer, &error)
                ff_device_leave(device)
        check_device(code, &error, "ff_buffer_wait")

    def read(self, uint64_t offset, uint64_t size):
        """Copy bytes to the host, as a bytearray."""
        cdef bytearray copy = bytearray(size)
        cdef char *to = copy
        cdef ff_cuda_error error
        cdef int code
        if offset > ff_buffer_bytes(self.buffer) or size > ff_buffer_bytes(self.buffer) - offset:
            raise CoreError(errno.ERANGE, f"{size} bytes at {offset} of {len(self)}")
        with nogil:
            code = ff_buffer_read(self.buffer, offset, to, size, &error)
        check_device(code, &error, "ff_buffer_read")
        return copy


cdef DeviceLease make_device_lease(ff_buffer *buffer, uint32_t epoch, uint64_t index):
    """Takes over the caller's use of the buffer."""
    cdef DeviceLease lease = DeviceLease.__new__(DeviceLease)
    lease.buffer = buffer
    lease.epoch = epoch
    lease.index = index
    return lease


@cython.final
cdef class DeviceTensor(Array):
    """Part of a buffer, for whoever understands DLPack or the CUDA array interface."""

    cdef DeviceLease lease

    def __cinit__(self, DeviceLease lease not None, uint64_t offset, tuple dtype, tuple shape):
        self.lease = lease
        self.describe(ff_buffer_bytes(lease.buffer), offset, dtype, shape)

    def __dlpack_device__(self):
        return (2, ff_device_ordinal(ff_pool_device(ff_buffer_pool(self.lease.buffer))))

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        """A new capsule, itself a user of the buffer.

        Parameters
        ----------
        stream : int or None
            The consumer's: it will wait for the bytes. None and 1: the legacy default stream, 2:
            the thread's own; -1: the consumer sees to that himself.
        """
        if copy:
            raise BufferError("fastfeed hands over batches as they are; copy the tensor afterwards")
        if dl_device is not None and tuple(dl_device) != self.__dlpack_device__():
            raise BufferError(f"this batch lies on {self.__dlpack_device__()}, not {dl_device}")
        if stream is not None and (stream < -1 or stream == 0):
            raise BufferError(f"DLPack has no stream {stream} for CUDA: 1 is the default stream")
        if stream == -1:
            self.lease.used_anywhere()
        else:
            self.lease.hand_to(1 if stream is None else stream)
        return self.capsule()

    def capsule(self):
        """A new capsule, itself a user of the buffer. For a stream that the lease was handed to."""
        cdef DLManagedTensor *managed = ff_buffer_dlpack(
            self.lease.buffer, self.offset, self.dtype, self.ndim, self.shape)
        if managed == NULL:
            raise MemoryError("ff_buffer_dlpack: not enough memory")
        return PyCapsule_New(managed, "dltensor", drop_unused_capsule)

    @property
    def __cuda_array_interface__(self):
        """Version 3. It tells nobody's stream, so this waits until the bytes are there."""
        self.lease.wait()
        self.lease.used_anywhere()
        return {
            "version": 3,
            "shape": tuple([self.shape[i] for i in range(self.ndim)]),
            "typestr": self.typestr(),
            "data": (self.lease.pointer + self.offset, False),
            "strides": None,
            "stream": None,
        }

    cdef str typestr(self):
        kinds = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}
        if self.dtype.code not in kinds:
            raise BufferError("the CUDA array interface has no bfloat16; use DLPack")
        size = self.dtype.bits // 8
        return f"{'<' if size > 1 else '|'}{kinds[self.dtype.code]}{size}"
