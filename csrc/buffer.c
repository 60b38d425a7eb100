#include "buffer.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "park.h"

#define MOST_STREAMS 8u /* beyond which a buffer counts as used anywhere */
#define THREADS_OWN_STREAM ((ff_cu_stream)2)

typedef struct {
  ff_cu_stream stream;
  ff_cu_event left; /* recorded when the buffer's last user went; made at first use, then kept */
} use;

struct ff_buffer {
  ff_pool *pool;
  ff_cu_pointer pointer;
  uint64_t bytes;
  ff_cu_event written;
  ff_a32 users;
  ff_a32 arrived; /* `written` was seen to be complete */
  /* Under the pool's lock while there are users: */
  use uses[MOST_STREAMS];
  uint32_t n_uses;
  uint32_t n_events; /* of `uses`, that were made */
  bool anywhere;
  /* Under the pool's lock: */
  bool is_free;
  uint64_t freed; /* which one of the pool's releases this was */
  ff_buffer *next; /* in the list of free ones */
};

struct ff_pool {
  ff_device *device;
  const ff_cuda *cuda;
  uint32_t usual;
  bool fixed;
  ff_a32 holders; /* the owner, and every buffer in use */
  ff_a32 bell;
  pthread_mutex_t lock; /* of all below */
  ff_buffer *free, **free_end; /* the longest free first; its uses are the most likely to be over */
  uint32_t n_free;
  ff_buffer **turns; /* [usual]; fixed ones are in no list */
  uint64_t turn;
  uint64_t releases;
  uint64_t settled; /* the device was idle after so many releases */
  uint32_t buffers;
  uint64_t bytes;
};

static ff_a32 pools_alive;

uint32_t ff_pools_alive(void) { return ff_load_relaxed32(&pools_alive); }

ff_device *ff_pool_device(const ff_pool *pool) { return pool->device; }
ff_a32 *ff_pool_bell(ff_pool *pool) { return &pool->bell; }
ff_cu_pointer ff_buffer_pointer(const ff_buffer *buffer) { return buffer->pointer; }
uint64_t ff_buffer_bytes(const ff_buffer *buffer) { return buffer->bytes; }
ff_pool *ff_buffer_pool(const ff_buffer *buffer) { return buffer->pool; }

void ff_pool_size(ff_pool *pool, uint32_t *buffers, uint64_t *bytes) {
  pthread_mutex_lock(&pool->lock);
  *buffers = pool->buffers;
  *bytes = pool->bytes;
  pthread_mutex_unlock(&pool->lock);
}

/* -- making and destroying, in the device's context ------------------------------------------ */

static void count(ff_pool *pool, int buffers, uint64_t bytes) {
  pthread_mutex_lock(&pool->lock);
  pool->buffers += (uint32_t)buffers;
  pool->bytes += bytes;
  pthread_mutex_unlock(&pool->lock);
}

/* Errors are of no use here: what cannot be freed is gone with the context. */
static void destroy_buffer(ff_pool *pool, ff_buffer *buffer) {
  for (uint32_t i = 0; i < buffer->n_events; i++) pool->cuda->EventDestroy(buffer->uses[i].left);
  if (buffer->written) pool->cuda->EventDestroy(buffer->written);
  if (buffer->pointer) pool->cuda->MemFree(buffer->pointer);
  free(buffer);
}

static int make_buffer(ff_pool *pool, uint64_t bytes, ff_buffer **result, ff_cuda_error *error) {
  ff_buffer *buffer = calloc(1, sizeof *buffer);
  if (!buffer) return -ENOMEM;
  buffer->pool = pool;
  buffer->bytes = bytes;
  buffer->is_free = true;
  int rc = FF_CU(pool->cuda, error, MemAlloc, &buffer->pointer, bytes ? bytes : 1);
  if (!rc)
    rc = FF_CU(pool->cuda, error, EventCreate, &buffer->written,
               FF_CU_EVENT_NO_TIMING | FF_CU_EVENT_BLOCKING);
  if (rc) {
    destroy_buffer(pool, buffer);
    return rc;
  }
  count(pool, 1, bytes);
  *result = buffer;
  return 0;
}

