"""The C declarations of csrc/ that _core.pyx uses. Atomics are never shown to Cython."""

from libc.stdint cimport int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t


cdef extern from "stdbool.h":
    pass

cdef extern from "atomic.h" nogil:
    ctypedef struct ff_a32:
        pass

    ctypedef struct ff_a64:
        pass

    uint32_t ff_load_acquire32(const ff_a32 *word)
    uint64_t ff_load_relaxed64(const ff_a64 *word)

cdef extern from "arena.h" nogil:
    uint64_t ff_headroom(const char *root)
    int ff_memory_create(const char *name, uint64_t size, const char *root, int *fd)
    int ff_memory_map(int fd, void **base, uint64_t *size)
    int ff_memory_map_lazily(int fd, void **base, uint64_t *size)
    void ff_memory_populate(void *base, uint64_t size)
    int ff_memory_look_at(int fd, const void **base, uint64_t *size)
    int ff_memory_keep_private(void *base, uint64_t size)
    void ff_memory_unmap(void *base, uint64_t size)

cdef extern from "numa.h" nogil:
    uint32_t ff_numa_nodes(const char *root)
    int ff_numa_node_of(const char *root, const char *bus)
    int ff_numa_prefer(int node)
    int ff_numa_default()

cdef extern from "copy.h" nogil:
    void ff_copy(void *to, const void *source, size_t size)
    int ff_gather(void *to, const void *source, size_t row_bytes, int64_t n_rows,
                  const int64_t *rows, size_t count)

cdef extern from "cache.h" nogil:
    ctypedef struct ff_cache_entry:
        uint64_t note
        uint64_t note_bytes
        uint64_t data_bytes

    ctypedef struct ff_cache_header:
        uint64_t bytes
        ff_a64 used
        ff_a64 entries
        ff_a64 hits
        ff_a64 misses

    ctypedef struct ff_cache:
        ff_cache_header *header

    ctypedef struct ff_cache_column:
        uint8_t *to
        uint64_t stride
        uint64_t offset
        uint64_t bytes

    uint64_t ff_cache_overhead(uint64_t items)
    int ff_cache_create(uint64_t items, uint64_t size, const char *root, int *fd)
    int ff_cache_open(int fd, ff_cache *cache)
    void ff_cache_close(ff_cache *cache)
    int ff_cache_take(ff_cache *cache, uint64_t size, const char *root, uint64_t *offset)
    int ff_cache_publish(ff_cache *cache, int64_t row, uint64_t offset)
    const ff_cache_entry *ff_cache_find(const ff_cache *cache, int64_t row)
    void ff_cache_count(ff_cache *cache, uint64_t hits, uint64_t misses)
    size_t ff_cache_gather(ff_cache *cache, const int64_t *rows, size_t count, const void *note,
                           uint64_t note_bytes, const ff_cache_column *columns, size_t n_columns,
                           uint8_t *done)

cdef extern from "dlpack.h" nogil:
    ctypedef struct DLDataType:
        uint8_t code
        uint8_t bits
        uint16_t lanes

    ctypedef struct DLManagedTensor:
        void (*deleter)(DLManagedTensor *) noexcept nogil

cdef extern from "cuda.h" nogil:
    ctypedef struct ff_device:
        pass

    ctypedef struct ff_cu_stream_object "struct ff_cu_stream":
        pass

    ctypedef ff_cu_stream_object *ff_cu_stream
    ctypedef unsigned long long ff_cu_pointer

    ctypedef struct ff_cuda_error:
        int code
        char *call
        char *text

    int ff_device_open(const char *library, int ordinal, ff_device **device, ff_cuda_error *error)
    void ff_device_release(ff_device *device)
    int ff_device_ordinal(const ff_device *device)
    const char *ff_device_name(const ff_device *device)
    const char *ff_device_bus(const ff_device *device)
    int ff_device_driver_version(const ff_device *device)
    int ff_device_enter(const ff_device *device, ff_cuda_error *error)
    void ff_device_leave(const ff_device *device)
    uint32_t ff_devices_alive()

