/* What the parent does after a death, and the ring at the wrap of its ticket numbers. */
#include <pthread.h>

#include "ring_util.h"

#define WRAP (1ull << 40) /* a word holds 40 bits of the ticket's number, head and tail hold 64 */

static int try_publish(ff_ring *ring, const ff_claim *claimed) {
  ff_result result = {.kind = FF_DATA};
  return ff_ring_publish(ring, claimed, &result);
}

static void a_dead_workers_ticket_is_opened_again_with_its_slot(void) {
  ff_ring ring = make_ring(4, 2);
  post(&ring, 8);
  ff_claim first = claim(&ring, 0);
  CHECK(nothing_to_claim(&ring, 1));
  CHECK_EQ(ff_ring_reclaim(&ring, 0, 2), 1);
  ff_claim second = claim(&ring, 1);
  CHECK(!memcmp(&first.ticket, &second.ticket, sizeof first.ticket));
  CHECK_EQ(second.sequence, first.sequence);
  CHECK_EQ(second.attempt, 1);
  publish(&ring, &second);
  ff_batch batch = take(&ring, true);
  CHECK_EQ(batch.attempt, 1);
  CHECK_EQ(batch.worker, 1);
  free_ring(&ring);
}

static void reclaim_touches_only_what_the_dead_was_filling(void) {
  ff_ring ring = make_ring(8, 2);
  for (uint64_t i = 0; i < 5; i++) post(&ring, i);
  make_next(&ring, 0);                 /* 0: published by the dead */
  ff_claim others = claim(&ring, 1);   /* 1: in the hands of the living */
  claim(&ring, 0);                     /* 2: the dead was filling it */
  claim(&ring, 0);                     /* 3: and this one */
  CHECK_EQ(ff_ring_reclaim(&ring, 0, 2), 2);
  CHECK_EQ(ff_ring_reclaim(&ring, 0, 2), 0);
  publish(&ring, &others);
  CHECK_EQ(take(&ring, true).ticket.index, 0);
  CHECK_EQ(take(&ring, true).ticket.index, 1);
  for (uint64_t i = 2; i < 5; i++) {
    ff_claim claimed = claim(&ring, 1);
    CHECK_EQ(claimed.ticket.index, i);
    CHECK_EQ(claimed.attempt, i < 4);
  }
  free_ring(&ring);
}

static void a_ticket_that_kills_too_often_is_given_up(void) {
  for (uint32_t max_retries = 0; max_retries < 4; max_retries++) {
    ff_ring ring = make_ring(4, 3);
    post(&ring, 6);
    for (uint32_t attempt = 0; attempt <= max_retries; attempt++) {
      CHECK(nothing_to_take(&ring, true));
      CHECK_EQ(claim(&ring, 2).attempt, attempt);
      CHECK_EQ(ff_ring_reclaim(&ring, 2, max_retries), 1);
    }
    ff_batch batch = take(&ring, true);
    CHECK_EQ(batch.result.kind, FF_CRASHED);
    CHECK_EQ(batch.ticket.index, 6);
    CHECK_EQ(batch.worker, 2);
    CHECK_EQ(batch.attempt, max_retries);
    CHECK_EQ(batch.result.data_bytes, 0);
    free_ring(&ring);
  }
}

static void attempts_never_run_over_their_eight_bits(void) {
  ff_ring ring = make_ring(1, 1);
  post(&ring, 6);
  for (uint32_t attempt = 0; attempt <= FF_MAX_ATTEMPTS; attempt++) {
    ff_claim claimed = claim(&ring, 0);
    CHECK_EQ(claimed.attempt, attempt);
    CHECK_EQ(claimed.sequence, 0);
    ff_ring_reclaim(&ring, 0, UINT32_MAX);
  }
  CHECK_EQ(take(&ring, true).result.kind, FF_CRASHED);
  free_ring(&ring);
}

static void who_was_declared_dead_cannot_publish(void) {
  ff_ring ring = make_ring(4, 2);
  post(&ring, 1);
  ff_claim stale = claim(&ring, 0);
  ff_ring_reclaim(&ring, 0, 2);
  CHECK_EQ(try_publish(&ring, &stale), -ECANCELED);
  ff_claim fresh = claim(&ring, 1);
  CHECK_EQ(try_publish(&ring, &stale), -ECANCELED);
  publish(&ring, &fresh);
  CHECK_EQ(try_publish(&ring, &stale), -ECANCELED);
  take(&ring, true);
  CHECK_EQ(try_publish(&ring, &stale), -ECANCELED);
  free_ring(&ring);
}

static void a_reopened_ticket_keeps_its_addressee(void) {
  ff_ring ring = make_ring(4, 2);
  post_for(&ring, 1, 0);
  claim(&ring, 0);
  ff_ring_reclaim(&ring, 0, 2);
  CHECK(nothing_to_claim(&ring, 1));
  CHECK_EQ(claim(&ring, 0).ticket.index, 1);
  free_ring(&ring);
}

static void *claim_as_worker_1(void *argument) {
  ff_claim claimed;
  REQUIRE(ff_ring_claim(argument, 1, FF_FOREVER, &claimed) == 0);
  publish(argument, &claimed);
  return NULL;
}

