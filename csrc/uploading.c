#include "uploading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "park.h"

/* A sleep's end; nothing depends on it. Tests set an hour: a wake-up that is lost hangs there. */
#ifndef FF_LONGEST_SLEEP_NS
#define FF_LONGEST_SLEEP_NS 1000000000
#endif
#define SHORTEST_NAP 50000

static void fail(ff_uploader *uploader, const ff_cuda_error *error) {
  pthread_mutex_lock(&uploader->lock);
  uploader->error = *error;
  pthread_mutex_unlock(&uploader->lock);
  ff_store_release32(&uploader->failed, 1); /* SYNC failed: release */
  ff_bell_ring(&uploader->arrivals.bell);
}

static bool is_stopping(const ff_uploader *uploader) {
  return ff_load_acquire32(&uploader->stopping); /* SYNC stopping: acquire */
}

/* This thread's own doing: nothing to be ordered. */
static bool has_failed(const ff_uploader *uploader) {
  return ff_load_relaxed32(&uploader->failed);
}

/* -- copies that are done -------------------------------------------------------------------- */

static void end_copy(ff_uploader *uploader) {
  ff_copying *done = uploader->copies;
  uploader->copies = done->next;
  if (!uploader->copies) uploader->copies_end = &uploader->copies;
  if (done->segment) ff_slot_release(done->segment, done->slot);
  if (uploader->plan.journal)
    ff_journal_uploaded(uploader->plan.journal, done->sequence, ff_now_ns());
  ff_buffer_release(done->buffer);
  free(done);
  ff_bell_ring(&uploader->arrivals.bell); /* a slot is free: the consumer may post */
}

static void reap(ff_uploader *uploader) {
  ff_cuda_error error;
  while (uploader->copies) {
    int rc = ff_buffer_has_arrived(uploader->copies->buffer, &error);
    if (rc && rc != FF_CU_NOT_READY) fail(uploader, &error);
    if (rc) return;
    end_copy(uploader);
  }
}

static void wait_for_copy(ff_uploader *uploader) {
  ff_cuda_error error;
  if (ff_buffer_wait(uploader->copies->buffer, &error)) fail(uploader, &error);
}

/* -- one batch ------------------------------------------------------------------------------- */

static bool is_to_be_uploaded(const ff_uploader *uploader, const ff_batch *batch) {
  return batch->result.kind == FF_DATA && !batch->result.spilled && batch->ticket.parts == 1 &&
         batch->ticket.segment != FF_NO_SEGMENT &&
         batch->sequence >= ff_load_relaxed64(&uploader->skip_below); /* a hint: saves a copy */
}

static int copy_bytes(ff_uploader *uploader, bool pinned, const void *from, size_t bytes,
                      ff_cuda_error *error) {
  ff_cu_pointer to = ff_buffer_pointer(uploader->in_hand);
  if (!bytes) return 0;
  if (pinned)
    return FF_CU(uploader->cuda, error, MemcpyHtoDAsync, to, from, bytes, uploader->stream);
  return ff_bounce_copy(&uploader->bounce, uploader->cuda, to, from, bytes, uploader->stream,
                        error);
}

/* The arrival, and the slot of which the copy is a user from now on. */
static int start_copy(ff_uploader *uploader, const ff_place *from, ff_arrival *arrival,
                      ff_copying *copy, ff_cuda_error *error) {
  const ff_result *result = &arrival->batch.result;
  uint32_t slot = (uint32_t)(arrival->batch.ticket.offset / ff_segment_stride(from->segment));
  const uint8_t *data = ff_slot_data(from->segment, slot);
  memcpy(arrival->note, data + result->data_bytes, result->note_bytes);
  arrival->upload_ns = ff_now_ns();
  int rc = copy_bytes(uploader, from->pinned, data, result->data_bytes, error);
  if (!rc) rc = ff_buffer_written_by(uploader->in_hand, uploader->stream, error);
  if (rc) return rc;
  arrival->buffer = uploader->in_hand;
  uploader->in_hand = NULL;
  ff_buffer_retain(arrival->buffer);
  *copy = (ff_copying){.buffer = arrival->buffer,
                       .segment = from->segment,
                       .sequence = arrival->batch.sequence,
                       .slot = slot};
  ff_slot_unbind(from->segment, slot);
  return 0;
}