/* -- the pool -------------------------------------------------------------------------------- */

static ff_buffer *pop_free(ff_pool *pool) { /* under the lock */
  ff_buffer *buffer = pool->free;
  pool->free = buffer->next;
  if (!pool->free) pool->free_end = &pool->free;
  pool->n_free--;
  return buffer;
}

static void push_free(ff_pool *pool, ff_buffer *buffer) { /* under the lock */
  buffer->next = NULL;
  *pool->free_end = buffer;
  pool->free_end = &buffer->next;
  pool->n_free++;
}

static void destroy_pool(ff_pool *pool) {
  ff_cuda_error ignored;
  /* In a fork nothing of CUDA may be called, and the buffers are not ours. */
  if (ff_device_is_ours(pool->device) && !ff_device_enter(pool->device, &ignored)) {
    while (pool->free) destroy_buffer(pool, pop_free(pool));
    for (uint32_t i = 0; i < pool->usual; i++)
      if (pool->turns[i]) destroy_buffer(pool, pool->turns[i]);
    ff_device_leave(pool->device);
  }
  ff_device_release(pool->device);
  pthread_mutex_destroy(&pool->lock);
  free(pool->turns);
  free(pool);
  ff_add_relaxed32(&pools_alive, UINT32_MAX); /* minus one */
}

static void let_go(ff_pool *pool) {
  /* SYNC pool: release and acquire in one. Every use of the books comes before their end. */
  if (ff_sub_acq_rel32(&pool->holders, 1) == 1) destroy_pool(pool);
}

int ff_pool_open(ff_device *device, uint32_t usual, bool fixed, ff_pool **result) {
  ff_pool *pool = calloc(1, sizeof *pool);
  if (!pool || !(pool->turns = calloc(usual, sizeof(ff_buffer *)))) {
    free(pool);
    return -ENOMEM;
  }
  pool->device = device;
  pool->cuda = ff_device_driver(device);
  pool->usual = usual;
  pool->fixed = fixed;
  pool->free_end = &pool->free;
  pthread_mutex_init(&pool->lock, NULL);
  ff_store_relaxed32(&pool->holders, 1);
  ff_device_retain(device);
  ff_add_relaxed32(&pools_alive, 1);
  *result = pool;
  return 0;
}

void ff_pool_close(ff_pool *pool) { let_go(pool); }

/* -- taking ---------------------------------------------------------------------------------- */

/* The longest free one, if there are as many as usual. Too small ones, and those beyond the usual
 * that a user kept for a while, are destroyed on the way. */
static ff_buffer *reuse(ff_pool *pool, uint64_t bytes) {
  for (;;) {
    pthread_mutex_lock(&pool->lock);
    bool too_small = pool->free && pool->free->bytes < bytes;
    bool too_many = pool->n_free > pool->usual;
    ff_buffer *buffer = NULL;
    if (pool->free && (too_small || too_many || pool->buffers >= pool->usual))
      buffer = pop_free(pool);
    pthread_mutex_unlock(&pool->lock);
    if (!buffer || !(too_small || too_many)) return buffer;
    count(pool, -1, -buffer->bytes);
    destroy_buffer(pool, buffer);
  }
}

static int take_any(ff_pool *pool, uint64_t bytes, ff_buffer **buffer, ff_cuda_error *error) {
  *buffer = reuse(pool, bytes);
  return *buffer ? 0 : make_buffer(pool, bytes, buffer, error);
}

static int take_next(ff_pool *pool, uint64_t bytes, ff_buffer **buffer, ff_cuda_error *error) {
  ff_buffer **place = &pool->turns[pool->turn % pool->usual];
  int rc = *place ? 0 : make_buffer(pool, bytes, place, error);
  if (rc) return rc;
  if ((*place)->bytes < bytes) return -EMSGSIZE;
  pthread_mutex_lock(&pool->lock);
  if ((*place)->is_free)
    pool->turn++;
  else
    rc = -EAGAIN;
  pthread_mutex_unlock(&pool->lock);
  *buffer = *place;
  return rc;
}

