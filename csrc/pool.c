#include "pool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "park.h"

static ff_a32 pools_alive;

uint32_t ff_pools_alive(void) { return ff_load_relaxed32(&pools_alive); }

ff_device *ff_pool_device(const ff_pool *pool) { return pool->device; }
ff_a32 *ff_pool_bell(ff_pool *pool) { return &pool->bell; }

void ff_pool_size(ff_pool *pool, uint32_t *buffers, uint64_t *bytes) {
  pthread_mutex_lock(&pool->lock);
  *buffers = pool->buffers;
  *bytes = pool->bytes;
  pthread_mutex_unlock(&pool->lock);
}

uint32_t ff_pool_in_use(const ff_pool *pool) { return ff_load_relaxed32(&pool->holders) - 1; }

ff_buffer *ff_pool_find(ff_pool *pool, ff_cu_pointer pointer) {
  pthread_mutex_lock(&pool->lock);
  ff_buffer *found = pool->all;
  while (found && pointer - found->pointer >= found->bytes) found = found->next_of_all;
  if (found && ff_load_relaxed32(&found->users))
    ff_buffer_retain(found); /* the caller has an array over it, which is a user */
  else
    found = NULL;
  pthread_mutex_unlock(&pool->lock);
  return found;
}

/* -- making and destroying, in the device's context ------------------------------------------ */

static void enlist(ff_pool *pool, ff_buffer *buffer) { /* under the lock */
  buffer->next_of_all = pool->all;
  pool->all = buffer;
  pool->buffers++;
  pool->bytes += buffer->bytes;
}

static void delist(ff_pool *pool, const ff_buffer *buffer) { /* under the lock */
  ff_buffer **link = &pool->all;
  while (*link != buffer) link = &(*link)->next_of_all;
  *link = buffer->next_of_all;
  pool->buffers--;
  pool->bytes -= buffer->bytes;
}

/* Errors are of no use here: what cannot be freed is gone with the context. */
static void free_on_device(const ff_cuda *cuda, ff_buffer *buffer) {
  for (uint32_t i = 0; i < buffer->n_events; i++) cuda->EventDestroy(buffer->uses[i].left);
  if (buffer->written) cuda->EventDestroy(buffer->written);
  if (buffer->pointer) cuda->MemFree(buffer->pointer);
}

static int allocate(const ff_pool *pool, ff_buffer *buffer, ff_cuda_error *error) {
  uint64_t bytes = buffer->bytes ? buffer->bytes : 1;
  int rc = FF_CU(pool->cuda, error, MemAlloc, &buffer->pointer, bytes);
  if (rc != FF_CU_OUT_OF_MEMORY) return rc;
  size_t said = strlen(error->text);
  snprintf(error->text + said, sizeof error->text - said, ", %llu bytes asked for, %zu free",
           (unsigned long long)bytes, ff_device_free_bytes(pool->device));
  return rc;
}

