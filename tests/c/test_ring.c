/* What one thread can see of the ring: states, order, addresses, cancelling, attaching, waiting. */
#include <pthread.h>

#include "ring_util.h"

enum { EMPTY, OPEN, FILLING, READY };

static int state_of(const ff_ring *ring, uint32_t entry) {
  return (int)(ff_load_relaxed64(&ring->entries[entry].word) & 0xf);
}

static void a_ticket_passes_through_its_states(void) {
  ff_ring ring = make_ring(4, 2);
  CHECK_EQ(state_of(&ring, 0), EMPTY);
  CHECK_EQ(post(&ring, 41), 0);
  CHECK_EQ(state_of(&ring, 0), OPEN);
  ff_claim claimed = claim(&ring, 1);
  CHECK_EQ(state_of(&ring, 0), FILLING);
  CHECK_EQ(claimed.ticket.index, 41);
  CHECK_EQ(claimed.ticket.epoch, 3);
  CHECK_EQ(claimed.ticket.segment, 1);
  CHECK_EQ(claimed.ticket.offset, 41 * 64);
  CHECK_EQ(claimed.ticket.capacity, 64);
  CHECK_EQ(claimed.attempt, 0);
  publish(&ring, &claimed);
  CHECK_EQ(state_of(&ring, 0), READY);
  ff_batch batch = take(&ring, true);
  CHECK_EQ(state_of(&ring, 0), EMPTY);
  CHECK(!memcmp(&batch.ticket, &claimed.ticket, sizeof batch.ticket));
  CHECK_EQ(batch.result.kind, FF_DATA);
  CHECK_EQ(batch.result.data_bytes, 1041);
  CHECK_EQ(batch.result.layout, 7);
  CHECK_EQ(batch.result.note_bytes, 8);
  CHECK_EQ(batch.sequence, 0);
  CHECK_EQ(batch.worker, 1);
  free_ring(&ring);
}

static void a_full_ring_refuses_a_ticket_until_one_is_taken(void) {
  ff_ring ring = make_ring(4, 1);
  ff_ticket ticket = {.index = 9};
  uint64_t sequence = 77;
  for (uint64_t i = 0; i < 4; i++) post(&ring, i);
  CHECK_EQ(ff_ring_post(&ring, &ticket, FF_ANY_WORKER, &sequence), -EAGAIN);
  CHECK_EQ(sequence, 77);
  make_next(&ring, 0);
  CHECK_EQ(ff_ring_post(&ring, &ticket, FF_ANY_WORKER, &sequence), -EAGAIN);
  take(&ring, true);
  CHECK_EQ(post(&ring, 4), 4);
  free_ring(&ring);
}

static void ordered_batches_wait_for_the_lowest_ticket(void) {
  ff_ring ring = make_ring(4, 2);
  for (uint64_t i = 0; i < 3; i++) post(&ring, i);
  ff_claim first = claim(&ring, 0);
  make_next(&ring, 1);
  make_next(&ring, 1);
  CHECK_EQ(ff_ring_ready(&ring), 2);
  CHECK(nothing_to_take(&ring, true));
  publish(&ring, &first);
  for (uint64_t i = 0; i < 3; i++) CHECK_EQ(take(&ring, true).ticket.index, i);
  CHECK(nothing_to_take(&ring, true));
  free_ring(&ring);
}