/* Only when it was freed after the device was last seen idle; one wait serves all that are free. */
static int wait_for_device(ff_pool *pool, const ff_buffer *buffer, ff_cuda_error *error) {
  pthread_mutex_lock(&pool->lock);
  uint64_t releases = pool->releases;
  bool settled = buffer->freed <= pool->settled;
  pthread_mutex_unlock(&pool->lock);
  if (settled) return 0;
  int rc = ff_cuda_check(pool->cuda, pool->cuda->CtxSynchronize(), "cuCtxSynchronize", error);
  if (rc) return rc;
  pthread_mutex_lock(&pool->lock);
  if (pool->settled < releases) pool->settled = releases;
  pthread_mutex_unlock(&pool->lock);
  return 0;
}

static int wait_for_uses(ff_pool *pool, ff_buffer *buffer, ff_cu_stream stream,
                         ff_cuda_error *error) {
  int rc = buffer->anywhere ? wait_for_device(pool, buffer, error) : 0;
  for (uint32_t i = 0; i < buffer->n_uses && !rc; i++)
    rc = FF_CU(pool->cuda, error, StreamWaitEvent, stream, buffer->uses[i].left, 0);
  return rc;
}

int ff_pool_take(ff_pool *pool, uint64_t bytes, ff_cu_stream stream, ff_buffer **result,
                 ff_cuda_error *error) {
  ff_buffer *buffer = NULL;
  int rc = (pool->fixed ? take_next : take_any)(pool, bytes, &buffer, error);
  if (rc) return rc;
  rc = wait_for_uses(pool, buffer, stream, error);
  buffer->is_free = false;
  buffer->anywhere = rc != 0; /* nobody has waited for its uses */
  buffer->n_uses = 0;
  ff_store_relaxed32(&buffer->arrived, 0);
  ff_store_relaxed32(&buffer->users, 1); /* nobody else knows it yet */
  ff_add_relaxed32(&pool->holders, 1);   /* the caller's hold on the pool keeps it from zero */
  if (rc)
    ff_buffer_release(buffer);
  else
    *result = buffer;
  return rc;
}

/* -- users ----------------------------------------------------------------------------------- */

void ff_buffer_retain(ff_buffer *buffer) {
  ff_add_relaxed32(&buffer->users, 1); /* the caller is a user already */
}

/* While a stream is captured into a graph an event is part of the graph, and nothing outside may
 * wait for it. */
static bool mark(const ff_cuda *cuda, const use *used) {
  int capturing = 0;
  return !cuda->StreamIsCapturing(used->stream, &capturing) && !capturing &&
         !cuda->EventRecord(used->left, used->stream);
}

static void mark_uses(ff_pool *pool, ff_buffer *buffer) {
  ff_cuda_error ignored;
  if (!buffer->n_uses || !ff_device_is_ours(pool->device)) return;
  bool entered = !ff_device_enter(pool->device, &ignored);
  for (uint32_t i = 0; i < buffer->n_uses; i++)
    if (!entered || !mark(pool->cuda, &buffer->uses[i])) buffer->anywhere = true;
  if (buffer->anywhere) buffer->n_uses = 0;
  if (entered) ff_device_leave(pool->device);
}

void ff_buffer_release(ff_buffer *buffer) {
  /* SYNC buffer: release and acquire in one. Each user's launches come before the events. */
  if (ff_sub_acq_rel32(&buffer->users, 1) != 1) return;
  ff_pool *pool = buffer->pool;
  mark_uses(pool, buffer);
  pthread_mutex_lock(&pool->lock);
  buffer->freed = ++pool->releases;
  buffer->is_free = true;
  if (!pool->fixed) push_free(pool, buffer);
  pthread_mutex_unlock(&pool->lock);
  ff_bell_ring(&pool->bell);
  let_go(pool);
}