static void follow(ff_uploader *uploader, ff_copying *copy, bool pinned) {
  *uploader->copies_end = copy;
  uploader->copies_end = &copy->next;
  if (pinned) return;
  ff_slot_release(copy->segment, copy->slot); /* its bytes were read */
  copy->segment = NULL;
  ff_add_relaxed64(&uploader->host_copies, 1);
}

static int upload(ff_uploader *uploader, const ff_place *from, ff_arrival *arrival,
                  ff_cuda_error *error) {
  ff_copying *copy = malloc(sizeof *copy);
  arrival->note = malloc(arrival->batch.result.note_bytes + 1);
  int rc = copy && arrival->note ? start_copy(uploader, from, arrival, copy, error)
                                 : ff_cuda_own_error(-ENOMEM, "malloc", NULL, error);
  if (rc) {
    free(copy);
    free(arrival->note);
    return rc;
  }
  ff_add_relaxed64(&uploader->uploads, 1);
  ff_add_relaxed64(&uploader->bytes, arrival->batch.result.data_bytes);
  follow(uploader, copy, from->pinned);
  return 0;
}

/* The buffer was taken before the batch, and slots may have become larger between the two. */
static bool is_late(ff_uploader *uploader, const ff_place *from, const ff_batch *batch) {
  uint64_t needed = ff_segment_stride(from->segment);
  if (uploader->in_hand && ff_buffer_bytes(uploader->in_hand) >= needed) return false;
  uploader->late = *batch;
  uploader->late_bytes = needed;
  return true;
}

/* The ring's `ready` as it is while this thread sleeps, unless something has happened since. */
static uint32_t news_of(const ff_ring *ring) { return ff_load_seq32(&ring->header->ready) | 1; }

static void pass_on(ff_uploader *uploader, const ff_batch *batch) {
  ff_arrival arrival = {.batch = *batch};
  ff_cuda_error error;
  ff_place from = {0};
  if (is_to_be_uploaded(uploader, batch))
    from = ff_places_find(&uploader->places, batch->ticket.segment);
  if (from.segment && is_late(uploader, &from, batch)) return;
  if (from.segment && upload(uploader, &from, &arrival, &error)) {
    fail(uploader, &error);
    return; /* its slot is still bound, and given back with all others at the end */
  }
  if (batch->result.kind == FF_DATA && batch->result.spilled)
    ff_store_relaxed32(&uploader->spilled, 1); /* `arrival` orders it before the consumer's 0 */
  uploader->told = news_of(&uploader->ring); /* for what happens later it is woken again */
  ff_arrivals_put(&uploader->arrivals, &arrival);
}

/* -- when ------------------------------------------------------------------------------------ */

static void set_starved(ff_uploader *uploader, bool starved) {
  if (ff_load_relaxed32(&uploader->starved) == starved) return;
  ff_store_relaxed32(&uploader->starved, starved);
  if (starved) ff_bell_ring(&uploader->arrivals.bell);
}

/* Have a buffer for the next batch. Before there are slots every batch brings its own memory. */
static bool has_buffer(ff_uploader *uploader) {
  uint64_t needed = uploader->late_bytes;
  ff_cuda_error error;
  if (!needed) needed = ff_load_relaxed64(&uploader->slot_bytes);
  if (uploader->in_hand && ff_buffer_bytes(uploader->in_hand) < needed) {
    ff_buffer_release(uploader->in_hand);
    uploader->in_hand = NULL;
  }
  if (uploader->in_hand || !needed) return true;
  int rc = ff_pool_take(uploader->pool, needed, uploader->stream, &uploader->in_hand, &error);
  if (rc && rc != -EAGAIN) fail(uploader, &error);
  set_starved(uploader, rc == -EAGAIN);
  return !rc;
}

/* A spilled batch is uploaded by the consumer, in its place in the order: nothing overtakes it, or
 * the fixed buffers might all be taken by its followers. */