static void unordered_batches_come_as_they_are_finished(void) {
  ff_ring ring = make_ring(4, 2);
  for (uint64_t i = 0; i < 4; i++) post(&ring, i);
  ff_claim first = claim(&ring, 0);
  for (uint64_t i = 1; i < 4; i++) {
    make_next(&ring, 1);
    CHECK_EQ(take(&ring, false).ticket.index, i);
  }
  CHECK_EQ(ff_ring_outstanding(&ring), 1);
  CHECK_EQ(ff_load_relaxed64(&ring.header->head), 0);
  publish(&ring, &first);
  CHECK_EQ(take(&ring, false).ticket.index, 0);
  CHECK_EQ(ff_load_relaxed64(&ring.header->head), 4);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

static void only_the_addressee_claims_an_addressed_ticket(void) {
  ff_ring ring = make_ring(4, 3);
  post_for(&ring, 5, 2);
  post_for(&ring, 6, 0);
  CHECK(nothing_to_claim(&ring, 1));
  CHECK_EQ(claim(&ring, 0).ticket.index, 6);
  CHECK_EQ(claim(&ring, 2).ticket.index, 5);
  free_ring(&ring);
}

static void cancel_withdraws_what_nobody_has_claimed(void) {
  ff_ring ring = make_ring(4, 1);
  for (uint64_t i = 0; i < 3; i++) post(&ring, i);
  post_for(&ring, 3, 0);
  ff_claim claimed = claim(&ring, 0);
  CHECK_EQ(ff_ring_cancel(&ring), 3);
  CHECK_EQ(ff_ring_cancel(&ring), 0);
  CHECK(nothing_to_claim(&ring, 0));
  CHECK(nothing_to_take(&ring, true));
  publish(&ring, &claimed);
  CHECK_EQ(take(&ring, true).result.kind, FF_DATA);
  for (uint64_t i = 1; i < 4; i++) {
    ff_batch batch = take(&ring, true);
    CHECK_EQ(batch.result.kind, FF_CANCELLED);
    CHECK_EQ(batch.ticket.index, i);
    CHECK_EQ(batch.worker, FF_NO_WORKER);
  }
  free_ring(&ring);
}

static void a_stopped_worker_goes_home_and_its_number_can_be_used_again(void) {
  ff_ring ring = make_ring(4, 2);
  ff_claim claimed;
  post(&ring, 0);
  ff_ring_stop_worker(&ring, 1);
  CHECK_EQ(ff_ring_claim(&ring, 1, FF_FOREVER, &claimed), -ESHUTDOWN);
  CHECK_EQ(claim(&ring, 0).ticket.index, 0);
  ff_ring_reset_worker(&ring, 1);
  CHECK(nothing_to_claim(&ring, 1));
  ff_ring_stop(&ring);
  for (uint32_t worker = 0; worker < 2; worker++)
    CHECK_EQ(ff_ring_claim(&ring, worker, FF_FOREVER, &claimed), -ESHUTDOWN);
  free_ring(&ring);
}

/* -- waiting: the other side is a thread, and nothing has a time-out ------------------------ */

static void *publish_one(void *argument) {
  ff_claim claimed;
  REQUIRE(ff_ring_claim(argument, 0, FF_FOREVER, &claimed) == 0);
  publish(argument, &claimed);
  return NULL;
}

static void each_side_wakes_the_other(void) {
  ff_ring ring = make_ring(4, 1);
  watchdog_ring(&ring);
  for (uint64_t i = 0; i < 2000; i++) {
    pthread_t thread;
    ff_batch batch;
    REQUIRE(!pthread_create(&thread, NULL, publish_one, &ring));
    if (i % 2) sched_yield(); /* now and then the worker sleeps first */
    post(&ring, i);
    while (ff_ring_take_wait(&ring, true, &batch, NULL, 0, FF_FOREVER)) continue;
    CHECK_EQ(batch.ticket.index, i);
    pthread_join(thread, NULL);
    watchdog_pat();
  }
  watchdog_ring(NULL);
  free_ring(&ring);
}

static void *claim_until_shutdown(void *argument) {
  ff_claim claimed;
  int rc = ff_ring_claim(argument, 0, FF_FOREVER, &claimed);
  return (void *)(intptr_t)rc;
}

static void shutdown_wakes_a_sleeper(void) {
  for (int i = 0; i < 1000; i++) {
    ff_ring ring = make_ring(4, 1);
    watchdog_ring(&ring);
    pthread_t thread;
    void *rc = NULL;
    REQUIRE(!pthread_create(&thread, NULL, claim_until_shutdown, &ring));
    if (i % 2) sched_yield();
    if (i % 3)
      ff_ring_stop(&ring);
    else
      ff_ring_stop_worker(&ring, 0);
    pthread_join(thread, &rc);
    CHECK_EQ((intptr_t)rc, -ESHUTDOWN);
    watchdog_ring(NULL);
    watchdog_pat();
    free_ring(&ring);
  }
}

/* One thread for each of two workers: who was woken in vain sleeps again and ends at the stop. */
typedef struct {
  ff_ring *ring;
  uint32_t number;
  pthread_t thread;
} sleeper;

static void *publish_until_shutdown(void *argument) {
  const sleeper *s = argument;
  ff_claim claimed;
  while (!ff_ring_claim(s->ring, s->number, FF_FOREVER, &claimed)) publish(s->ring, &claimed);
  return NULL;
}

static void an_addressed_ticket_wakes_its_addressee(void) {
  for (int round = 0; round < 200; round++) {
    ff_ring ring = make_ring(4, 2);
    ff_batch batch;
    sleeper sleepers[2] = {{.ring = &ring, .number = 0}, {.ring = &ring, .number = 1}};
    watchdog_ring(&ring);
    for (uint32_t i = 0; i < 2; i++) { /* the addressee last: the kernel wakes the first first */
      REQUIRE(!pthread_create(&sleepers[i].thread, NULL, publish_until_shutdown, &sleepers[i]));
      while (ff_load_seq32(&ring.header->sleepers) != i + 1) sched_yield();
    }
    post_for(&ring, 5, 1);
    while (ff_ring_take_wait(&ring, true, &batch, NULL, 0, FF_FOREVER)) continue;
    CHECK_EQ(batch.worker, 1);
    ff_ring_stop(&ring);
    for (int i = 0; i < 2; i++) pthread_join(sleepers[i].thread, NULL);
    watchdog_ring(NULL);
    watchdog_pat();
    free_ring(&ring);
  }
}

static void post_quietly(ff_ring *ring, uint64_t index) {
  uint64_t sequence;
  CHECK_EQ(ff_ring_post_quietly(ring, &(ff_ticket){.index = index}, FF_ANY_WORKER, &sequence), 0);
}

/* Until worker 0 sleeps, most often; where it does not yet, the test sees less, but no error. */
static void start_sleeper(ff_ring *ring, pthread_t *thread) {
  REQUIRE(!pthread_create(thread, NULL, publish_one, ring));
  while (!ff_load_seq32(&ring->header->sleepers)) sched_yield();
  usleep(1000);
}

static void who_takes_wakes_workers_for_quiet_tickets(void) {
  for (int round = 0; round < 20; round++) {
    ff_ring ring = make_ring(4, 2);
    pthread_t thread;
    watchdog_ring(&ring);
    post(&ring, 0);
    make_next(&ring, 1);
    start_sleeper(&ring, &thread);
    post_quietly(&ring, 1);
    CHECK_EQ(take(&ring, true).ticket.index, 0);
    ff_ring_wake_idle(&ring);
    pthread_join(thread, NULL);
    CHECK_EQ(take(&ring, true).ticket.index, 1);
    watchdog_ring(NULL);
    watchdog_pat();
    free_ring(&ring);
  }
}

/* Or worker 0 would sleep as long as the slowest batch takes. */
static void a_quiet_ticket_wakes_where_the_next_batch_is_not_ready(void) {
  for (int round = 0; round < 20; round++) {
    ff_ring ring = make_ring(4, 2);
    pthread_t thread;
    watchdog_ring(&ring);
    post(&ring, 0);
    post(&ring, 1);
    ff_claim slow = claim(&ring, 1);
    make_next(&ring, 1);
    start_sleeper(&ring, &thread);
    post_quietly(&ring, 2);
    pthread_join(thread, NULL);
    CHECK_EQ(ff_ring_ready(&ring), 2);
    publish(&ring, &slow);
    for (uint64_t i = 0; i < 3; i++) CHECK_EQ(take(&ring, true).ticket.index, i);
    watchdog_ring(NULL);
    watchdog_pat();
    free_ring(&ring);
  }
}

static void *take_one(void *argument) {
  ff_batch batch;
  while (ff_ring_take_wait(argument, true, &batch, NULL, 0, FF_FOREVER)) continue;
  CHECK_EQ(batch.result.kind, FF_CANCELLED);
  return NULL;
}

static void cancelling_wakes_the_taker(void) {
  for (int round = 0; round < 20; round++) {
    ff_ring ring = make_ring(4, 1);
    pthread_t thread;
    watchdog_ring(&ring);
    post(&ring, 0);
    REQUIRE(!pthread_create(&thread, NULL, take_one, &ring));
    while (!(ff_load_seq32(&ring.header->ready) & 1)) sched_yield(); /* it announces its sleep */
    usleep(1000);
    CHECK_EQ(ff_ring_cancel(&ring), 1);
    pthread_join(thread, NULL);
    watchdog_ring(NULL);
    watchdog_pat();
    free_ring(&ring);
  }
}

static void a_wait_without_a_batch_ends_with_eagain(void) {
  ff_ring ring = make_ring(4, 1);
  ff_batch batch;
  ff_a32 alarm;
  ff_store_relaxed32(&alarm, 5);
  CHECK_EQ(ff_ring_take_wait(&ring, true, &batch, NULL, 0, 1000), -EAGAIN);
  CHECK_EQ(ff_ring_take_wait(&ring, true, &batch, &alarm, 5, 1000), -EAGAIN);
  CHECK_EQ(ff_ring_take_wait(&ring, true, &batch, &alarm, 4, FF_FOREVER), -EAGAIN);
  post(&ring, 1);
  make_next(&ring, 0);
  CHECK_EQ(ff_ring_take_wait(&ring, true, &batch, &alarm, 4, FF_FOREVER), 0);
  free_ring(&ring);
}

/* -- memory that is not a ring -------------------------------------------------------------- */

static void impossible_sizes_are_refused(void) {
  CHECK_EQ(ff_ring_bytes(0, 1), 0);
  CHECK_EQ(ff_ring_bytes(3, 1), 0);
  CHECK_EQ(ff_ring_bytes(4, 0), 0);
  CHECK_EQ(ff_ring_bytes(FF_MAX_ENTRIES * 2, 1), 0);
  CHECK_EQ(ff_ring_bytes(4, FF_MAX_WORKERS + 1), 0);
  CHECK_EQ(ff_ring_bytes(1, 1), 9 * FF_LINE);
  CHECK_EQ(ff_ring_bytes(FF_MAX_ENTRIES, FF_MAX_WORKERS),
           (7 + FF_MAX_WORKERS + FF_MAX_ENTRIES) * FF_LINE);
  ff_ring ring;
  ff_header memory;
  CHECK_EQ(ff_ring_init(&ring, &memory, 3, 1, 0), -EINVAL);
}

static void attaching_finds_the_same_ring(void) {
  ff_ring ring = make_ring(8, 3), other;
  CHECK_EQ(ff_ring_attach(&other, ring.header, ff_ring_bytes(8, 3)), 0);
  CHECK(other.header == ring.header && other.workers == ring.workers);
  CHECK(other.entries == ring.entries);
  post(&ring, 12);
  CHECK_EQ(claim(&other, 2).ticket.index, 12);
  free_ring(&ring);
}

static void garbage_short_memory_and_other_versions_are_refused(void) {
  ff_ring ring = make_ring(8, 3), other;
  size_t bytes = ff_ring_bytes(8, 3);
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes - 1), -EPROTO);
  CHECK_EQ(ff_ring_attach(&other, ring.header, sizeof(ff_header) - 1), -EPROTO);
  CHECK_EQ(ff_ring_attach(&other, ring.header, 0), -EPROTO);
  ring.header->abi++;
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), -EPROTO);
  ring.header->abi--;
  ring.header->n_entries = 7;
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), -EPROTO);
  ring.header->n_entries = 16;
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), -EPROTO);
  ring.header->n_entries = 8;
  ring.header->n_workers = UINT32_MAX;
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), -EPROTO);
  ring.header->n_workers = 3;
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), 0);
  memset(ring.header, 0x5a, bytes);
  CHECK_EQ(ff_ring_attach(&other, ring.header, bytes), -EPROTO);
  free_ring(&ring);
}

int main(void) {
  watchdog_start();
  RUN(a_ticket_passes_through_its_states);
  RUN(a_full_ring_refuses_a_ticket_until_one_is_taken);
  RUN(ordered_batches_wait_for_the_lowest_ticket);
  RUN(unordered_batches_come_as_they_are_finished);
  RUN(only_the_addressee_claims_an_addressed_ticket);
  RUN(cancel_withdraws_what_nobody_has_claimed);
  RUN(a_stopped_worker_goes_home_and_its_number_can_be_used_again);
  RUN(each_side_wakes_the_other);
  RUN(shutdown_wakes_a_sleeper);
  RUN(an_addressed_ticket_wakes_its_addressee);
  RUN(who_takes_wakes_workers_for_quiet_tickets);
  RUN(a_quiet_ticket_wakes_where_the_next_batch_is_not_ready);
  RUN(cancelling_wakes_the_taker);
  RUN(a_wait_without_a_batch_ends_with_eagain);
  RUN(impossible_sizes_are_refused);
  RUN(attaching_finds_the_same_ring);
  RUN(garbage_short_memory_and_other_versions_are_refused);
  return check_report("test_ring");
}