static int make_buffer(ff_pool *pool, uint64_t bytes, ff_buffer **result, ff_cuda_error *error) {
  ff_buffer *buffer = calloc(1, sizeof *buffer);
  if (!buffer) return ff_cuda_own_error(-ENOMEM, "calloc", NULL, error);
  buffer->pool = pool;
  buffer->bytes = bytes;
  int rc = allocate(pool, buffer, error);
  if (!rc)
    rc = FF_CU(pool->cuda, error, EventCreate, &buffer->written,
               FF_CU_EVENT_NO_TIMING | FF_CU_EVENT_BLOCKING);
  if (rc) {
    free_on_device(pool->cuda, buffer);
    free(buffer);
    return rc;
  }
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

static ff_buffer *pop_idle(ff_pool *pool) {
  pthread_mutex_lock(&pool->lock);
  ff_buffer *buffer = pool->free ? pop_free(pool) : NULL;
  if (buffer) delist(pool, buffer);
  pthread_mutex_unlock(&pool->lock);
  return buffer;
}

/* Who closes the pool or releases the last buffer may capture a graph, and must not spoil that.
 * Where the context cannot be entered its memory is gone with it: only the books go. */
static void destroy_idle(ff_pool *pool) {
  ff_cuda_error ignored;
  ff_buffer *buffer;
  int mode = FF_CU_CAPTURE_RELAXED;
  bool entered = !ff_device_enter(pool->device, &ignored);
  if (entered) pool->cuda->ThreadExchangeStreamCaptureMode(&mode);
  while ((buffer = pop_idle(pool))) {
    if (entered) free_on_device(pool->cuda, buffer);
    free(buffer);
  }
  if (!entered) return;
  pool->cuda->ThreadExchangeStreamCaptureMode(&mode);
  ff_device_leave(pool->device);
}

static void destroy_pool(ff_pool *pool) {
  for (uint32_t i = 0; i < pool->usual; i++)
    if (pool->turns[i]) push_free(pool, pool->turns[i]);
  destroy_idle(pool);
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

void ff_pool_close(ff_pool *pool) {
  /* In a fork the lock may be held by a thread that does not exist here. */
  if (!ff_device_is_ours(pool->device)) return;
  destroy_idle(pool);
  let_go(pool);
}

/* -- taking ---------------------------------------------------------------------------------- */

/* The longest free one, if there are as many as usual. Too small ones, and those beyond the usual
 * that a user kept for a while, are destroyed on the way. */
static ff_buffer *reuse(ff_pool *pool, uint64_t bytes) {
  for (;;) {
    pthread_mutex_lock(&pool->lock);
    bool useless = pool->free && (pool->free->bytes < bytes || pool->n_free > pool->usual);
    ff_buffer *buffer = NULL;
    if (pool->free && (useless || pool->buffers >= pool->usual)) buffer = pop_free(pool);
    if (buffer && useless) delist(pool, buffer);
    pthread_mutex_unlock(&pool->lock);
    if (!buffer || !useless) return buffer;
    free_on_device(pool->cuda, buffer);
    free(buffer);
  }
}

static int take_any(ff_pool *pool, uint64_t bytes, ff_buffer **buffer, ff_cuda_error *error) {
  if ((*buffer = reuse(pool, bytes))) return 0;
  int rc = make_buffer(pool, bytes, buffer, error);
  if (rc) return rc;
  pthread_mutex_lock(&pool->lock);
  enlist(pool, *buffer);
  pthread_mutex_unlock(&pool->lock);
  return 0;
}

static int fill_place(ff_pool *pool, uint64_t bytes, ff_buffer **place, ff_cuda_error *error) {
  int rc = make_buffer(pool, bytes, place, error);
  if (rc) return rc;
  (*place)->is_free = true;
  enlist(pool, *place);
  return 0;
}

/* All under the lock: two threads that take would make a buffer for the same place. */
static int take_next(ff_pool *pool, uint64_t bytes, ff_buffer **buffer, ff_cuda_error *error) {
  pthread_mutex_lock(&pool->lock);
  ff_buffer **place = &pool->turns[pool->turn % pool->usual];
  int rc = *place ? 0 : fill_place(pool, bytes, place, error);
  if (!rc && (*place)->bytes < bytes)
    rc = ff_cuda_own_error(-EMSGSIZE, "ff_pool_take", "the fixed buffers are smaller", error);
  if (!rc && !(*place)->is_free) rc = -EAGAIN;
  if (!rc) {
    *buffer = *place;
    (*buffer)->is_free = false;
    pool->turn++;
  }
  pthread_mutex_unlock(&pool->lock);
  return rc;
}

/* Only when it was freed after the device was last seen idle; one wait serves all that are free. */
static int wait_for_device(ff_pool *pool, const ff_buffer *buffer, ff_cuda_error *error) {
  pthread_mutex_lock(&pool->lock);
  uint64_t releases = pool->releases;
  bool settled = buffer->freed <= pool->settled;
  pthread_mutex_unlock(&pool->lock);
  if (settled) return 0;
  int rc = pool->cuda->CtxSynchronize();
  if (rc == FF_CU_CAPTURE_UNSUPPORTED) return -EAGAIN; /* somebody captures a graph just now */
  if (rc) return ff_cuda_check(pool->cuda, rc, "cuCtxSynchronize", error);
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

void ff_pool_put_back(ff_pool *pool, ff_buffer *buffer) {
  pthread_mutex_lock(&pool->lock);
  buffer->freed = ++pool->releases;
  buffer->is_free = true;
  if (!pool->fixed) push_free(pool, buffer);
  pthread_mutex_unlock(&pool->lock);
  if (pool->fixed) ff_bell_ring(&pool->bell); /* others make a new one where none is free */
  let_go(pool);
}

/* Back it goes, to be taken again: nobody has waited for its uses. */
static void give_back(ff_pool *pool, ff_buffer *buffer) {
  pthread_mutex_lock(&pool->lock);
  buffer->anywhere = true;
  if (pool->fixed) pool->turn--;
  pthread_mutex_unlock(&pool->lock);
  ff_buffer_release(buffer);
}

int ff_pool_take(ff_pool *pool, uint64_t bytes, ff_cu_stream stream, ff_buffer **result,
                 ff_cuda_error *error) {
  ff_buffer *buffer = NULL;
  int rc = (pool->fixed ? take_next : take_any)(pool, bytes, &buffer, error);
  if (rc) return rc;
  rc = wait_for_uses(pool, buffer, stream, error);
  buffer->anywhere = false;
  buffer->n_uses = 0;
  ff_store_relaxed32(&buffer->arrived, 0);
  ff_store_relaxed32(&buffer->users, 1); /* nobody else knows it yet */
  ff_add_relaxed32(&pool->holders, 1);   /* the caller's hold on the pool keeps it from zero */
  if (rc)
    give_back(pool, buffer);
  else
    *result = buffer;
  return rc;
}
