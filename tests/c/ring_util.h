/* A small ring in ordinary memory, and steps on it that must succeed. For one-thread tests. */
#ifndef FASTFEED_RING_UTIL_H
#define FASTFEED_RING_UTIL_H

#include <errno.h>
#include <string.h>

#include "check.h"
#include "park.h"
#include "ring.h"

#define NOW 0 /* a time-out: do not sleep */

static inline ff_ring make_ring(uint32_t n_entries, uint32_t n_workers) {
  ff_ring ring;
  size_t bytes = ff_ring_bytes(n_entries, n_workers);
  void *memory = bytes ? aligned_alloc(FF_LINE, bytes) : NULL;
  REQUIRE(memory);
  REQUIRE(ff_ring_init(&ring, memory, n_entries, n_workers, 0) == 0);
  return ring;
}

static inline void free_ring(ff_ring *ring) { free(ring->header); }

static inline uint64_t post_for(ff_ring *ring, uint64_t index, uint32_t worker) {
  uint64_t sequence = UINT64_MAX;
  ff_ticket ticket = {
      .index = index, .epoch = 3, .segment = 1, .offset = index * 64, .capacity = 64};
  REQUIRE(ff_ring_post(ring, &ticket, worker, &sequence) == 0);
  return sequence;
}

static inline uint64_t post(ff_ring *ring, uint64_t index) {
  return post_for(ring, index, FF_ANY_WORKER);
}

static inline ff_claim claim(ff_ring *ring, uint32_t worker) {
  ff_claim claimed;
  REQUIRE(ff_ring_claim(ring, worker, NOW, &claimed) == 0);
  return claimed;
}

static inline bool nothing_to_claim(ff_ring *ring, uint32_t worker) {
  ff_claim claimed;
  return ff_ring_claim(ring, worker, NOW, &claimed) == -ETIMEDOUT;
}

/* The result tells which claim it was made under. */
static inline void publish(ff_ring *ring, const ff_claim *claimed) {
  ff_result result = {.kind = FF_DATA, .data_bytes = claimed->ticket.index + 1000,
                      .layout = 7, .note_bytes = 8};
  REQUIRE(ff_ring_publish(ring, claimed, &result) == 0);
}

static inline void make_next(ff_ring *ring, uint32_t worker) {
  ff_claim claimed = claim(ring, worker);
  publish(ring, &claimed);
}

static inline ff_batch take(ff_ring *ring, bool ordered) {
  ff_batch batch;
  REQUIRE(ff_ring_take(ring, ordered, &batch) == 0);
  return batch;
}

static inline bool nothing_to_take(ff_ring *ring, bool ordered) {
  ff_batch batch;
  return ff_ring_take(ring, ordered, &batch) == -EAGAIN;
}

/* Lets the next ticket have number `sequence`. Only for a ring on which nothing was posted. */
static inline void start_at(ff_ring *ring, uint64_t sequence) {
  ff_store_relaxed64(&ring->header->head, sequence);
  ff_store_relaxed64(&ring->header->tail, sequence);
}

#endif
