#include "upload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "park.h"
#include "thread.h"
#include "uploading.h"

/* -- start and end ---------------------------------------------------------------------------- */

static void release(ff_uploader *uploader) {
  ff_cuda_error ignored;
  if (uploader->stream && !ff_device_enter(uploader->device, &ignored)) {
    uploader->cuda->StreamDestroy(uploader->stream);
    ff_device_leave(uploader->device);
  }
  ff_arrivals_close(&uploader->arrivals);
  if (uploader->in_hand) ff_buffer_release(uploader->in_hand);
  if (uploader->pool) ff_pool_close(uploader->pool);
  ff_device_release(uploader->device);
  ff_places_close(&uploader->places);
  pthread_mutex_destroy(&uploader->lock);
  free(uploader);
}

static int open_stream(ff_uploader *uploader, ff_cuda_error *error) {
  int rc = ff_device_enter(uploader->device, error);
  if (rc) return rc;
  rc = FF_CU(uploader->cuda, error, StreamCreate, &uploader->stream, FF_CU_STREAM_NON_BLOCKING);
  ff_device_leave(uploader->device);
  return rc;
}

static int start_thread(ff_uploader *uploader, ff_cuda_error *error) {
  int rc = ff_thread_start(&uploader->thread, ff_uploading_run, uploader);
  return rc ? ff_cuda_own_error(rc, "pthread_create", NULL, error) : 0;
}

int ff_uploader_start(ff_device *device, const ff_ring *ring, ff_upload_plan plan,
                      ff_uploader **result, ff_cuda_error *error) {
  ff_uploader *uploader = aligned_alloc(FF_LINE, sizeof *uploader);
  if (!uploader) return ff_cuda_own_error(-ENOMEM, "aligned_alloc", NULL, error);
  memset(uploader, 0, sizeof *uploader);
  uploader->ring = *ring;
  uploader->device = device;
  uploader->cuda = ff_device_driver(device);
  uploader->plan = plan;
  uploader->owner = getpid();
  uploader->copies_end = &uploader->copies;
  pthread_mutex_init(&uploader->lock, NULL);
  ff_places_open(&uploader->places);
  ff_device_retain(device);
  int rc = ff_arrivals_open(&uploader->arrivals, ring->header->n_entries); /* can be on their way */
  if (!rc) rc = ff_pool_open(device, plan.buffers, plan.fixed, &uploader->pool);
  if (rc) ff_cuda_own_error(rc, "malloc", NULL, error);
  if (!rc) rc = open_stream(uploader, error);
  if (!rc) rc = start_thread(uploader, error);
  if (rc)
    release(uploader);
  else
    *result = uploader;
  return rc;
}

void ff_uploader_stop(ff_uploader *uploader) {
  if (uploader->owner != getpid()) return; /* a fork has the books, but no such thread */
  ff_store_release32(&uploader->stopping, 1); /* SYNC stopping: release */
  ff_bell_ring(ff_pool_bell(uploader->pool));
  ff_ring_wake_taker(&uploader->ring);
  pthread_join(uploader->thread, NULL);
  release(uploader);
}

/* -- the consumer ---------------------------------------------------------------------------- */

int ff_uploader_use(ff_uploader *uploader, uint32_t number, ff_segment *segment, bool pinned) {
  int rc = ff_places_add(&uploader->places, number, segment, pinned);
  if (rc) return rc;
  ff_store_relaxed64(&uploader->slot_bytes, ff_segment_stride(segment));
  ff_ring_wake_taker(&uploader->ring); /* it may get a buffer before the first batch */
  return 0;
}

void ff_uploader_forget(ff_uploader *uploader, uint32_t number) {
  ff_places_forget(&uploader->places, number);
}

void ff_uploader_skip_below(ff_uploader *uploader, uint64_t sequence) {
  ff_store_relaxed64(&uploader->skip_below, sequence);
}

/* The consumer comes again: it has uploaded, or thrown away, the spilled batch that it took. */
static void done_with_spilled(ff_uploader *uploader) {
  if (!uploader->took_spilled) return;
  uploader->took_spilled = false;
  ff_store_release32(&uploader->spilled, 0); /* SYNC spilled: release */
  ff_bell_ring(ff_pool_bell(uploader->pool));
}

static int look(ff_uploader *uploader, ff_arrival *arrival) {
  done_with_spilled(uploader);
  /* SYNC failed: acquire. Before the look: what arrived earlier comes first. */
  bool failed = ff_load_acquire32(&uploader->failed);
  if (!ff_arrivals_take(&uploader->arrivals, arrival)) return failed ? -EIO : -EAGAIN;
  uploader->took_spilled = arrival->batch.result.kind == FF_DATA && arrival->batch.result.spilled;
  /* As long as a batch waits, the thread comes by itself: see sleep_without_room(). */
  if (!ff_arrivals_on_device(&uploader->arrivals)) ff_bell_ring(ff_pool_bell(uploader->pool));
  return 0;
}