static bool has_room(ff_uploader *uploader) {
  /* SYNC spilled: acquire. The consumer has taken what was in hand, or left it. */
  if (ff_load_acquire32(&uploader->spilled)) return false;
  if (ff_arrivals_on_device(&uploader->arrivals) >= uploader->plan.waiting) return false;
  return ff_arrivals_have_room(&uploader->arrivals) && has_buffer(uploader);
}

/* To be woken would cost the training thread a system call for each batch. So this thread comes by
 * itself, after ever longer naps: it is late by no more than it has waited already, which is about
 * a step, and that long the batches suffice that wait on the device. With the last of them the
 * consumer rings. */
static void sleep_without_room(ff_uploader *uploader) {
  ff_a32 *bell = ff_pool_bell(uploader->pool);
  uint32_t seen = ff_bell_listen(bell);
  if (has_room(uploader) || has_failed(uploader) || is_stopping(uploader)) return;
  ff_park(bell, seen, uploader->nap_ns);
  int64_t longer = 2 * uploader->nap_ns;
  uploader->nap_ns = longer < FF_LONGEST_SLEEP_NS ? longer : FF_LONGEST_SLEEP_NS;
  ff_bell_ring(&uploader->arrivals.bell); /* still starved, perhaps, or a worker has died */
}

/* Whatever else rings at the ring (a death, a batch that is not the next) concerns the consumer. */
static void tell_consumer(ff_uploader *uploader, uint32_t news) {
  if (news == uploader->told) return;
  uploader->told = news;
  ff_bell_ring(&uploader->arrivals.bell);
}

/* Take a batch; sleep, if there is none and no copy to look after. */
static bool take_batch(ff_uploader *uploader, ff_batch *batch) {
  ff_ring *ring = &uploader->ring;
  bool ordered = uploader->plan.ordered;
  if (uploader->late_bytes) {
    *batch = uploader->late;
    uploader->late_bytes = 0;
    return true;
  }
  uint32_t news = news_of(ring);
  if (!ff_ring_take(ring, ordered, batch)) return true;
  if (uploader->copies) return false;
  tell_consumer(uploader, news);
  if (is_stopping(uploader)) return false;
  return !ff_ring_take_wait(ring, ordered, batch, &ring->header->ready, news,
                            FF_LONGEST_SLEEP_NS);
}

static void one_turn(ff_uploader *uploader) {
  ff_batch batch;
  reap(uploader);
  ff_ring_wake_idle(&uploader->ring);
  bool room = !has_failed(uploader) && has_room(uploader);
  if (has_failed(uploader)) return;
  if (room) uploader->nap_ns = SHORTEST_NAP;
  if (room && take_batch(uploader, &batch))
    pass_on(uploader, &batch);
  else if (uploader->copies)
    wait_for_copy(uploader);
  else if (!room)
    sleep_without_room(uploader);
}

/* -- the thread ------------------------------------------------------------------------------ */

/* A copy that nobody follows may be on its way too, where the call after it has failed. What is in
 * hand may be the consumer's: ff_uploader_stop() sees to it. */
static void finish(ff_uploader *uploader) {
  uploader->cuda->StreamSynchronize(uploader->stream);
  while (uploader->copies) end_copy(uploader);
  ff_bounce_close(&uploader->bounce, uploader->cuda);
}

static void work(ff_uploader *uploader) {
  ff_cuda_error error;
  int mode = FF_CU_CAPTURE_RELAXED;
  /* Or events asked for here would spoil the capture of a graph in another thread. */
  if (FF_CU(uploader->cuda, &error, ThreadExchangeStreamCaptureMode, &mode))
    fail(uploader, &error);
  uploader->nap_ns = SHORTEST_NAP;
  while (!is_stopping(uploader) && !has_failed(uploader)) one_turn(uploader);
  finish(uploader);
}

void *ff_uploading_run(void *argument) {
  ff_uploader *uploader = argument;
  ff_cuda_error error;
  if (ff_device_enter(uploader->device, &error)) {
    fail(uploader, &error);
    return NULL;
  }
  work(uploader);
  ff_device_leave(uploader->device);
  return NULL;
}
