#include "ring.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fault.h"
#include "park.h"

enum state { EMPTY, OPEN, FILLING, READY };

#define FF_MAGIC 0x31474e4952464646ull /* "FFFRING1" */
#define PARENT_SLEEPS 1u
#define ONE_PUBLICATION 2u

static uint64_t make_word(uint64_t sequence, uint32_t attempt, uint32_t owner_plus_1,
                          enum state state) {
  return sequence << 24 | (uint64_t)attempt << 16 | (uint64_t)owner_plus_1 << 4 | state;
}
/* The low 40 bits: head and tail count on where this wraps. */
static uint64_t word_sequence(uint64_t word) { return word >> 24; }
static bool same_ticket(uint64_t word, uint64_t sequence) {
  return word_sequence(word) == word_sequence(sequence << 24);
}
static uint32_t word_attempt(uint64_t word) { return word >> 16 & 0xff; }
static uint32_t word_owner(uint64_t word) { return word >> 4 & 0xfff; }
static enum state word_state(uint64_t word) { return (enum state)(word & 0xf); }

static ff_entry *entry_at(const ff_ring *ring, uint64_t sequence) {
  return &ring->entries[sequence & (ring->header->n_entries - 1)];
}

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

/* -- waking -------------------------------------------------------------------------------- */

/* Workers load `work`, look for a ticket, count themselves as sleepers and sleep if `work` is
 * still the same. Here: change `work`, then read the sleepers. All four are sequentially
 * consistent, so one of the two sides sees the other. With less, both could miss: the ticket is
 * posted, nobody is awake, and the parent waits for ever. */
static void wake_workers(ff_ring *ring, int how_many) {
  ff_add_seq32(&ring->header->work, 1); /* SYNC work: release */
  if (ff_load_seq32(&ring->header->sleepers)) ff_unpark(&ring->header->work, how_many);
}

/* For changes that concern everybody: no look at the sleepers' count, which kills make wrong. */
static void wake_all_workers(ff_ring *ring) {
  ff_add_seq32(&ring->header->work, 1);
  ff_unpark_all(&ring->header->work);
}

/* All operations on `ready` are read-modify-writes in one order. Either this one sees the parent's
 * bit and wakes it, or the parent's came later and its futex call finds the word changed. */
static void notify_parent(ff_ring *ring) {
  uint32_t before = ff_notify_add32(&ring->header->ready, ONE_PUBLICATION);
  if (!(before & PARENT_SLEEPS)) return;
  ff_and_seq32(&ring->header->ready, ~PARENT_SLEEPS);
  FF_FAULT(FF_BEFORE_WAKE);
  ff_unpark(&ring->header->ready, 1);
}

/* -- the parent ---------------------------------------------------------------------------- */

static int post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence) {
  uint64_t tail = ff_load_relaxed64(&ring->header->tail); /* only the parent writes it */
  ff_entry *entry = entry_at(ring, tail);
  /* SYNC empty: acquire. Whoever took the ticket that was here has read it. */
  if (word_state(ff_load_acquire64(&entry->word)) != EMPTY) return -EAGAIN;
  entry->ticket = *ticket;
  entry->addressee = worker == FF_ANY_WORKER ? 0 : worker + 1;
  /* SYNC post: release. Without it a worker could claim the entry and read the previous ticket,
   * so write into a slot that now belongs to somebody else. */
  ff_store_release64(&entry->word, make_word(tail, 0, entry->addressee, OPEN));
  ff_store_relaxed64(&ring->header->tail, tail + 1); /* a hint: `work` below orders the look */
  *sequence = tail;
  return 0;
}

int ff_ring_post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence) {
  int rc = post(ring, ticket, worker, sequence);
  if (!rc) wake_workers(ring, worker == FF_ANY_WORKER ? 1 : INT_MAX);
  return rc;
}

/* Is there a ticket in one of these states? `states` has bit 1 << state for each. */
static bool has_any(const ff_ring *ring, uint32_t states) {
  uint64_t tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s != tail; s++)
    if (states >> word_state(ff_load_relaxed64(&entry_at(ring, s)->word)) & 1) return true;
  return false;
}

static bool is_ready(const ff_ring *ring, uint64_t sequence, uint64_t *word) {
  /* SYNC publish: acquire. Without it the parent could read the slot before its bytes arrive. */
  *word = ff_load_acquire64(&entry_at(ring, sequence)->word);
  return word_state(*word) == READY && same_ticket(*word, sequence);
}

/* The batch whose turn it is: the taker comes for it, whatever the others wait for. */
static bool next_is_ready(const ff_ring *ring) {
  uint64_t word;
  return is_ready(ring, ff_load_relaxed64(&ring->header->head), &word);
}

/* This thread: OPEN, `work`, a look for READY. The taker: EMPTY, `work`, a look for OPEN. Whose
 * change of `work` comes second sees what the other did before: either the ticket is seen there,
 * or here that the taker has nothing left to come back for. */
int ff_ring_post_quietly(ff_ring *ring, const ff_ticket *ticket, uint32_t worker,
                         uint64_t *sequence) {
  int rc = post(ring, ticket, worker, sequence);
  if (rc) return rc;
  ff_add_seq32(&ring->header->work, 1);
  if (!next_is_ready(ring)) wake_workers(ring, worker == FF_ANY_WORKER ? 1 : INT_MAX);
  return 0;
}