static int look_and_sleep(ff_uploader *uploader, ff_arrival *arrival, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns) {
  uint32_t looks = 0;
  int rc;
  do {
    if ((rc = look(uploader, arrival)) != -EAGAIN) return rc;
  } while (ff_look_again(looks++, uploader->ring.header->spin));
  uint32_t seen = ff_bell_listen(&uploader->arrivals.bell);
  if ((rc = look(uploader, arrival)) != -EAGAIN) return rc;
  if (alarm && ff_load_acquire32(alarm) != alarm_seen) return -EAGAIN;
  if (ff_bell_rang(uploader->heard, seen)) return -EAGAIN; /* a slot is free, perhaps */
  ff_ring_wake_idle(&uploader->ring); /* a second belt: the thread does so too */
  ff_park(&uploader->arrivals.bell, seen, timeout_ns);
  return look(uploader, arrival);
}

/* What rings from here on may be a slot that the consumer looked for in vain: see above. */
static int hear(ff_uploader *uploader, int rc) {
  uploader->heard = ff_bell_hear(&uploader->arrivals.bell);
  return rc;
}

int ff_uploader_take(ff_uploader *uploader, ff_arrival *arrival) {
  return hear(uploader, look(uploader, arrival));
}

int ff_uploader_take_wait(ff_uploader *uploader, ff_arrival *arrival, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns) {
  return hear(uploader, look_and_sleep(uploader, arrival, alarm, alarm_seen, timeout_ns));
}

/* What the thread had in hand when it passed a spilled batch on is for that one: with fixed buffers
 * it is the one whose turn it is. */
static int take_buffer(ff_uploader *uploader, uint64_t bytes, ff_buffer **buffer,
                       ff_cuda_error *error) {
  if (uploader->took_spilled && uploader->in_hand && ff_buffer_bytes(uploader->in_hand) >= bytes) {
    *buffer = uploader->in_hand;
    uploader->in_hand = NULL;
    return 0;
  }
  return ff_pool_take(uploader->pool, bytes, uploader->stream, buffer, error);
}

/* Whatever fails, the bytes are the caller's again when this returns. */
static int send_to(ff_uploader *uploader, ff_buffer *buffer, const void *bytes, size_t size,
                   ff_cuda_error *error) {
  int rc = 0;
  if (size)
    rc = FF_CU(uploader->cuda, error, MemcpyHtoDAsync, ff_buffer_pointer(buffer), bytes, size,
               uploader->stream);
  if (!rc) rc = ff_buffer_written_by(buffer, uploader->stream, error);
  if (rc)
    uploader->cuda->StreamSynchronize(uploader->stream);
  else
    rc = ff_buffer_wait(buffer, error);
  return rc;
}

static int send_in_context(ff_uploader *uploader, const void *bytes, size_t size,
                           ff_buffer **result, ff_cuda_error *error) {
  uint64_t slot_bytes = ff_load_relaxed64(&uploader->slot_bytes);
  ff_buffer *buffer = NULL;
  int rc = take_buffer(uploader, size > slot_bytes ? size : slot_bytes, &buffer, error);
  if (rc) return rc;
  rc = send_to(uploader, buffer, bytes, size, error);
  if (rc)
    ff_buffer_release(buffer);
  else
    *result = buffer;
  return rc;
}

int ff_uploader_send(ff_uploader *uploader, const void *bytes, size_t size, ff_buffer **buffer,
                     ff_cuda_error *error) {
  int rc = ff_device_enter(uploader->device, error);
  if (rc) return rc;
  rc = send_in_context(uploader, bytes, size, buffer, error);
  ff_device_leave(uploader->device);
  if (rc) return rc;
  ff_add_relaxed64(&uploader->uploads, 1);
  ff_add_relaxed64(&uploader->bytes, size);
  ff_add_relaxed64(&uploader->host_copies, 1);
  return 0;
}

/* -- looking at it ---------------------------------------------------------------------------- */

void ff_uploader_error(ff_uploader *uploader, ff_cuda_error *error) {
  pthread_mutex_lock(&uploader->lock);
  *error = uploader->error;
  pthread_mutex_unlock(&uploader->lock);
}

ff_upload_counts ff_uploader_counts(const ff_uploader *uploader) {
  return (ff_upload_counts){.uploads = ff_load_relaxed64(&uploader->uploads),
                            .bytes = ff_load_relaxed64(&uploader->bytes),
                            .host_copies = ff_load_relaxed64(&uploader->host_copies),
                            .waiting = ff_arrivals_on_device(&uploader->arrivals),
                            .arrivals = ff_arrivals_count(&uploader->arrivals)};
}

ff_pool *ff_uploader_pool(const ff_uploader *uploader) { return uploader->pool; }

bool ff_uploader_is_starved(const ff_uploader *uploader) {
  return ff_load_relaxed32(&uploader->starved);
}