cdef extern from "buffer.h" nogil:
    ctypedef struct ff_pool:
        pass

    ctypedef struct ff_buffer:
        pass

    int ff_pool_open(ff_device *device, uint32_t usual, bint fixed, ff_pool **pool)
    void ff_pool_close(ff_pool *pool)
    void ff_pool_size(ff_pool *pool, uint32_t *buffers, uint64_t *size)
    uint32_t ff_pool_in_use(const ff_pool *pool)
    int ff_pool_take(ff_pool *pool, uint64_t size, ff_cu_stream stream, ff_buffer **buffer,
                     ff_cuda_error *error)
    ff_buffer *ff_pool_find(ff_pool *pool, ff_cu_pointer pointer)
    ff_device *ff_pool_device(const ff_pool *pool)
    ff_pool *ff_buffer_pool(const ff_buffer *buffer)
    ff_cu_pointer ff_buffer_pointer(const ff_buffer *buffer)
    uint64_t ff_buffer_bytes(const ff_buffer *buffer)
    void ff_buffer_release(ff_buffer *buffer)
    int ff_buffer_written_by(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error)
    int ff_buffer_wait(ff_buffer *buffer, ff_cuda_error *error)
    int ff_buffer_hand_to(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error)
    void ff_buffer_is_used_anywhere(ff_buffer *buffer)
    int ff_buffer_read(ff_buffer *buffer, uint64_t offset, void *to, size_t size,
                       ff_cuda_error *error)
    DLManagedTensor *ff_buffer_dlpack(ff_buffer *buffer, uint64_t offset, DLDataType dtype,
                                      int32_t ndim, const int64_t *shape)
    uint32_t ff_pools_alive()

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
        uint64_t posted_ns
        uint64_t position
        uint32_t rows
        uint32_t first_row
        uint32_t batch_rows
        uint16_t part
        uint16_t parts

    ctypedef struct ff_result:
        uint16_t kind
        uint16_t spilled
        uint32_t failed
        uint64_t data_bytes
        uint64_t layout
        uint64_t note_bytes
        uint64_t started_ns
        uint64_t made_ns

    ctypedef struct ff_claim:
        ff_ticket ticket
        uint64_t word
        uint64_t sequence
        uint32_t attempt

    ctypedef struct ff_batch:
        ff_ticket ticket
        ff_result result
        uint64_t sequence
        uint64_t work_ns
        uint32_t worker
        uint32_t attempt

    ctypedef struct ff_header:
        uint32_t n_entries
        uint32_t n_workers

    ctypedef struct ff_worker_now:
        uint32_t pid
        uint64_t making_since_ns
        uint64_t index
        uint64_t epoch
        uint64_t busy_ns
        uint64_t batches
        uint64_t bytes

    ctypedef struct ff_ring:
        ff_header *header

    size_t ff_ring_bytes(uint32_t n_entries, uint32_t n_workers)
    ff_worker_now ff_ring_look(const ff_ring *ring, uint32_t worker)
    uint64_t ff_ring_first_made_ns(const ff_ring *ring, uint64_t none)
    int ff_ring_init(ff_ring *ring, void *memory, uint32_t n_entries, uint32_t n_workers,
                     uint32_t spin)
    int ff_ring_attach(ff_ring *ring, void *memory, size_t size)
    int ff_ring_post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence)
    int ff_ring_post_quietly(ff_ring *ring, const ff_ticket *ticket, uint32_t worker,
                             uint64_t *sequence)
    int ff_ring_take_wait(ff_ring *ring, bint ordered, ff_batch *batch, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns)
    int ff_ring_take(ff_ring *ring, bint ordered, ff_batch *batch)
    void ff_batch_join(ff_batch *whole, const ff_batch *part)
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

cdef extern from "clock.h" nogil:
    uint64_t ff_now_ns()

