#include "ring.h"

#include <errno.h>
#include <string.h>

#include "park.h"
#include "ring_words.h"

#define FF_MAGIC 0x31474e4952464646ull /* "FFFRING1" */

static void place(ff_ring *ring, void *memory, uint32_t n_workers) {
  ring->header = memory;
  ring->workers = (ff_worker *)(ring->header + 1);
  ring->entries = (ff_entry *)(ring->workers + n_workers);
}

size_t ff_ring_bytes(uint32_t n_entries, uint32_t n_workers) {
  bool power_of_two = n_entries && !(n_entries & (n_entries - 1));
  if (!power_of_two || n_entries > FF_MAX_ENTRIES || !n_workers || n_workers > FF_MAX_WORKERS)
    return 0;
  return sizeof(ff_header) + n_workers * sizeof(ff_worker) + n_entries * sizeof(ff_entry);
}

int ff_ring_init(ff_ring *ring, void *memory, uint32_t n_entries, uint32_t n_workers,
                 uint32_t spin) {
  size_t bytes = ff_ring_bytes(n_entries, n_workers);
  if (!bytes) return -EINVAL;
  memset(memory, 0, bytes);
  place(ring, memory, n_workers);
  ring->header->abi = FF_ABI;
  ring->header->n_entries = n_entries;
  ring->header->n_workers = n_workers;
  ring->header->spin = spin;
  ring->header->magic = FF_MAGIC;
  ff_store_relaxed32(&ring->header->running, 1);
  return 0;
}

int ff_ring_attach(ff_ring *ring, void *memory, size_t bytes) {
  const ff_header *header = memory;
  if (bytes < sizeof *header || header->magic != FF_MAGIC || header->abi != FF_ABI) return -EPROTO;
  size_t needed = ff_ring_bytes(header->n_entries, header->n_workers);
  if (!needed || bytes < needed) return -EPROTO;
  place(ring, memory, header->n_workers);
  return 0;
}

ff_worker_now ff_ring_look(const ff_ring *ring, uint32_t number) {
  const ff_worker *worker = &ring->workers[number];
  return (ff_worker_now){.pid = ff_load_relaxed32(&worker->pid),
                         .making_since_ns = ff_load_relaxed64(&worker->making_since_ns),
                         .index = ff_load_relaxed64(&worker->index),
                         .epoch = ff_load_relaxed64(&worker->epoch),
                         .busy_ns = ff_load_relaxed64(&worker->busy_ns),
                         .batches = ff_load_relaxed64(&worker->batches),
                         .bytes = ff_load_relaxed64(&worker->bytes)};
}

/* -- the end ------------------------------------------------------------------------------- */

/* For changes that concern everybody: no look at the sleepers' count, which kills make wrong. */
static void wake_all_workers(ff_ring *ring) {
  ff_add_seq32(&ring->header->work, 1);
  ff_unpark_all(&ring->header->work);
}

void ff_ring_stop_worker(ff_ring *ring, uint32_t worker) {
  ff_store_release32(&ring->workers[worker].stop, 1); /* SYNC stop: release */
  wake_all_workers(ring);
}

void ff_ring_stop(ff_ring *ring) {
  ff_store_release32(&ring->header->running, 0); /* SYNC running: release */
  wake_all_workers(ring);
}

void ff_ring_reset_worker(ff_ring *ring, uint32_t worker) {
  ff_store_relaxed32(&ring->workers[worker].stop, 0); /* nobody has this number now */
}

void ff_ring_wake_taker(ff_ring *ring) {
  ff_add_seq32(&ring->header->ready, ONE_PUBLICATION);
  ff_unpark_all(&ring->header->ready);
}

/* -- repair -------------------------------------------------------------------------------- */

static void reopen_or_give_up(ff_entry *entry, uint64_t word, uint32_t max_retries) {
  uint64_t sequence = word_sequence(word);
  uint32_t attempt = word_attempt(word);
  if (attempt >= max_retries || attempt == FF_MAX_ATTEMPTS) {
    entry->result = (ff_result){.kind = FF_CRASHED};
    /* As publish: the taker reads the result. */
    ff_store_release64(&entry->word, make_word(sequence, attempt, word_owner(word), READY));
  } else {
    /* As post: what the dead has written into the slot comes before what is written next. */
    ff_store_release64(&entry->word, make_word(sequence, attempt + 1, entry->addressee, OPEN));
  }
}

uint32_t ff_ring_reclaim(ff_ring *ring, uint32_t worker, uint32_t max_retries) {
  uint32_t held = 0;
  for (uint32_t i = 0; i < ring->header->n_entries; i++) {
    ff_entry *entry = &ring->entries[i];
    uint64_t word = ff_load_acquire64(&entry->word);
    if (word_state(word) != FILLING || word_owner(word) != worker + 1) continue;
    reopen_or_give_up(entry, word, max_retries);
    held++;
  }
  ff_store_relaxed32(&ring->workers[worker].pid, 0);
  ff_store_relaxed64(&ring->workers[worker].making_since_ns, 0);
  ff_store_relaxed64(&ring->workers[worker].made_ns, 0);
  wake_all_workers(ring);
  /* The dead may have published without notifying, or taken the parent's bit without waking it. */
  ff_ring_wake_taker(ring);
  return held;
}
