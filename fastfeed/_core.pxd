"""The C declarations of csrc/ that _core.pyx uses. Atomics are never shown to Cython."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "stdbool.h":
    pass

cdef extern from "atomic.h" nogil:
    ctypedef struct ff_a32:
        pass

    uint32_t ff_load_acquire32(const ff_a32 *word)

cdef extern from "arena.h" nogil:
    uint64_t ff_headroom(const char *root)
    int ff_memory_create(const char *name, uint64_t size, const char *root, int *fd)
    int ff_memory_map(int fd, void **base, uint64_t *size)
    int ff_memory_keep_private(void *base, uint64_t size)
    void ff_memory_unmap(void *base, uint64_t size)

cdef extern from "copy.h" nogil:
    void ff_copy(void *to, const void *source, size_t size)
    int ff_gather(void *to, const void *source, size_t row_bytes, int64_t n_rows,
                  const int64_t *rows, size_t count)

cdef extern from "dlpack.h" nogil:
    ctypedef struct DLDataType:
        uint8_t code
        uint8_t bits
        uint16_t lanes

    ctypedef struct DLManagedTensor:
        void (*deleter)(DLManagedTensor *) noexcept nogil

cdef extern from "lease.h" nogil:
    ctypedef struct ff_segment:
        pass

    int ff_segment_open(int fd, uint64_t stride, uint32_t count, bint poison, ff_segment **result)
    int ff_segment_private(uint64_t size, ff_segment **result)
    void ff_segment_close(ff_segment *segment)
    uint32_t ff_segment_count(const ff_segment *segment)
    uint64_t ff_segment_stride(const ff_segment *segment)
    uint32_t ff_segment_in_use(const ff_segment *segment)
    uint32_t ff_segment_bound(const ff_segment *segment)
    int ff_slot_acquire(ff_segment *segment, uint32_t *slot)
    int ff_slot_unbind(ff_segment *segment, uint32_t slot)
    void *ff_slot_data(const ff_segment *segment, uint32_t slot)
    void ff_slot_release(ff_segment *segment, uint32_t slot)
    DLManagedTensor *ff_slot_dlpack(ff_segment *segment, uint32_t slot, uint64_t offset,
                                   DLDataType dtype, int32_t ndim, const int64_t *shape)
    uint32_t ff_segments_alive()

cdef extern from "ring.h" nogil:
    const uint32_t FF_ANY_WORKER
    const uint32_t FF_NO_WORKER
    const uint32_t FF_NO_SEGMENT
    const uint32_t FF_MAX_WORKERS
    const uint32_t FF_MAX_ENTRIES
    enum: FF_DATA, FF_EXCEPTION, FF_END, FF_CRASHED, FF_CANCELLED

    ctypedef struct ff_ticket:
        uint64_t index
        uint32_t epoch
        uint32_t segment
        uint64_t offset
        uint64_t capacity

    ctypedef struct ff_result:
        uint32_t kind
        uint32_t spilled
        uint64_t data_bytes
        uint64_t note_offset
        uint64_t note_bytes

    ctypedef struct ff_claim:
        ff_ticket ticket
        uint64_t word
        uint64_t sequence
        uint32_t attempt

    ctypedef struct ff_batch:
        ff_ticket ticket
        ff_result result
        uint64_t sequence
        uint32_t worker
        uint32_t attempt

    ctypedef struct ff_header:
        uint32_t n_workers

    ctypedef struct ff_ring:
        ff_header *header

    size_t ff_ring_bytes(uint32_t n_entries, uint32_t n_workers)
    int ff_ring_init(ff_ring *ring, void *memory, uint32_t n_entries, uint32_t n_workers,
                     uint32_t spin)
    int ff_ring_attach(ff_ring *ring, void *memory, size_t size)
    int ff_ring_post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence)
    int ff_ring_take_wait(ff_ring *ring, bint ordered, ff_batch *batch, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns)
    int ff_ring_take(ff_ring *ring, bint ordered, ff_batch *batch)
    uint32_t ff_ring_cancel(ff_ring *ring)
    uint32_t ff_ring_ready(const ff_ring *ring)
    bint ff_ring_is_making(const ff_ring *ring)
    uint64_t ff_ring_outstanding(const ff_ring *ring)
    void ff_ring_stop_worker(ff_ring *ring, uint32_t worker)
    void ff_ring_stop(ff_ring *ring)
    void ff_ring_reset_worker(ff_ring *ring, uint32_t worker)
    uint32_t ff_ring_reclaim(ff_ring *ring, uint32_t worker, uint32_t max_retries)
    int ff_ring_claim(ff_ring *ring, uint32_t worker, int64_t timeout_ns, ff_claim *claim)
    int ff_ring_publish(ff_ring *ring, const ff_claim *claim, const ff_result *result)

cdef extern from "monitor.h" nogil:
    ctypedef struct ff_monitor:
        pass

    int ff_monitor_start(const ff_ring *ring, uint32_t max_retries, ff_monitor **monitor)
    int ff_monitor_watch(ff_monitor *monitor, uint32_t worker, int fd)
    const ff_a32 *ff_monitor_deaths(const ff_monitor *monitor)
    int ff_monitor_next_death(ff_monitor *monitor)
    void ff_monitor_stop(ff_monitor *monitor)

cdef extern from "lifeline.h" nogil:
    int ff_lifeline_start(int parent_pidfd, int socket)

cdef extern from "numbers.h" nogil:
    const uint32_t FF_TWISTER_WORDS

    void ff_twister_seed(uint32_t *words, uint64_t seed, uint64_t epoch, uint64_t index,
                         uint64_t stream)