cdef extern from "journal.h" nogil:
    const uint32_t FF_RECORDS
    const uint32_t FF_NAME_BYTES
    enum: FF_ORDERED, FF_INLINE

    ctypedef struct ff_record:
        uint64_t index
        uint32_t epoch
        uint16_t worker
        uint8_t attempt
        uint8_t kind
        uint64_t bytes
        uint64_t posted_ns
        uint64_t started_ns
        uint64_t made_ns
        uint64_t upload_ns
        uint64_t asked_ns
        uint64_t answered_ns
        uint64_t order_wait_ns
        uint64_t upload_wait_ns
        uint64_t work_ns

    ctypedef struct ff_totals:
        uint64_t newest
        uint64_t waiting_since_ns
        uint64_t epoch
        uint64_t ahead
        uint64_t batches
        uint64_t bytes
        uint64_t first_batch_for
        uint64_t wait_for
        uint64_t order_wait_for
        uint64_t upload_wait_for
        uint64_t step_for
        uint64_t steps
        uint64_t failed

    ctypedef struct ff_journal:
        uint64_t started_ns
        uint32_t flags
        char *name

    size_t ff_journal_offset(uint32_t n_entries, uint32_t n_workers)
    size_t ff_journal_end(uint32_t n_entries, uint32_t n_workers)
    void ff_journal_init(ff_journal *journal, const char *name, uint32_t flags)
    void ff_journal_write(ff_journal *journal, uint64_t sequence, const ff_record *record)
    void ff_journal_waiting(ff_journal *journal, uint64_t since_ns)
    void ff_journal_step(ff_journal *journal, uint64_t step_for)
    void ff_journal_ahead(ff_journal *journal, uint64_t ahead)
    bint ff_journal_read(const ff_journal *journal, uint64_t sequence, ff_record *record)
    ff_totals ff_journal_totals(const ff_journal *journal)
    void ff_journal_failed(ff_journal *journal, uint64_t samples)

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

cdef extern from "shuffle.h" nogil:
    ctypedef struct ff_shuffle:
        uint64_t n

    void ff_shuffle_init(ff_shuffle *shuffle, uint64_t n, uint64_t seed, uint64_t epoch)
    uint64_t ff_shuffle_at(const ff_shuffle *shuffle, uint64_t position)
    void ff_shuffle_rows(const ff_shuffle *shuffle, uint64_t start, uint64_t count, int64_t *items)

cdef extern from "numbers.h" nogil:
    const uint32_t FF_TWISTER_WORDS

    uint64_t ff_item_seed(uint64_t seed, uint64_t epoch, uint64_t index)
    void ff_twister_seed(uint32_t *words, uint64_t seed, uint64_t epoch, uint64_t index,
                         uint64_t stream)

cdef extern from "pin.h" nogil:
    const uint64_t FF_PIN_BYTES

    int ff_pin(ff_device *device, ff_segment *segment, uint64_t most_bytes, ff_cuda_error *error)

cdef extern from "arrivals.h" nogil:
    ctypedef struct ff_arrival:
        ff_batch batch
        uint64_t upload_ns
        ff_buffer *buffer
        uint8_t *note

cdef extern from "upload.h" nogil:
    ctypedef struct ff_uploader:
        pass

    ctypedef struct ff_upload_plan:
        uint32_t waiting
        uint32_t buffers
        bint fixed
        bint ordered
        ff_journal *journal

    ctypedef struct ff_upload_counts:
        uint64_t uploads
        uint64_t bytes
        uint64_t host_copies
        uint32_t waiting
        uint32_t arrivals

    int ff_uploader_start(ff_device *device, const ff_ring *ring, ff_upload_plan plan,
                          ff_uploader **uploader, ff_cuda_error *error)
    void ff_uploader_stop(ff_uploader *uploader)
    int ff_uploader_use(ff_uploader *uploader, uint32_t number, ff_segment *segment, bint pinned)
    void ff_uploader_forget(ff_uploader *uploader, uint32_t number)
    void ff_uploader_skip_below(ff_uploader *uploader, uint64_t sequence)
    int ff_uploader_take(ff_uploader *uploader, ff_arrival *arrival)
    int ff_uploader_take_wait(ff_uploader *uploader, ff_arrival *arrival, const ff_a32 *alarm,
                              uint32_t alarm_seen, int64_t timeout_ns)
    int ff_uploader_send(ff_uploader *uploader, const void *data, size_t size, ff_buffer **buffer,
                         ff_cuda_error *error)
    void ff_uploader_error(ff_uploader *uploader, ff_cuda_error *error)
    ff_upload_counts ff_uploader_counts(const ff_uploader *uploader)
    ff_pool *ff_uploader_pool(const ff_uploader *uploader)
    bint ff_uploader_is_starved(const ff_uploader *uploader)