int ff_buffer_written_by(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  return FF_CU(buffer->pool->cuda, error, EventRecord, buffer->written, stream);
}

int ff_buffer_has_arrived(ff_buffer *buffer, ff_cuda_error *error) {
  if (ff_load_relaxed32(&buffer->arrived)) return 0; /* tells of the device, orders nothing here */
  int rc = buffer->pool->cuda->EventQuery(buffer->written);
  if (rc == FF_CU_NOT_READY) return rc;
  if (!rc) ff_store_relaxed32(&buffer->arrived, 1);
  return ff_cuda_check(buffer->pool->cuda, rc, "cuEventQuery", error);
}

int ff_buffer_wait(ff_buffer *buffer, ff_cuda_error *error) {
  if (ff_load_relaxed32(&buffer->arrived)) return 0;
  int rc = FF_CU(buffer->pool->cuda, error, EventSynchronize, buffer->written);
  if (!rc) ff_store_relaxed32(&buffer->arrived, 1);
  return rc;
}

void ff_buffer_is_used_anywhere(ff_buffer *buffer) {
  pthread_mutex_lock(&buffer->pool->lock);
  buffer->anywhere = true;
  pthread_mutex_unlock(&buffer->pool->lock);
}

/* Under the lock. A stream that is noted has waited for the bytes. */
static bool is_noted(const ff_buffer *buffer, ff_cu_stream stream) {
  for (uint32_t i = 0; i < buffer->n_uses; i++)
    if (buffer->uses[i].stream == stream) return true;
  return false;
}

/* Under the lock. The thread's own default stream cannot be named by the thread that comes last. */
static int note(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  if (stream == THREADS_OWN_STREAM || buffer->n_uses == MOST_STREAMS) {
    buffer->anywhere = true;
    return 0;
  }
  use *next = &buffer->uses[buffer->n_uses];
  if (buffer->n_uses == buffer->n_events) {
    int rc = FF_CU(buffer->pool->cuda, error, EventCreate, &next->left, FF_CU_EVENT_NO_TIMING);
    if (rc) return rc;
    buffer->n_events++;
  }
  next->stream = stream;
  buffer->n_uses++;
  return 0;
}

int ff_buffer_hand_to(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  ff_pool *pool = buffer->pool;
  pthread_mutex_lock(&pool->lock);
  bool noted = is_noted(buffer, stream);
  int rc = noted ? 0 : ff_device_enter(pool->device, error);
  if (!noted && !rc) {
    rc = note(buffer, stream, error);
    if (!rc && !ff_load_relaxed32(&buffer->arrived))
      rc = FF_CU(pool->cuda, error, StreamWaitEvent, stream, buffer->written, 0);
    ff_device_leave(pool->device);
  }
  pthread_mutex_unlock(&pool->lock);
  return rc;
}

int ff_buffer_read(ff_buffer *buffer, uint64_t offset, void *to, size_t bytes,
                   ff_cuda_error *error) {
  int rc = ff_device_enter(buffer->pool->device, error);
  if (rc) return rc;
  rc = ff_buffer_wait(buffer, error);
  if (!rc && bytes)
    rc = FF_CU(buffer->pool->cuda, error, MemcpyDtoH, to, buffer->pointer + offset, bytes);
  ff_device_leave(buffer->pool->device);
  return rc;
}

/* -- DLPack ---------------------------------------------------------------------------------- */

static void release_user(void *buffer, uint32_t unused) {
  (void)unused;
  ff_buffer_release(buffer);
}

DLManagedTensor *ff_buffer_dlpack(ff_buffer *buffer, uint64_t offset, DLDataType dtype,
                                  int32_t ndim, const int64_t *shape) {
  DLDevice device = {DLPACK_CUDA, ff_device_ordinal(buffer->pool->device)};
  void *data = (void *)(uintptr_t)(buffer->pointer + offset);
  DLManagedTensor *tensor = ff_dlpack_new(data, device, dtype, ndim, shape,
                                          (ff_user){release_user, buffer, 0});
  if (tensor) ff_buffer_retain(buffer);
  return tensor;
}
