#include "feed.h"

#include <errno.h>
#include <time.h>

#include "arena.h"
#include "check.h"
#include "park.h"
#include "random.h"

/* -- what a batch must contain --------------------------------------------------------------- */

/* Different for every index and every place, so that a batch that is torn, stale or another's
 * cannot pass. */
static uint64_t content(uint64_t index, uint64_t place) {
  uint64_t state = index << 20 ^ place;
  return random_next(&state);
}

void feed_fill(void *slot, const ff_claim *claimed, void (*half_way)(void)) {
  const ff_ticket *ticket = &claimed->ticket;
  uint64_t *words = slot, count = ticket->capacity / sizeof *words;
  uint64_t first = count * ticket->part / ticket->parts;
  uint64_t end = count * (ticket->part + 1) / ticket->parts;
  for (uint64_t i = first; i < end; i++) {
    if (i == (first + end) / 2 && half_way) half_way();
    words[i] = content(ticket->index, i);
  }
}

/* Parts that were made at different attempts do not agree, so such a batch comes part by part. */
int feed_publish(ff_ring *ring, const ff_claim *claimed) {
  ff_result result = {.kind = FF_DATA,
                      .data_bytes = claimed->ticket.capacity,
                      .layout = claimed->ticket.index,
                      .note_bytes = claimed->attempt};
  return ff_ring_publish(ring, claimed, &result);
}

static bool holds(const void *slot, uint64_t index, uint64_t bytes) {
  const uint64_t *words = slot;
  for (uint64_t i = 0; i < bytes / sizeof *words; i++)
    if (words[i] != content(index, i)) return false;
  return true;
}

/* -- the consumer ---------------------------------------------------------------------------- */

typedef struct {
  uint64_t index;
  uint32_t slot;
} kept_batch;

/* The loop's own state. */
typedef struct {
  feed *run;
  uint8_t *seen;   /* [batches]: how often an index was delivered */
  uint64_t *again; /* [n_entries]: cancelled, to be posted once more */
  uint64_t n_again, next_index, next_cancel, n_posted, n_taken; /* tickets, the last two */
  ff_batch *partial; /* [n_entries]: by the number of their first ticket, what came of them */
  kept_batch kept[MAX_KEPT];
  uint64_t n_kept; /* ever; the last `keep` of them are held */
} consumer;

static void check_and_release(consumer *c, kept_batch batch) {
  ff_segment *segment = c->run->segment;
  CHECK(holds(ff_slot_data(segment, batch.slot), batch.index, ff_segment_stride(segment)));
  ff_slot_release(segment, batch.slot);
}

/* The oldest is checked a second time before it goes: nobody may have written to it. */
static void keep(consumer *c, kept_batch batch) {
  uint32_t held = c->run->plan.keep;
  if (!held) {
    ff_slot_release(c->run->segment, batch.slot);
    return;
  }
  if (c->n_kept >= held) check_and_release(c, c->kept[c->n_kept % held]);
  c->kept[c->n_kept++ % held] = batch;
}

static void release_kept(consumer *c) {
  uint64_t held = c->n_kept < c->run->plan.keep ? c->n_kept : c->run->plan.keep;
  for (uint64_t i = 0; i < held; i++) check_and_release(c, c->kept[i]);
}

static uint32_t parts_of(const feed *run) { return run->plan.parts ? run->plan.parts : 1; }

static bool post_one(consumer *c) {
  feed *run = c->run;
  uint32_t slot;
  uint64_t sequence, stride = ff_segment_stride(run->segment);
  if (!c->n_again && c->next_index == run->plan.batches) return false;
  if (ff_slot_acquire(run->segment, &slot)) return false;
  uint64_t index = c->n_again ? c->again[c->n_again - 1] : c->next_index;
  ff_ticket ticket = {.index = index, .offset = slot * stride, .capacity = stride,
                      .parts = (uint16_t)run->plan.parts};
  uint32_t worker =
      run->plan.addressed ? (uint32_t)(index % run->plan.n_workers) : FF_ANY_WORKER;
  if (ff_ring_post(&run->ring, &ticket, worker, &sequence)) {
    ff_slot_release(run->segment, slot);
    return false;
  }
  CHECK_EQ(sequence, run->plan.first + c->n_posted);
  c->n_posted += parts_of(run);
  if (c->n_again)
    c->n_again--;
  else
    c->next_index++;
  return true;
}

static void accept_data(consumer *c, const ff_batch *batch, uint32_t slot) {
  CHECK_EQ(batch->result.data_bytes, batch->ticket.capacity);
  CHECK_EQ(batch->result.layout, batch->ticket.index);
  CHECK(holds(ff_slot_data(c->run->segment, slot), batch->ticket.index, batch->ticket.capacity));
  c->run->retried += batch->attempt > 0;
  c->run->delivered++;
  keep(c, (kept_batch){batch->ticket.index, slot});
}

