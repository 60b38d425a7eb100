#include "buffer.h"

#include "pool.h"

#define THREADS_OWN_STREAM ((ff_cu_stream)2)

ff_cu_pointer ff_buffer_pointer(const ff_buffer *buffer) { return buffer->pointer; }
uint64_t ff_buffer_bytes(const ff_buffer *buffer) { return buffer->bytes; }
ff_pool *ff_buffer_pool(const ff_buffer *buffer) { return buffer->pool; }

/* -- users ----------------------------------------------------------------------------------- */

void ff_buffer_retain(ff_buffer *buffer) {
  ff_add_relaxed32(&buffer->users, 1); /* the caller is a user already */
}

/* While a stream is captured into a graph an event is part of the graph, and nothing outside may
 * wait for it, nor the stream for anything outside. Who cannot tell captures, perhaps. */
static bool is_capturing(const ff_cuda *cuda, ff_cu_stream stream) {
  int capturing = 0;
  return cuda->StreamIsCapturing(stream, &capturing) || capturing;
}

static bool mark(const ff_cuda *cuda, const ff_use *used) {
  return !is_capturing(cuda, used->stream) && !cuda->EventRecord(used->left, used->stream);
}

static void mark_uses(ff_pool *pool, ff_buffer *buffer) {
  ff_cuda_error ignored;
  if (!buffer->n_uses) return;
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
  /* As in ff_pool_close(). */
  if (!ff_device_is_ours(pool->device)) return;
  mark_uses(pool, buffer);
  ff_pool_put_back(pool, buffer);
}

int ff_buffer_written_by(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  return FF_CU(buffer->pool->cuda, error, EventRecord, buffer->written, stream);
}

/* SYNC landed: acquire. Another thread may have seen it; what the copy has read may be written. */
static bool has_landed(const ff_buffer *buffer) { return ff_load_acquire32(&buffer->arrived); }

static int landed(ff_buffer *buffer) {
  ff_store_release32(&buffer->arrived, 1); /* SYNC landed: release */
  return 0;
}

int ff_buffer_has_arrived(ff_buffer *buffer, ff_cuda_error *error) {
  if (has_landed(buffer)) return 0;
  int rc = buffer->pool->cuda->EventQuery(buffer->written);
  if (rc == FF_CU_NOT_READY) return rc;
  return rc ? ff_cuda_check(buffer->pool->cuda, rc, "cuEventQuery", error) : landed(buffer);
}

int ff_buffer_wait(ff_buffer *buffer, ff_cuda_error *error) {
  if (has_landed(buffer)) return 0;
  int rc = FF_CU(buffer->pool->cuda, error, EventSynchronize, buffer->written);
  return rc ? rc : landed(buffer);
}

void ff_buffer_is_used_anywhere(ff_buffer *buffer) {
  pthread_mutex_lock(&buffer->pool->lock);
  buffer->anywhere = true;
  pthread_mutex_unlock(&buffer->pool->lock);
}

/* A stream that is noted has waited for the bytes. */
static bool is_noted(ff_buffer *buffer, ff_cu_stream stream) {
  bool noted = false;
  pthread_mutex_lock(&buffer->pool->lock);
  for (uint32_t i = 0; i < buffer->n_uses; i++) noted |= buffer->uses[i].stream == stream;
  pthread_mutex_unlock(&buffer->pool->lock);
  return noted;
}

/* Under the lock. The thread's own default stream cannot be named by the thread that comes last. */
static int note(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  if (stream == THREADS_OWN_STREAM || buffer->n_uses == MOST_STREAMS) {
    buffer->anywhere = true;
    return 0;
  }
  ff_use *next = &buffer->uses[buffer->n_uses];
  if (buffer->n_uses == buffer->n_events) {
    int rc = FF_CU(buffer->pool->cuda, error, EventCreate, &next->left, FF_CU_EVENT_NO_TIMING);
    if (rc) return rc;
    buffer->n_events++;
  }
  next->stream = stream;
  buffer->n_uses++;
  return 0;
}

static int wait_while_capturing(ff_buffer *buffer, ff_cuda_error *error) {
  const ff_cuda *cuda = buffer->pool->cuda;
  int mode = FF_CU_CAPTURE_RELAXED;
  int rc = FF_CU(cuda, error, ThreadExchangeStreamCaptureMode, &mode);
  if (rc) return rc;
  rc = ff_buffer_wait(buffer, error);
  cuda->ThreadExchangeStreamCaptureMode(&mode);
  return rc;
}

static int make_wait(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  const ff_cuda *cuda = buffer->pool->cuda;
  if (has_landed(buffer)) return 0;
  if (is_capturing(cuda, stream)) return wait_while_capturing(buffer, error);
  return FF_CU(cuda, error, StreamWaitEvent, stream, buffer->written, 0);
}

int ff_buffer_hand_to(ff_buffer *buffer, ff_cu_stream stream, ff_cuda_error *error) {
  ff_pool *pool = buffer->pool;
  int rc = ff_device_enter(pool->device, error);
  if (rc) return rc;
  if (!is_noted(buffer, stream) && !(rc = make_wait(buffer, stream, error))) {
    pthread_mutex_lock(&pool->lock);
    rc = note(buffer, stream, error);
    pthread_mutex_unlock(&pool->lock);
  }
  ff_device_leave(pool->device);
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
