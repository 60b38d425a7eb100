/* The parent's side of the ring: posting, taking, counting. */
#include <errno.h>

#include "fault.h"
#include "park.h"
#include "ring_words.h"

/* -- posting ------------------------------------------------------------------------------- */

/* Workers load `work`, look for a ticket, count themselves as sleepers and sleep if `work` is
 * still the same. Here: change `work`, then read the sleepers. All four are sequentially
 * consistent, so one of the two sides sees the other. With less, both could miss: the ticket is
 * posted, nobody is awake, and the parent waits for ever. */
static void wake_workers(ff_ring *ring, int how_many) {
  ff_add_seq32(&ring->header->work, 1); /* SYNC work: release */
  if (ff_load_seq32(&ring->header->sleepers)) ff_unpark(&ring->header->work, how_many);
}

/* The rows of a batch that come before a part. */
static uint32_t rows_before(const ff_ticket *batch, uint32_t part) {
  return (uint32_t)((uint64_t)batch->rows * part / batch->parts);
}

static void open_part(ff_ring *ring, uint64_t sequence, const ff_ticket *batch, uint32_t part,
                      uint32_t addressee) {
  ff_entry *entry = entry_at(ring, sequence);
  uint32_t first = rows_before(batch, part);
  entry->ticket = *batch;
  entry->ticket.part = (uint16_t)part;
  entry->ticket.position += first;
  entry->ticket.first_row += first;
  entry->ticket.rows = rows_before(batch, part + 1) - first;
  entry->addressee = addressee;
  ff_store_relaxed32(&entry->group, part | (uint32_t)batch->parts << 16);
  /* SYNC post: release. Without it a worker could claim the entry and read the previous ticket,
   * so write into a slot that now belongs to somebody else. */
  ff_store_release64(&entry->word, make_word(sequence, 0, addressee, OPEN));
}

static bool have_room(const ff_ring *ring, uint64_t tail, uint32_t parts) {
  for (uint32_t part = 0; part < parts; part++)
    /* SYNC empty: acquire. Whoever took the ticket that was here has read it. */
    if (word_state(ff_load_acquire64(&entry_at(ring, tail + part)->word)) != EMPTY) return false;
  return true;
}

static int post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence) {
  uint64_t tail = ff_load_relaxed64(&ring->header->tail); /* only the parent writes it */
  ff_ticket batch = *ticket;
  if (!batch.parts) batch.parts = 1;
  if (batch.parts > ring->header->n_entries) return -EINVAL;
  if (!have_room(ring, tail, batch.parts)) return -EAGAIN;
  for (uint32_t part = 0; part < batch.parts; part++)
    open_part(ring, tail + part, &batch, part, worker == FF_ANY_WORKER ? 0 : worker + 1);
  /* A hint for workers: `work` below orders their look. SYNC tail: release. For a taker in another
   * thread, who must find the tickets before it, see advance_head(). Never in the middle of a batch,
   * see find_finished(). */
  ff_store_release64(&ring->header->tail, tail + batch.parts);
  *sequence = tail;
  return 0;
}

/* How many to wake for a ticket. */
static int takers_of(const ff_ticket *ticket, uint32_t worker) {
  if (worker != FF_ANY_WORKER) return INT_MAX; /* nobody knows which of the sleepers it is */
  return ticket->parts ? ticket->parts : 1;
}

