# Part of _core.pyx: samples kept in shared memory.

def create_cache(uint64_t items, uint64_t size, str root=""):
    """Make the memory of a cache for `items` samples; returns its descriptor. Its pages come as
    they are written. MemoryError: `size` is above the headroom.
    """
    cdef bytes c_root = root.encode()
    cdef const char *p_root = c_root
    cdef int fd = -1, code
    with nogil:
        code = ff_cache_create(items, size, p_root, &fd)
    check(code, "ff_cache_create")
    return fd


def cache_overhead(uint64_t items):
    """Bytes of a cache's memory that are not for samples."""
    return ff_cache_overhead(items)


@cython.final
cdef class CacheMemory(Memory):
    """The memory of a cache, mapped. Arrays over it are read-only; `copy_in` writes.

    Parameters
    ----------
    fd : int
        From `create_cache`; it stays the caller's and may be closed.
    root : str
        A folder with fake limit files.
    """

    cdef ff_cache cache
    cdef bytes root

    def __cinit__(self, int fd, str root=""):
        check(ff_cache_open(fd, &self.cache), "ff_cache_open")
        self.base = <char *>self.cache.header
        self.size = self.cache.header.bytes
        self.root = root.encode()

    def __dealloc__(self):
        ff_cache_close(&self.cache)

    def __getbuffer__(self, Py_buffer *view, int flags):
        PyBuffer_FillInfo(view, self, self.base, <Py_ssize_t>self.size, 1, flags)

    def take(self, uint64_t size):
        """Take room; returns its place. CoreError with errno ENOSPC: the budget is used up, EFBIG:
        it would not fit alone. MemoryError: memory has become short.
        """
        cdef uint64_t place = 0
        cdef const char *root = self.root
        cdef int code
        with nogil:
            code = ff_cache_take(&self.cache, size, root, &place)
        check(code, "ff_cache_take")
        return place

    def write_entry(self, uint64_t place, uint64_t note, uint64_t note_bytes, uint64_t data_bytes):
        """Write what stands before a sample's data."""
        cdef ff_cache_entry *entry
        self.check_range(place, sizeof(ff_cache_entry) + data_bytes)
        self.check_range(note, note_bytes)
        entry = <ff_cache_entry *>(self.base + place)
        entry.note = note
        entry.note_bytes = note_bytes
        entry.data_bytes = data_bytes

    def publish(self, int64_t row, uint64_t place):
        """Show a sample that is complete to everybody. False: another worker was first."""
        cdef int code = ff_cache_publish(&self.cache, row, place)
        if code == -errno.EEXIST:
            return False
        check(code, "ff_cache_publish")
        return True

    def begin_sample(self, int64_t row):
        """Count a sample that was made. False: it is there by now."""
        ff_cache_count(&self.cache, 0, 1)
        return ff_cache_find(&self.cache, row) == NULL

    def find(self, int64_t row):
        """Where the data of a sample is, and its note; None: it is not there."""
        cdef const ff_cache_entry *entry = ff_cache_find(&self.cache, row)
        if entry == NULL:
            return None
        ff_cache_count(&self.cache, 1, 0)
        return (<const char *>(entry + 1) - self.base,
                (<const char *>self.base)[entry.note:entry.note + entry.note_bytes])

    def copy_rows(self, const int64_t[::1] rows, bytes note not None, columns, uint8_t[::1] done):
        """Copy those samples that are there, and whose note is this one, to rows of arrays.

        `columns`: of each leaf an array of as many rows, each row C-contiguous, and its offset in
        the data. `done` gets 1 for each row that was copied. Returns how many were.
        """
        cdef ff_cache_column leaves[64]
        cdef Py_buffer held_by[64]
        cdef int held = 0
        cdef size_t copied, count = rows.shape[0]
        cdef const char *wanted = note
        cdef uint64_t wanted_bytes = len(note)
        if count == 0:
            return 0
        if len(columns) > 64 or <size_t>done.shape[0] < count:
            raise CoreError(errno.ERANGE, f"{len(columns)} columns, {done.shape[0]} of {count} rows")
        try:
            for array, offset in columns:
                PyObject_GetBuffer(array, &held_by[held], PyBUF_STRIDES | PyBUF_WRITABLE)
                held += 1
                fill_column(&leaves[held - 1], &held_by[held - 1], offset, count)
            with nogil:
                copied = ff_cache_gather(&self.cache, &rows[0], count, wanted, wanted_bytes, leaves,
                                         held, &done[0])
        finally:
            while held:
                held -= 1
                PyBuffer_Release(&held_by[held])
        return copied

    @property
    def entries(self):
        """Samples that are there."""
        return ff_load_relaxed64(&self.cache.header.entries)

    @property
    def used(self):
        """Bytes that are taken, the table among them."""
        return min(ff_load_relaxed64(&self.cache.header.used), self.size)

    @property
    def hits(self):
        """Samples that were asked for and there."""
        return ff_load_relaxed64(&self.cache.header.hits)

    @property
    def misses(self):
        """Samples that had to be made."""
        return ff_load_relaxed64(&self.cache.header.misses)


cdef int fill_column(ff_cache_column *column, Py_buffer *view, uint64_t offset,
                     size_t count) except -1:
    cdef Py_ssize_t row_bytes = view.itemsize
    cdef int axis = view.ndim - 1
    if axis < 0 or <size_t>view.shape[0] != count:
        raise CoreError(errno.EINVAL, f"a column must have {count} rows")
    while axis > 0:
        if view.shape[axis] > 1 and view.strides[axis] != row_bytes:
            raise CoreError(errno.EINVAL, "the rows of a column must be C-contiguous")
        row_bytes *= view.shape[axis]
        axis -= 1
    column.to = <uint8_t *>view.buf
    column.stride = view.strides[0]
    column.offset = offset
    column.bytes = row_bytes
    return 0
