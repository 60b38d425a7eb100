#include "upload.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bounce.h"
#include "park.h"
#include "places.h"
#include "thread.h"

#define SECOND 1000000000 /* a sleep's end: a second belt, nothing depends on it */

/* A copy on its way. */
typedef struct copying {
  ff_buffer *buffer;
  ff_segment *segment; /* of the slot that it reads; NULL: it was read already */
  uint32_t slot;
  struct copying *next;
} copying;

struct ff_uploader {
  ff_ring ring;
  ff_device *device;
  const ff_cuda *cuda;
  ff_pool *pool;
  ff_upload_plan plan;
  ff_cu_stream stream;
  pid_t owner;
  pthread_t thread;
  ff_a32 stopping;
  ff_a32 failed;
  ff_a32 starved;
  ff_a32 spilled; /* one was passed on, and the consumer is not done with it */
  ff_a64 skip_below;
  ff_a64 slot_bytes; /* of the newest segment; 0: there is none yet */
  ff_a64 uploads, bytes, host_copies;
  pthread_mutex_t lock; /* of `error` */
  ff_cuda_error error;
  ff_places places;
  ff_arrivals arrivals; /* the thread puts, the consumer takes */
  bool took_spilled;    /* the consumer's own */
  /* The thread's own. */
  copying *copies, **copies_end;
  ff_buffer *in_hand; /* for the next batch */
  ff_bounce bounce;
};

static void fail(ff_uploader *uploader, const ff_cuda_error *error) {
  pthread_mutex_lock(&uploader->lock);
  uploader->error = *error;
  pthread_mutex_unlock(&uploader->lock);
  ff_store_release32(&uploader->failed, 1); /* SYNC failed: release */
  ff_bell_ring(&uploader->arrivals.bell);
}

static bool has_failed(const ff_uploader *uploader) {
  return ff_load_acquire32(&uploader->failed); /* SYNC failed: acquire */
}

static bool is_stopping(const ff_uploader *uploader) {
  return ff_load_acquire32(&uploader->stopping); /* SYNC stopping: acquire */
}

/* -- the thread: copies that are done ------------------------------------------------------------ */

static void end_copy(ff_uploader *uploader) {
  copying *done = uploader->copies;
  uploader->copies = done->next;
  if (!uploader->copies) uploader->copies_end = &uploader->copies;
  if (done->segment) ff_slot_release(done->segment, done->slot);
  ff_buffer_release(done->buffer);
  free(done);
  ff_bell_ring(&uploader->arrivals.bell); /* a slot is free: the consumer may post */
}

static void reap(ff_uploader *uploader) {
  ff_cuda_error error;
  while (uploader->copies) {
    int rc = ff_buffer_has_arrived(uploader->copies->buffer, &error);
    if (rc == FF_CU_NOT_READY) return;
    if (rc && !has_failed(uploader)) fail(uploader, &error);
    end_copy(uploader);
  }
}

/* -- the thread: one batch ----------------------------------------------------------------------- */

static bool is_to_be_uploaded(const ff_uploader *uploader, const ff_batch *batch) {
  return batch->result.kind == FF_DATA && !batch->result.spilled &&
         batch->ticket.segment != FF_NO_SEGMENT &&
         batch->sequence >= ff_load_relaxed64(&uploader->skip_below); /* a hint: saves a copy */
}

/* The arrival, and the slot of which the copy is a user from now on. */
static int start_copy(ff_uploader *uploader, const ff_place *from, ff_arrival *arrival, copying *copy,
                      ff_cuda_error *error) {
  const ff_result *result = &arrival->batch.result;
  uint32_t slot = (uint32_t)(arrival->batch.ticket.offset / ff_segment_stride(from->segment));
  const uint8_t *data = ff_slot_data(from->segment, slot);
  ff_buffer *buffer = uploader->in_hand;
  memcpy(arrival->note, data + result->note_offset, result->note_bytes);
  int rc = 0;
  if (!from->pinned)
    rc = ff_bounce_copy(&uploader->bounce, data, result->data_bytes, buffer, uploader->stream,
                        error);
  else if (result->data_bytes)
    rc = FF_CU(uploader->cuda, error, MemcpyHtoDAsync, ff_buffer_pointer(buffer), data,
               result->data_bytes, uploader->stream);
  if (!rc) rc = ff_buffer_written_by(buffer, uploader->stream, error);
  if (rc) return rc;
  uploader->in_hand = NULL;
  arrival->buffer = buffer;
  ff_buffer_retain(buffer);
  *copy = (copying){.buffer = buffer, .segment = from->segment, .slot = slot};
  ff_slot_unbind(from->segment, slot);
  return 0;
}

