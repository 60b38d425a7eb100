# cython: language_level=3, embedsignature=True
"""Thin Cython over csrc/: errno in, exceptions out, nothing clever.

Who may call: `Ring.post`, `take`, `cancel`, `Belt` and `Segment` belong to the parent, one thread
at a time; `Ring.claim` and `publish` to workers; everything else to anybody. What blocks does so
without the GIL, in slices, so that Ctrl-C is heard.
"""

import errno
import os

cimport cython

from cpython.buffer cimport (
    PyBUF_C_CONTIGUOUS, PyBUF_STRIDES, PyBUF_WRITABLE, PyBuffer_FillInfo, PyBuffer_Release, PyObject_GetBuffer,
)
from cpython.exc cimport PyErr_CheckSignals
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_IsValid, PyCapsule_New
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t, uint8_t, uintptr_t
from libc.stdlib cimport free
from libc.string cimport memcmp, memset

from numpy import empty, int64, ndarray

from fastfeed.errors import CoreError, device_error

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
RECORDS = FF_RECORDS
RECORD_BYTES = sizeof(ff_record)

cdef int64_t SLICE_NS = 100_000_000  # the longest that Ctrl-C goes unheard


cdef int check(int code, str what) except -1:
    """Turn a negative errno into an exception; `what` names the C function that returned it."""
    if code >= 0:
        return 0
    if code == -errno.ENOMEM:
        raise MemoryError(f"{what}: not enough memory")
    raise CoreError(-code, f"{what} failed: {os.strerror(-code)}")


include "_core_memory.pxi"
include "_core_cache.pxi"
include "_core_slots.pxi"
include "_core_pattern.pxi"
include "_core_device.pxi"
include "_core_order.pxi"
include "_core_ring.pxi"
include "_core_upload.pxi"
include "_core_belt.pxi"
include "_core_journal.pxi"
include "_core_monitor.pxi"
include "_core_numbers.pxi"