int ff_ring_post(ff_ring *ring, const ff_ticket *ticket, uint32_t worker, uint64_t *sequence) {
  int rc = post(ring, ticket, worker, sequence);
  if (!rc) wake_workers(ring, takers_of(ticket, worker));
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

/* Was the ticket taken? Its entry may be used again by the thread that posts, before the one that
 * takes has moved `head`: then the ring is full again, and an entry stands for two numbers. */
static bool is_gone(uint64_t word, uint64_t sequence) {
  return word_state(word) == EMPTY || !same_ticket(word, sequence);
}

/* Is the batch finished of which the ready entry `sequence` is the next part? Nobody writes to its
 * slot then. The parts before this one must have been taken, and their entries may be used again.
 * One that is ready now was not when the taker passed it: to begin behind it would leave it there,
 * without the others, for ever. */
static bool is_finished(const ff_ring *ring, uint64_t sequence) {
  const ff_ticket *ticket = &entry_at(ring, sequence)->ticket;
  uint64_t s = sequence - ticket->part, end = s + ticket->parts, word;
  for (; s != sequence; s++) {
    word = ff_load_acquire64(&entry_at(ring, s)->word); /* as is_ready() */
    if (!is_gone(word, s)) return false;
  }
  while (++s != end)
    if (!is_ready(ring, s, &word)) return false;
  return true;
}

/* The batch whose turn it is: the taker comes for it, whatever the others wait for. */
static bool next_is_ready(const ff_ring *ring) {
  uint64_t word, head = ff_load_relaxed64(&ring->header->head);
  return is_ready(ring, head, &word) && is_finished(ring, head);
}

/* This thread: OPEN, `work`, a look for READY. The taker: EMPTY, `work`, a look for OPEN. Whose
 * change of `work` comes second sees what the other did before: either the ticket is seen there,
 * or here that the taker has nothing left to come back for. */
int ff_ring_post_quietly(ff_ring *ring, const ff_ticket *ticket, uint32_t worker,
                         uint64_t *sequence) {
  int rc = post(ring, ticket, worker, sequence);
  if (rc) return rc;
  ff_add_seq32(&ring->header->work, 1);
  if (!next_is_ready(ring)) wake_workers(ring, takers_of(ticket, worker));
  return 0;
}

/* -- taking -------------------------------------------------------------------------------- */

void ff_ring_wake_idle(ff_ring *ring) {
  ff_add_seq32(&ring->header->work, 0); /* no change, but in the order of all changes: see above */
  if (ff_load_seq32(&ring->header->sleepers) && has_any(ring, 1u << OPEN))
    ff_unpark_all(&ring->header->work);
}

/* Unordered: tickets above head may be gone already, so head moves over everything that is. An entry
 * looks the same before its ticket is seen: whoever loads `tail` for this must acquire it. */
static void advance_head(ff_ring *ring, uint64_t head, uint64_t tail) {
  while (head != tail && is_gone(ff_load_relaxed64(&entry_at(ring, head)->word), head)) head++;
  ff_store_relaxed64(&ring->header->head, head); /* a hint for workers; the parent owns it */
}

/* Without order too no batch overtakes one of an earlier epoch: nobody wants it yet, and on a device
 * it would lie where the other one has to go. Those that were withdrawn nobody waits for. */
static bool find_finished(const ff_ring *ring, bool ordered, uint64_t head, uint64_t tail,
                          uint64_t *sequence) {
  uint64_t withdrawn = ff_load_relaxed64(&ring->header->withdrawn), word;
  uint32_t epoch = UINT32_MAX; /* of the batches passed */
  for (uint64_t s = head; s != tail;) {
    bool ready = is_ready(ring, s, &word);
    const ff_ticket *ticket = &entry_at(ring, s)->ticket;
    *sequence = s;
    if (ready && ticket->epoch <= epoch && is_finished(ring, s)) return true;
    if (ordered) return false;
    if (!is_gone(word, s) && s >= withdrawn && ticket->epoch < epoch) epoch = ticket->epoch;
    s += ready ? ticket->parts - ticket->part : 1; /* its batch is not: on to the next one */
    FF_FAULT(FF_PASSING);
  }
  return false;
}

static void take_entry(ff_ring *ring, uint64_t sequence, ff_batch *batch) {
  ff_entry *entry = entry_at(ring, sequence);
  uint64_t word = ff_load_relaxed64(&entry->word); /* it was ready, and nobody else takes */
  batch->ticket = entry->ticket;
  batch->result = entry->result;
  batch->sequence = sequence;
  batch->worker = word_owner(word) - 1; /* FF_NO_WORKER where the owner was nobody */
  batch->attempt = word_attempt(word);
  batch->work_ns = entry->result.made_ns - entry->result.started_ns;
  /* SYNC empty: release. Another thread of the parent may post, and overwrite what is read above. */
  ff_store_release64(&entry->word, make_word(sequence, 0, 0, EMPTY));
}

void ff_batch_join(ff_batch *whole, const ff_batch *part) {
  ff_result *result = &whole->result;
  whole->ticket.rows += part->ticket.rows;
  whole->ticket.parts = 1;
  whole->work_ns += part->work_ns;
  if (part->attempt > whole->attempt) whole->attempt = part->attempt;
  if (part->result.made_ns > result->made_ns) { /* whom the batch had to wait for */
    result->started_ns = part->result.started_ns;
    result->made_ns = part->result.made_ns;
    whole->worker = part->worker;
  }
  if (result->kind == FF_DATA) result->kind = part->result.kind;
  result->spilled |= part->result.spilled;
  result->failed += part->result.failed;
}

/* Is the finished batch that starts here one piece: all its rows in the slot, and a note that is
 * right for all of them? */
static bool is_one_piece(const ff_ring *ring, uint64_t first, const ff_ticket *ticket) {
  const ff_result *like = &entry_at(ring, first)->result;
  if (ticket->part) return false; /* the one before it was taken by itself */
  for (uint32_t part = 0; part < ticket->parts; part++) {
    const ff_result *result = &entry_at(ring, first + part)->result;
    if (result->kind != FF_DATA || result->spilled || result->layout != like->layout ||
        result->data_bytes != like->data_bytes || result->note_bytes != like->note_bytes)
      return false;
  }
  return true;
}

int ff_ring_take(ff_ring *ring, bool ordered, ff_batch *batch) {
  uint64_t head = ff_load_relaxed64(&ring->header->head);
  uint64_t tail = ff_load_acquire64(&ring->header->tail); /* SYNC tail: acquire */
  uint64_t sequence;
  ff_batch part;
  if (!find_finished(ring, ordered, head, tail, &sequence)) return -EAGAIN;
  uint32_t parts = entry_at(ring, sequence)->ticket.parts;
  bool one_piece = parts > 1 && is_one_piece(ring, sequence, &entry_at(ring, sequence)->ticket);
  take_entry(ring, sequence, batch);
  for (uint32_t i = 1; one_piece && i < parts; i++) {
    take_entry(ring, sequence + i, &part);
    ff_batch_join(batch, &part);
  }
  FF_FAULT(FF_AFTER_TAKE);
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
    if (word_state(word) != OPEN || !same_ticket(word, s)) continue;
    uint64_t held = make_word(s, word_attempt(word), 0, FILLING); /* by the parent: no owner */
    if (!ff_swap_if_acquire64(&entry->word, word, held)) continue; /* claimed meanwhile */
    entry->result = (ff_result){.kind = FF_CANCELLED};
    ff_store_release64(&entry->word, make_word(s, word_attempt(word), 0, READY)); /* as publish */
    cancelled++;
  }
  ff_store_relaxed64(&ring->header->withdrawn, tail); /* seen by who is woken: `ready` orders it */
  ff_ring_wake_taker(ring); /* another thread may sleep until there is one that it may take */
  return cancelled;
}