static void follow(ff_uploader *uploader, copying *copy, bool pinned) {
  *uploader->copies_end = copy;
  uploader->copies_end = &copy->next;
  if (pinned) return;
  ff_slot_release(copy->segment, copy->slot); /* its bytes were read */
  copy->segment = NULL;
  ff_add_relaxed64(&uploader->host_copies, 1);
}

static int upload(ff_uploader *uploader, const ff_place *from, ff_arrival *arrival,
                  ff_cuda_error *error) {
  copying *copy = malloc(sizeof *copy);
  arrival->note = malloc(arrival->batch.result.note_bytes + 1);
  int rc = copy && arrival->note ? start_copy(uploader, from, arrival, copy, error) : -ENOMEM;
  if (rc) {
    free(copy);
    free(arrival->note);
    arrival->note = NULL;
    return rc;
  }
  ff_add_relaxed64(&uploader->uploads, 1);
  ff_add_relaxed64(&uploader->bytes, arrival->batch.result.data_bytes);
  follow(uploader, copy, from->pinned);
  return 0;
}

static void pass_on(ff_uploader *uploader, const ff_batch *batch) {
  ff_arrival arrival = {.batch = *batch};
  ff_cuda_error error = {.code = -ENOMEM, .call = "malloc", .text = "not enough memory"};
  ff_place from = {0};
  if (is_to_be_uploaded(uploader, batch))
    from = ff_places_find(&uploader->places, batch->ticket.segment);
  if (from.segment && upload(uploader, &from, &arrival, &error)) {
    fail(uploader, &error);
    return; /* its slot is still bound, and given back with all others at the end */
  }
  if (batch->result.kind == FF_DATA && batch->result.spilled)
    ff_store_relaxed32(&uploader->spilled, 1);
  ff_arrivals_put(&uploader->arrivals, &arrival);
}

/* -- the thread: when ---------------------------------------------------------------------------- */

/* Have a buffer for the next batch. Before there are slots every batch brings its own memory. */
static bool has_buffer(ff_uploader *uploader) {
  uint64_t needed = ff_load_relaxed64(&uploader->slot_bytes);
  ff_cuda_error error = {.code = -ENOMEM, .call = "calloc", .text = "not enough memory"};
  if (uploader->in_hand && ff_buffer_bytes(uploader->in_hand) < needed) {
    ff_buffer_release(uploader->in_hand);
    uploader->in_hand = NULL;
  }
  if (uploader->in_hand || !needed) return true;
  int rc = ff_pool_take(uploader->pool, needed, uploader->stream, &uploader->in_hand, &error);
  ff_store_relaxed32(&uploader->starved, rc == -EAGAIN);
  if (rc && rc != -EAGAIN) fail(uploader, &error);
  return !rc;
}

/* A spilled batch is uploaded by the consumer, in its place in the order: nothing overtakes it, or
 * the fixed buffers might all be taken by its followers. */
static bool has_room(ff_uploader *uploader) {
  if (has_failed(uploader) || ff_load_relaxed32(&uploader->spilled)) return false;
  if (ff_arrivals_on_device(&uploader->arrivals) >= uploader->plan.waiting) return false;
  return ff_arrivals_have_room(&uploader->arrivals) && has_buffer(uploader);
}

static void sleep_without_room(ff_uploader *uploader) {
  ff_a32 *bell = ff_pool_bell(uploader->pool);
  uint32_t seen = ff_bell_listen(bell);
  if (!has_room(uploader) && !is_stopping(uploader)) ff_park(bell, seen, SECOND);
}

static void wait_for_copy(ff_uploader *uploader) {
  ff_cuda_error error;
  if (ff_buffer_wait(uploader->copies->buffer, &error) && !has_failed(uploader))
    fail(uploader, &error);
}

/* Take a batch; sleep, if there is none and no copy to look after. */
static bool take_batch(ff_uploader *uploader, ff_batch *batch) {
  ff_ring *ring = &uploader->ring;
  if (!ff_ring_take(ring, uploader->plan.ordered, batch)) return true;
  if (uploader->copies) return false;
  if (!ff_ring_take_wait(ring, uploader->plan.ordered, batch, &uploader->stopping, 0, SECOND))
    return true;
  ff_bell_ring(&uploader->arrivals.bell); /* perhaps a worker has died: the consumer replaces it */
  return false;
}

static void one_turn(ff_uploader *uploader) {
  ff_batch batch;
  reap(uploader);
  bool room = has_room(uploader);
  if (room && take_batch(uploader, &batch))
    pass_on(uploader, &batch);
  else if (uploader->copies)
    wait_for_copy(uploader);
  else if (!room)
    sleep_without_room(uploader);
}

static void finish(ff_uploader *uploader) {
  ff_cuda_error ignored;
  while (uploader->copies) {
    ff_buffer_wait(uploader->copies->buffer, &ignored);
    end_copy(uploader);
  }
  if (uploader->in_hand) ff_buffer_release(uploader->in_hand);
  ff_bounce_close(&uploader->bounce, uploader->device);
}

