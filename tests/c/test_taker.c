/* What a worker, or the thread that posts, may do in the middle of a take: done there, at the
 * points of csrc/fault.h, by the thread of the test itself. */
#include "fault.h"
#include "ring_util.h"

static ff_ring ring;

static struct {
  enum ff_fault_point point;
  uint32_t visits; /* still to come; with the last one it happens */
  void (*act)(void);
} meanwhile;

void ff_fault(enum ff_fault_point point) {
  if (point != meanwhile.point || !meanwhile.visits || --meanwhile.visits) return;
  meanwhile.act();
}

static void at_visit(enum ff_fault_point point, uint32_t visits, void (*act)(void)) {
  meanwhile.point = point;
  meanwhile.visits = visits;
  meanwhile.act = act;
}

/* -- a worker publishes, and there is no order -------------------------------------------- */

static ff_claim late;

static void publish_the_late_part(void) { publish(&ring, &late); }

/* All but one: that is `late`. */
static void make_parts(uint64_t index, uint16_t parts, uint16_t but) {
  uint64_t sequence;
  ff_ticket ticket = {.index = index, .capacity = 64, .rows = 6, .parts = parts};
  REQUIRE(ff_ring_post(&ring, &ticket, FF_ANY_WORKER, &sequence) == 0);
  for (uint16_t part = 0; part < parts; part++) {
    ff_claim claimed = claim(&ring, 0);
    if (part == but)
      late = claimed;
    else
      publish(&ring, &claimed);
  }
}

static void check_whole(const ff_batch *batch, uint64_t index) {
  CHECK_EQ(meanwhile.visits, 0); /* it has happened */
  CHECK_EQ(batch->ticket.index, index);
  CHECK_EQ(batch->ticket.part, 0);
  CHECK_EQ(batch->ticket.parts, 1);
  CHECK_EQ(batch->ticket.rows, 6);
}

/* The taker must not begin in the middle: the part that it has passed would never be taken. */
static void a_part_that_comes_behind_the_taker(void) {
  ring = make_ring(4, 1);
  make_parts(0, 2, 0);
  make_parts(1, 2, 2);
  at_visit(FF_PASSING, 1, publish_the_late_part);
  ff_batch batch = take(&ring, false);
  check_whole(&batch, 1);
  batch = take(&ring, false);
  check_whole(&batch, 0);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

static void wait_for_the_late_part(uint16_t parts, uint16_t part, uint32_t visits) {
  ff_batch batch;
  ring = make_ring(8, 1);
  make_parts(0, parts, part);
  at_visit(FF_PASSING, visits, publish_the_late_part);
  REQUIRE(ff_ring_take_wait(&ring, false, &batch, NULL, 0, FF_FOREVER) == 0);
  check_whole(&batch, 0);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

/* Nobody else is there to wake the taker, who looks so often before he sleeps. He passes the first
 * part if it is late, and then the others at once, or all at once. */
static void a_part_that_comes_at_any_moment_of_any_look(void) {
  const uint32_t looks = 1 + FF_YIELDS + 1;
  for (uint16_t parts = 2; parts < 4; parts++)
    for (uint16_t part = 0; part < parts; part++)
      for (uint32_t visits = 1; visits <= (part ? looks : 2 * looks); visits++)
        wait_for_the_late_part(parts, part, visits);
}

/* -- epochs: no order in them, but one after the other ----------------------------------------- */

static void post_in(uint32_t epoch, uint64_t index) {
  uint64_t sequence;
  ff_ticket ticket = {.index = index, .epoch = epoch, .capacity = 64};
  REQUIRE(ff_ring_post(&ring, &ticket, FF_ANY_WORKER, &sequence) == 0);
}

/* Of tickets 0 and 1 of an epoch, and 2 of the next one, the first is still in the making. */
static ff_claim make_all_but_the_first(void) {
  ring = make_ring(4, 1);
  for (uint64_t index = 0; index < 3; index++) post_in(index == 2, index);
  ff_claim slow = claim(&ring, 0);
  for (int i = 0; i < 2; i++) make_next(&ring, 0);
  CHECK_EQ(take(&ring, false).ticket.index, 1);
  CHECK(nothing_to_take(&ring, false));
  return slow;
}

static void a_batch_waits_for_the_epoch_before(void) {
  ff_claim slow = make_all_but_the_first();
  publish(&ring, &slow);
  CHECK_EQ(take(&ring, false).ticket.index, 0);
  CHECK_EQ(take(&ring, false).ticket.index, 2);
  free_ring(&ring);
}

static void but_not_for_one_that_was_left(void) {
  ff_claim slow = make_all_but_the_first();
  CHECK_EQ(ff_ring_cancel(&ring), 0);
  CHECK_EQ(take(&ring, false).ticket.index, 2);
  post_in(2, 3);
  make_next(&ring, 0);
  CHECK_EQ(take(&ring, false).ticket.index, 3);
  publish(&ring, &slow);
  CHECK_EQ(take(&ring, false).ticket.index, 0);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

/* -- another thread posts: the entry is free, and `head` still where it was ------------------ */

static void post_one_more(void) { CHECK_EQ(post(&ring, 2), 2); }

static void cancel_one_more(void) {
  CHECK_EQ(post(&ring, 2), 2);
  CHECK_EQ(ff_ring_outstanding(&ring), 2);
  CHECK_EQ(ff_ring_cancel(&ring), 1);
}

/* Ticket 0 of a full ring is taken; 2 comes into its place meanwhile. */
static ff_batch take_the_first(bool ordered, void (*act)(void)) {
  ring = make_ring(2, 1);
  for (uint64_t index = 0; index < 2; index++) {
    post(&ring, index);
    make_next(&ring, 0);
  }
  at_visit(FF_AFTER_TAKE, 1, act);
  ff_batch first = take(&ring, ordered);
  CHECK_EQ(meanwhile.visits, 0);
  CHECK_EQ(first.sequence, 0);
  CHECK_EQ(ff_ring_outstanding(&ring), 2);
  return take(&ring, ordered);
}

static void a_place_that_is_used_again_at_once(void) {
  for (int ordered = 0; ordered < 2; ordered++) {
    CHECK_EQ(take_the_first(ordered, post_one_more).sequence, 1);
    make_next(&ring, 0);
    CHECK_EQ(take(&ring, ordered).sequence, 2);
    CHECK_EQ(ff_ring_outstanding(&ring), 0);
    free_ring(&ring);
  }
}

static void and_cancelled_at_once(void) {
  CHECK_EQ(take_the_first(true, cancel_one_more).sequence, 1);
  ff_batch last = take(&ring, true);
  CHECK_EQ(last.sequence, 2);
  CHECK_EQ(last.ticket.index, 2);
  CHECK_EQ(last.result.kind, FF_CANCELLED);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

int main(void) {
  watchdog_start();
  RUN(a_part_that_comes_behind_the_taker);
  RUN(a_part_that_comes_at_any_moment_of_any_look);
  RUN(a_batch_waits_for_the_epoch_before);
  RUN(but_not_for_one_that_was_left);
  RUN(a_place_that_is_used_again_at_once);
  RUN(and_cancelled_at_once);
  return check_report("test_taker");
}