/* -- counting ------------------------------------------------------------------------------ */

/* Where the batch ends to which an entry belongs. For any process: only a hint. */
static uint64_t end_of_batch(const ff_ring *ring, uint64_t sequence) {
  uint32_t group = ff_load_relaxed32(&entry_at(ring, sequence)->group);
  uint32_t part = group & 0xffff, parts = group >> 16;
  return part < parts ? sequence + parts - part : sequence + 1;
}

static bool all_ready(const ff_ring *ring, uint64_t sequence, uint64_t end) {
  for (; sequence != end; sequence++)
    if (word_state(ff_load_relaxed64(&entry_at(ring, sequence)->word)) != READY) return false;
  return true;
}

typedef struct {
  uint32_t ready;
  uint64_t outstanding;
} counts;

/* Batches, not their parts. Those of which some parts were taken are counted still. */
static counts count(const ff_ring *ring) {
  counts found = {0};
  uint64_t end, tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s < tail; s = end) {
    end = s + 1;
    if (is_gone(ff_load_relaxed64(&entry_at(ring, s)->word), s)) continue;
    end = end_of_batch(ring, s);
    found.outstanding++;
    found.ready += all_ready(ring, s, end);
  }
  return found;
}

uint32_t ff_ring_ready(const ff_ring *ring) { return count(ring).ready; }

uint64_t ff_ring_outstanding(const ff_ring *ring) { return count(ring).outstanding; }

bool ff_ring_is_making(const ff_ring *ring) {
  return has_any(ring, 1u << OPEN | 1u << FILLING);
}

/* When the last part of the finished batch was made that starts, or goes on, at `sequence`. Nobody
 * writes to what is ready, or was a moment ago, until the caller posts. */
static uint64_t finished_ns(const ff_ring *ring, uint64_t sequence) {
  uint64_t latest = 0, end = end_of_batch(ring, sequence);
  for (; sequence != end; sequence++) {
    uint64_t made_ns = entry_at(ring, sequence)->result.made_ns;
    if (made_ns > latest) latest = made_ns;
  }
  return latest;
}

uint64_t ff_ring_first_made_ns(const ff_ring *ring, uint64_t none) {
  uint64_t word, first = none, tail = ff_load_relaxed64(&ring->header->tail);
  for (uint64_t s = ff_load_relaxed64(&ring->header->head); s < tail; s++) {
    if (!is_ready(ring, s, &word) || !is_finished(ring, s)) continue;
    uint64_t made_ns = finished_ns(ring, s);
    if (made_ns && made_ns < first) first = made_ns;
    s = end_of_batch(ring, s) - 1;
  }
  return first;
}
