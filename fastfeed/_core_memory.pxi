# Part of _core.pyx: shared memory and copies into it.

def headroom(str root=""):
    """Bytes of shared memory that may still be made (`root`: a folder with fake limit files)."""
    return ff_headroom(root.encode())


def memory_node(str bus, str root=""):
    """The memory node next to a PCI device; -1 if there is only one, or nobody knows."""
    cdef bytes c_bus = bus.encode(), c_root = root.encode()
    return ff_numa_node_of(c_root, c_bus) if ff_numa_nodes(c_root) > 1 else -1


def create_memory(str name, uint64_t size, str root="", int node=-1):
    """Make a sealed memfd of `size` bytes; returns its descriptor. MemoryError: above headroom.

    Its pages lie on memory node `node`, if there is room and the user has no policy of his own.
    """
    cdef bytes c_name = name.encode(), c_root = root.encode()
    cdef const char *p_name = c_name
    cdef const char *p_root = c_root
    cdef int fd = -1, code
    cdef bint preferred
    with nogil:
        preferred = node >= 0 and ff_numa_prefer(node) == 0
        code = ff_memory_create(p_name, size, p_root, &fd)
        if preferred:
            ff_numa_default()
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
        self.copy_from(offset, array)

    cdef int copy_from(self, uint64_t offset, array) except -1:
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
        return 0

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


def views(Memory memory not None, uint64_t start, skeleton, type leaf):
    """Return a skeleton with arrays over `memory`, which they keep, in the places of its leaves:
    named tuples `leaf` of (offset from `start`, shape, dtype).
    """
    cdef type kind = type(skeleton)
    if kind is leaf:
        offset, shape, dtype = skeleton
        return ndarray(shape, dtype, memory, start + <uint64_t>offset)
    if kind is dict:
        return {name: views(memory, start, child, leaf) for name, child in skeleton.items()}
    if kind is list:
        return [views(memory, start, child, leaf) for child in skeleton]
    if kind is tuple:
        return tuple([views(memory, start, child, leaf) for child in skeleton])
    if hasattr(kind, "_fields") and isinstance(skeleton, tuple):
        return kind(*[views(memory, start, child, leaf) for child in skeleton])
    return skeleton  # an object that travelled in the note


@cython.final
cdef class Mapping(Memory):
    """A whole memfd, mapped. The descriptor stays the caller's and may be closed.

    Parameters
    ----------
    keep_private : bool
        No child that this process forks has it.
    lazily : bool
        Its pages are not ready to be written before `populate`, or page by page as they are.
    """

    def __cinit__(self, int fd, bint keep_private=False, bint lazily=False):
        cdef void *base = NULL
        cdef int code
        with nogil:
            code = (ff_memory_map_lazily if lazily else ff_memory_map)(fd, &base, &self.size)
        check(code, "ff_memory_map")
        self.base = <char *>base
        if keep_private:
            check(ff_memory_keep_private(base, self.size), "ff_memory_keep_private")

    def populate(self, uint64_t offset, uint64_t size):
        """Make `size` bytes at `offset`, the start of a page, ready to be written."""
        self.check_range(offset, size)
        with nogil:
            ff_memory_populate(self.base + offset, size)

    def __dealloc__(self):
        if self.base:
            ff_memory_unmap(self.base, self.size)
