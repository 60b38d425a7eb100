/* A worker's side of the ring: claiming and publishing. */
#include <errno.h>
#include <unistd.h>

#include "fault.h"
#include "park.h"
#include "ring_words.h"

/* All operations on `ready` are read-modify-writes in one order. Either this one sees the parent's
 * bit and wakes it, or the parent's came later and its futex call finds the word changed. */
static void notify_parent(ff_ring *ring) {
  uint32_t before = ff_notify_add32(&ring->header->ready, ONE_PUBLICATION);
  if (!(before & PARENT_SLEEPS)) return;
  ff_and_seq32(&ring->header->ready, ~PARENT_SLEEPS);
  FF_FAULT(FF_BEFORE_WAKE);
  ff_unpark(&ring->header->ready, 1);
}

static bool try_claim(ff_ring *ring, uint32_t worker, ff_claim *claim) {
  uint64_t tail = ff_load_relaxed64(&ring->header->tail);
  uint64_t sequence = ff_load_relaxed64(&ring->header->head);
  for (; sequence < tail; sequence++) {
    ff_entry *entry = entry_at(ring, sequence);
    uint64_t word = ff_load_relaxed64(&entry->word); /* only a guess until the swap succeeds */
    uint32_t addressee = word_owner(word);
    if (word_state(word) != OPEN || (addressee && addressee != worker + 1)) continue;
    claim->sequence = word_sequence(word);
    claim->attempt = word_attempt(word);
    claim->word = make_word(claim->sequence, claim->attempt, worker + 1, FILLING);
    /* SYNC post: acquire. From here on this worker is named in the word as the owner. */
    if (!ff_swap_if_acquire64(&entry->word, word, claim->word)) continue;
    claim->ticket = entry->ticket;
    return true;
  }
  return false;
}

/* Nothing is ordered here: who looks at a worker may see it a little mixed. Who found a ticket at
 * once began with it when it was done with the last one, or when it was posted since: that saves a
 * look at the clock. */
static void note_start(ff_worker *worker, ff_claim *claim, bool at_once) {
  uint64_t made_ns = ff_load_relaxed64(&worker->made_ns), posted_ns = claim->ticket.posted_ns;
  if (at_once && made_ns)
    claim->started_ns = made_ns > posted_ns ? made_ns : posted_ns;
  else
    claim->started_ns = ff_now_ns();
  ff_store_relaxed64(&worker->index, claim->ticket.index);
  ff_store_relaxed64(&worker->epoch, claim->ticket.epoch);
  ff_store_relaxed64(&worker->making_since_ns, claim->started_ns);
}

static void add(ff_a64 *total, uint64_t amount) {
  ff_store_relaxed64(total, ff_load_relaxed64(total) + amount);
}

/* Of what it made: with several parts all say how large the batch is. */
static uint64_t own_bytes(const ff_ticket *ticket, const ff_result *made) {
  if (ticket->parts == 1 || !ticket->batch_rows) return made->data_bytes;
  return made->data_bytes / ticket->batch_rows * ticket->rows;
}

static void note_end(ff_worker *worker, const ff_ticket *ticket, const ff_result *made) {
  ff_store_relaxed64(&worker->making_since_ns, 0);
  ff_store_relaxed64(&worker->made_ns, made->made_ns);
  add(&worker->busy_ns, made->made_ns - made->started_ns);
  add(&worker->batches, made->kind == FF_DATA);
  add(&worker->bytes, own_bytes(ticket, made));
}

static bool may_run(const ff_ring *ring, uint32_t worker) {
  return ff_load_acquire32(&ring->header->running)           /* SYNC running: acquire */
         && !ff_load_acquire32(&ring->workers[worker].stop); /* SYNC stop: acquire */
}

int ff_ring_claim(ff_ring *ring, uint32_t worker, int64_t timeout_ns, ff_claim *claim) {
  ff_worker *self = &ring->workers[worker];
  if (!ff_load_relaxed32(&self->pid)) ff_store_relaxed32(&self->pid, (uint32_t)getpid());
  for (uint32_t looks = 0;; looks++) {
    /* `work` is loaded BEFORE `running` and the tickets. The other way round, a stop between the
     * two loads is missed and the worker sleeps through the shutdown. */
    uint32_t seen = ff_load_seq32(&ring->header->work); /* SYNC work: acquire */
    if (!may_run(ring, worker)) return -ESHUTDOWN;
    FF_FAULT(FF_BEFORE_CLAIM);
    if (try_claim(ring, worker, claim)) {
      note_start(self, claim, !looks);
      FF_FAULT(FF_AFTER_CLAIM);
      return 0;
    }
    if (ff_look_again(looks, ring->header->spin)) continue;
    ff_add_seq32(&ring->header->sleepers, 1);
    FF_FAULT(FF_BEFORE_SLEEP);
    int rc = ff_park(&ring->header->work, seen, timeout_ns);
    FF_FAULT(FF_AFTER_SLEEP);
    ff_sub_seq32(&ring->header->sleepers, 1);
    if (rc) return rc;
  }
}

int ff_ring_publish(ff_ring *ring, const ff_claim *claim, const ff_result *result) {
  ff_entry *entry = entry_at(ring, claim->sequence);
  ff_result made = *result;
  made.started_ns = claim->started_ns;
  made.made_ns = ff_now_ns();
  entry->result = made;
  uint64_t ready = (claim->word & ~(uint64_t)0xf) | READY;
  FF_FAULT(FF_BEFORE_PUBLISH);
  /* SYNC publish: release. Everything written into the slot comes before this. */
  if (!ff_publish_if64(&entry->word, claim->word, ready)) return -ECANCELED;
  FF_FAULT(FF_AFTER_PUBLISH);
  note_end(&ring->workers[word_owner(claim->word) - 1], &claim->ticket, &made);
  notify_parent(ring);
  return 0;
}