/* Both sleep: the other worker, because the dead holds the only ticket, and the parent. */
static void reclaim_wakes_everybody(void) {
  ff_ring ring = make_ring(4, 2);
  watchdog_ring(&ring);
  for (uint64_t i = 0; i < 1000; i++) {
    pthread_t thread;
    ff_batch batch;
    post(&ring, i);
    claim(&ring, 0);
    REQUIRE(!pthread_create(&thread, NULL, claim_as_worker_1, &ring));
    if (i % 2) sched_yield();
    ff_ring_reclaim(&ring, 0, 2);
    while (ff_ring_take_wait(&ring, true, &batch, NULL, 0, FF_FOREVER)) continue;
    CHECK_EQ(batch.ticket.index, i);
    CHECK_EQ(batch.attempt, 1);
    pthread_join(thread, NULL);
    watchdog_pat();
  }
  watchdog_ring(NULL);
  free_ring(&ring);
}

/* -- three threads that meet in nothing but the ring ------------------------------------------- */

typedef struct {
  ff_ring ring;
  int slot; /* plain memory: ThreadSanitizer reports writers that nothing orders */
  ff_a32 dead;
} estate;

static void *fill_half_and_die(void *argument) {
  estate *e = argument;
  claim(&e->ring, 0);
  e->slot = 1;
  ff_store_release32(&e->dead, 1);
  return NULL;
}

static void *mend(void *argument) {
  estate *e = argument;
  while (!ff_load_acquire32(&e->dead)) sched_yield(); /* the monitor has this from the kernel */
  ff_ring_reclaim(&e->ring, 0, 1);
  return NULL;
}

static void *fill_again(void *argument) {
  estate *e = argument;
  ff_claim claimed;
  while (ff_ring_claim(&e->ring, 1, NOW, &claimed)) continue;
  CHECK_EQ(claimed.attempt, 1);
  CHECK_EQ(e->slot, 1);
  e->slot = 2;
  publish(&e->ring, &claimed);
  return NULL;
}

/* The ring is long, so that the mending goes on for a while after the ticket is open again: only
 * the ticket's word says then that the next worker comes after the dead. */
static void the_next_worker_comes_after_the_dead(void) {
  for (int round = 0; round < 20; round++) {
    estate e = {.ring = make_ring(16384, 2)};
    pthread_t threads[3];
    void *(*const parts[3])(void *) = {fill_half_and_die, fill_again, mend};
    post(&e.ring, 1);
    for (int i = 0; i < 3; i++) {
      REQUIRE(!pthread_create(&threads[i], NULL, parts[i], &e));
      while (i == 0 && !ff_load_relaxed32(&e.dead)) sched_yield();
    }
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    take(&e.ring, true);
    CHECK_EQ(e.slot, 2);
    watchdog_pat();
    free_ring(&e.ring);
  }
}

/* -- the wrap -------------------------------------------------------------------------------- */

static void tickets_go_on_over_the_wrap(void) {
  for (int ordered = 0; ordered < 2; ordered++) {
    ff_ring ring = make_ring(4, 1);
    start_at(&ring, WRAP - 6);
    for (uint64_t i = 0; i < 4; i++) CHECK_EQ(post(&ring, i), WRAP - 6 + i);
    for (uint64_t i = 0; i < 20; i++) {
      make_next(&ring, 0);
      CHECK_EQ(ff_ring_ready(&ring), 1);
      ff_batch batch = take(&ring, ordered);
      CHECK_EQ(batch.ticket.index, i);
      CHECK_EQ(batch.sequence, WRAP - 6 + i);
      CHECK_EQ(post(&ring, i + 4), WRAP - 2 + i);
      CHECK_EQ(ff_ring_outstanding(&ring), 4);
    }
    free_ring(&ring);
  }
}

static void a_death_at_the_wrap_is_mended(void) {
  ff_ring ring = make_ring(4, 2);
  start_at(&ring, WRAP - 2);
  for (uint64_t i = 0; i < 4; i++) post(&ring, i);
  for (int i = 0; i < 4; i++) claim(&ring, 0);
  CHECK_EQ(ff_ring_reclaim(&ring, 0, 1), 4);
  for (int i = 0; i < 3; i++) make_next(&ring, 1);
  CHECK_EQ(ff_ring_cancel(&ring), 1);
  for (uint64_t i = 0; i < 4; i++) {
    ff_batch batch = take(&ring, true);
    CHECK_EQ(batch.ticket.index, i);
    CHECK_EQ(batch.sequence, WRAP - 2 + i);
    CHECK_EQ(batch.result.kind, i < 3 ? FF_DATA : FF_CANCELLED);
  }
  free_ring(&ring);
}

int main(void) {
  watchdog_start();
  RUN(a_dead_workers_ticket_is_opened_again_with_its_slot);
  RUN(reclaim_touches_only_what_the_dead_was_filling);
  RUN(a_ticket_that_kills_too_often_is_given_up);
  RUN(attempts_never_run_over_their_eight_bits);
  RUN(who_was_declared_dead_cannot_publish);
  RUN(a_reopened_ticket_keeps_its_addressee);
  RUN(reclaim_wakes_everybody);
  RUN(the_next_worker_comes_after_the_dead);
  RUN(tickets_go_on_over_the_wrap);
  RUN(a_death_at_the_wrap_is_mended);
  return check_report("test_reclaim");
}