/* A part that came by itself. With the last one it is joined to those before: true, a batch. */
static bool gather(consumer *c, ff_batch *batch) {
  const ff_ticket ticket = batch->ticket;
  ff_batch *whole = &c->partial[(batch->sequence - ticket.part) % c->run->plan.n_entries];
  CHECK(ticket.part < ticket.parts && ticket.parts == c->run->plan.parts);
  if (ticket.part) {
    CHECK_EQ(whole->sequence + ticket.part, batch->sequence);
    CHECK_EQ(whole->ticket.index, ticket.index);
    CHECK_EQ(whole->ticket.offset, ticket.offset);
    ff_batch_join(whole, batch);
  } else {
    *whole = *batch;
  }
  *batch = *whole;
  return ticket.part + 1 == ticket.parts;
}

static void accept_batch(consumer *c, const ff_batch *batch) {
  feed *run = c->run;
  uint32_t slot = (uint32_t)(batch->ticket.offset / ff_segment_stride(run->segment));
  if (batch->result.kind == FF_CANCELLED) {
    run->cancelled++;
    REQUIRE(c->n_again < run->plan.n_entries);
    c->again[c->n_again++] = batch->ticket.index;
    ff_slot_release(run->segment, slot);
    return;
  }
  REQUIRE(batch->ticket.index < run->plan.batches);
  CHECK_EQ(c->seen[batch->ticket.index]++, 0);
  if (batch->result.kind == FF_CRASHED) {
    run->crashed++;
    ff_slot_release(run->segment, slot);
  } else if (CHECK_EQ(batch->result.kind, FF_DATA)) {
    accept_data(c, batch, slot);
  }
}

static void accept(consumer *c, ff_batch batch) {
  const feed *run = c->run;
  bool whole = batch.ticket.parts == 1;
  if (!run->plan.unordered) CHECK_EQ(batch.sequence, run->plan.first + c->n_taken);
  if (batch.result.kind == FF_DATA) CHECK_EQ(batch.result.note_bytes, batch.attempt);
  c->n_taken += whole ? parts_of(run) : 1;
  c->run->pieces += !whole;
  if (whole || gather(c, &batch)) accept_batch(c, &batch);
}

static void rest(uint64_t n_taken, uint32_t every) {
  struct timespec moment = {.tv_nsec = 200000};
  if (every && n_taken % every == 0) nanosleep(&moment, NULL);
}

static void cancel_now_and_then(consumer *c) {
  uint32_t every = c->run->plan.cancel_every;
  if (!every || c->run->delivered < c->next_cancel) return;
  ff_ring_cancel(&c->run->ring);
  c->next_cancel = c->run->delivered + every;
}

/* One batch, or, where workers die, one turn of replacing them. */
static bool take_one(consumer *c, ff_batch *batch) {
  feed *run = c->run;
  uint32_t deaths_seen = run->deaths ? ff_load_acquire32(run->deaths) : 0;
  if (run->replace_dead) run->replace_dead(run->context);
  int rc = ff_ring_take_wait(&run->ring, !run->plan.unordered, batch, run->deaths, deaths_seen,
                             FF_FOREVER);
  if (rc) CHECK_EQ(rc, -EAGAIN);
  return rc == 0;
}

void feed_all(feed *run) {
  const feed_plan *plan = &run->plan;
  consumer c = {.run = run};
  c.seen = calloc(plan->batches, sizeof *c.seen);
  c.again = calloc(plan->n_entries, sizeof *c.again);
  c.partial = calloc(plan->n_entries, sizeof *c.partial);
  REQUIRE(c.seen && c.again && c.partial && plan->keep <= MAX_KEPT && plan->keep < plan->n_slots);
  while (run->delivered + run->crashed < plan->batches) {
    ff_batch batch;
    while (post_one(&c)) continue;
    if (!take_one(&c, &batch)) continue;
    accept(&c, batch);
    watchdog_pat();
    rest(c.n_taken, plan->slow_every);
    cancel_now_and_then(&c);
  }
  release_kept(&c);
  for (uint64_t i = 0; i < plan->batches; i++)
    if (c.seen[i] != 1) CHECK_EQ(c.seen[i], 1);
  CHECK_EQ(c.n_taken, c.n_posted);
  free(c.seen);
  free(c.again);
  free(c.partial);
}

/* -- opening and closing --------------------------------------------------------------------- */

void feed_open(feed *run, const feed_plan *plan, int ring_fd, int slots_fd, uint64_t stride) {
  void *memory = NULL;
  uint64_t bytes = 0;
  *run = (feed){.plan = *plan};
  REQUIRE(ff_memory_map(ring_fd, &memory, &bytes) == 0);
  REQUIRE(ff_ring_init(&run->ring, memory, plan->n_entries, plan->n_workers, plan->spin) == 0);
  ff_store_relaxed64(&run->ring.header->head, plan->first);
  ff_store_relaxed64(&run->ring.header->tail, plan->first);
  REQUIRE(ff_segment_open(slots_fd, stride, plan->n_slots, false, &run->segment) == 0);
  watchdog_now(plan->name);
}

void feed_close(feed *run) {
  CHECK_EQ(ff_ring_outstanding(&run->ring), 0);
  CHECK_EQ(ff_segment_in_use(run->segment), 0);
  ff_segment_close(run->segment);
  CHECK_EQ(ff_segments_alive(), 0);
  ff_memory_unmap(run->ring.header, ff_ring_bytes(run->plan.n_entries, run->plan.n_workers));
}