void ff_ring_wake_idle(ff_ring *ring) {
  ff_add_seq32(&ring->header->work, 0); /* no change, but in the order of all changes: see above */
  if (ff_load_seq32(&ring->header->sleepers) && has_any(ring, 1u << OPEN))
    ff_unpark_all(&ring->header->work);
}

/* Unordered: tickets above head may be gone already, so head moves over everything that is. */
static void advance_head(ff_ring *ring, uint64_t head, uint64_t tail) {
  while (head != tail && word_state(ff_load_relaxed64(&entry_at(ring, head)->word)) == EMPTY)
    head++;
  ff_store_relaxed64(&ring->header->head, head); /* a hint for workers; the parent owns it */
}

int ff_ring_take(ff_ring *ring, bool ordered, ff_batch *batch) {
  uint64_t head = ff_load_relaxed64(&ring->header->head);
  uint64_t tail = ff_load_relaxed64(&ring->header->tail);
  uint64_t word = 0, sequence = head;
  while (sequence != tail && !is_ready(ring, sequence, &word) && !ordered) sequence++;
  if (sequence == tail || word_state(word) != READY) return -EAGAIN;
  ff_entry *entry = entry_at(ring, sequence);
  batch->ticket = entry->ticket;
  batch->result = entry->result;
  batch->sequence = sequence;
  batch->worker = word_owner(word) - 1; /* FF_NO_WORKER where the owner was nobody */
  batch->attempt = word_attempt(word);
  /* SYNC empty: release. Another thread of the parent may post, and overwrite what is read above. */
  ff_store_release64(&entry->word, make_word(sequence, 0, 0, EMPTY));
  advance_head(ring, head, tail);
  return 0;
}

int ff_ring_take_wait(ff_ring *ring, bool ordered, ff_batch *batch, const ff_a32 *alarm,
                      uint32_t alarm_seen, int64_t timeout_ns) {
  uint32_t looks = 0;
  do {
    if (!ff_ring_take(ring, ordered, batch)) return 0;
  } while (ff_look_again(looks++, ring->header->spin));
  /* Announce the sleep first, look again, and only then sleep: see notify_parent(). */
  uint32_t seen = ff_or_seq32(&ring->header->ready, PARENT_SLEEPS) | PARENT_SLEEPS;
  if (!ff_ring_take(ring, ordered, batch)) return 0;
  if (alarm && ff_load_acquire32(alarm) != alarm_seen) return -EAGAIN; /* SYNC death: acquire */
  ff_park(&ring->header->ready, seen, timeout_ns);
  return ff_ring_take(ring, ordered, batch);
}

uint32_t ff_ring_cancel(ff_ring *ring) {
  uint32_t cancelled = 0;
  uint64_t tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s != tail; s++) {
    ff_entry *entry = entry_at(ring, s);
    uint64_t word = ff_load_relaxed64(&entry->word);
    if (word_state(word) != OPEN) continue;
    uint64_t held = make_word(s, word_attempt(word), 0, FILLING); /* by the parent: no owner */
    if (!ff_swap_if_acquire64(&entry->word, word, held)) continue; /* claimed meanwhile */
    entry->result = (ff_result){.kind = FF_CANCELLED};
    ff_store_release64(&entry->word, make_word(s, word_attempt(word), 0, READY));
    cancelled++;
  }
  if (cancelled) ff_ring_wake_taker(ring); /* another thread may sleep until there is one */
  return cancelled;
}

uint32_t ff_ring_ready(const ff_ring *ring) {
  uint32_t ready = 0;
  uint64_t tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s != tail; s++)
    ready += word_state(ff_load_relaxed64(&entry_at(ring, s)->word)) == READY;
  return ready;
}

bool ff_ring_is_making(const ff_ring *ring) {
  return has_any(ring, 1u << OPEN | 1u << FILLING);
}

uint64_t ff_ring_first_made_ns(const ff_ring *ring, uint64_t none) {
  uint64_t word, first = none, tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s != tail; s++) {
    /* Nobody writes to what is ready, or was a moment ago, until the caller posts. */
    if (!is_ready(ring, s, &word)) continue;
    uint64_t made_ns = entry_at(ring, s)->result.made_ns;
    if (made_ns && made_ns < first) first = made_ns;
  }
  return first;
}

uint64_t ff_ring_outstanding(const ff_ring *ring) {
  uint64_t count = 0, tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s != tail; s++)
    count += word_state(ff_load_relaxed64(&entry_at(ring, s)->word)) != EMPTY;
  return count;
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
    ff_store_release64(&entry->word, make_word(sequence, attempt, word_owner(word), READY));
  } else {
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

/* -- a worker ------------------------------------------------------------------------------ */

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

static void note_end(ff_worker *worker, const ff_result *made) {
  ff_store_relaxed64(&worker->making_since_ns, 0);
  ff_store_relaxed64(&worker->made_ns, made->made_ns);
  add(&worker->busy_ns, made->made_ns - made->started_ns);
  add(&worker->batches, made->kind == FF_DATA);
  add(&worker->bytes, made->data_bytes);
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
  note_end(&ring->workers[word_owner(claim->word) - 1], &made);
  notify_parent(ring);
  return 0;
}