static void *run(void *argument) {
  ff_uploader *uploader = argument;
  ff_cuda_error error;
  int mode = FF_CU_CAPTURE_RELAXED;
  int rc = ff_device_enter(uploader->device, &error);
  /* Or events asked for here would spoil the capture of a graph in another thread. */
  if (!rc) rc = FF_CU(uploader->cuda, &error, ThreadExchangeStreamCaptureMode, &mode);
  if (rc) fail(uploader, &error);
  while (!is_stopping(uploader)) one_turn(uploader);
  finish(uploader);
  ff_device_leave(uploader->device);
  return NULL;
}

/* -- start and end ------------------------------------------------------------------------------- */

static void release(ff_uploader *uploader) {
  ff_cuda_error ignored;
  if (uploader->stream && !ff_device_enter(uploader->device, &ignored)) {
    uploader->cuda->StreamDestroy(uploader->stream);
    ff_device_leave(uploader->device);
  }
  ff_arrivals_close(&uploader->arrivals);
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

int ff_uploader_start(ff_device *device, const ff_ring *ring, ff_upload_plan plan,
                      ff_uploader **result, ff_cuda_error *error) {
  ff_uploader *uploader = aligned_alloc(FF_LINE, sizeof *uploader);
  if (!uploader) return -ENOMEM;
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
  if (!rc) rc = open_stream(uploader, error);
  if (!rc) rc = ff_thread_start(&uploader->thread, run, uploader);
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

/* -- the consumer -------------------------------------------------------------------------------- */

int ff_uploader_use(ff_uploader *uploader, uint32_t number, ff_segment *segment, bool pinned) {
  int rc = ff_places_add(&uploader->places, number, segment, pinned);
  if (rc) return rc;
  ff_store_relaxed64(&uploader->slot_bytes, ff_segment_stride(segment));
  ff_bell_ring(ff_pool_bell(uploader->pool)); /* it may get a buffer before the first batch */
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
  ff_store_relaxed32(&uploader->spilled, 0);
  ff_bell_ring(ff_pool_bell(uploader->pool));
}

int ff_uploader_take(ff_uploader *uploader, ff_arrival *arrival) {
  done_with_spilled(uploader);
  bool failed = has_failed(uploader); /* before the look: what arrived earlier comes first */
  if (!ff_arrivals_take(&uploader->arrivals, arrival)) return failed ? -EIO : -EAGAIN;
  uploader->took_spilled = arrival->batch.result.kind == FF_DATA && arrival->batch.result.spilled;
  ff_bell_ring(ff_pool_bell(uploader->pool));
  return 0;
}

int ff_uploader_take_wait(ff_uploader *uploader, ff_arrival *arrival, const ff_a32 *alarm,
                          uint32_t alarm_seen, int64_t timeout_ns) {
  uint32_t looks = 0;
  int rc;
  do {
    if ((rc = ff_uploader_take(uploader, arrival)) != -EAGAIN) return rc;
  } while (ff_look_again(looks++, uploader->ring.header->spin));
  uint32_t seen = ff_bell_listen(&uploader->arrivals.bell);
  if ((rc = ff_uploader_take(uploader, arrival)) != -EAGAIN) return rc;
  if (alarm && ff_load_acquire32(alarm) != alarm_seen) return -EAGAIN;
  ff_park(&uploader->arrivals.bell, seen, timeout_ns);
  return ff_uploader_take(uploader, arrival);
}

int ff_uploader_send(ff_uploader *uploader, const void *bytes, size_t size, ff_buffer **result,
                     ff_cuda_error *error) {
  uint64_t slot_bytes = ff_load_relaxed64(&uploader->slot_bytes);
  ff_buffer *buffer = NULL;
  int rc = ff_device_enter(uploader->device, error);
  if (rc) return rc;
  rc = ff_pool_take(uploader->pool, size > slot_bytes ? size : slot_bytes, uploader->stream,
                    &buffer, error);
  /* Pageable memory is read before the call returns. */
  if (!rc && size)
    rc = FF_CU(uploader->cuda, error, MemcpyHtoDAsync, ff_buffer_pointer(buffer), bytes, size,
               uploader->stream);
  if (!rc) rc = ff_buffer_written_by(buffer, uploader->stream, error);
  ff_device_leave(uploader->device);
  if (rc) {
    if (buffer) ff_buffer_release(buffer);
    return rc;
  }
  ff_add_relaxed64(&uploader->uploads, 1);
  ff_add_relaxed64(&uploader->bytes, size);
  ff_add_relaxed64(&uploader->host_copies, 1);
  *result = buffer;
  return 0;
}

/* -- looking at it ------------------------------------------------------------------------------- */

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
