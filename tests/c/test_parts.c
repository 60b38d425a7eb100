/* Batches in parts: posted and taken as one, whichever part is late, missing or different. */
#include "ring_util.h"

static uint64_t post_parts(ff_ring *ring, uint64_t index, uint16_t parts, uint32_t rows) {
  uint64_t sequence = UINT64_MAX;
  ff_ticket ticket = {.index = index, .offset = index * 64, .capacity = 64, .position = 1000,
                      .rows = rows, .batch_rows = rows, .parts = parts};
  REQUIRE(ff_ring_post(ring, &ticket, FF_ANY_WORKER, &sequence) == 0);
  return sequence;
}

static void publish_as(ff_ring *ring, const ff_claim *claimed, ff_result result) {
  REQUIRE(ff_ring_publish(ring, claimed, &result) == 0);
}

/* As all the others of its batch. */
static const ff_result LIKE = {.kind = FF_DATA, .data_bytes = 60, .layout = 5, .note_bytes = 4,
                               .failed = 1};

static void rows_are_shared_out_without_gap(void) {
  ff_ring ring = make_ring(16, 1);
  for (uint32_t rows = 5; rows < 40; rows++) {
    uint32_t next = 0;
    post_parts(&ring, rows, 5, rows);
    for (uint16_t part = 0; part < 5; part++) {
      ff_claim claimed = claim(&ring, 0);
      CHECK_EQ(claimed.ticket.part, part);
      CHECK_EQ(claimed.ticket.parts, 5);
      CHECK_EQ(claimed.ticket.first_row, next);
      CHECK_EQ(claimed.ticket.position, 1000 + next);
      CHECK_EQ(claimed.ticket.batch_rows, rows);
      CHECK(claimed.ticket.rows == rows / 5 || claimed.ticket.rows == rows / 5 + 1);
      next += claimed.ticket.rows;
      publish_as(&ring, &claimed, LIKE);
    }
    CHECK_EQ(next, rows);
    CHECK_EQ(take(&ring, true).ticket.rows, rows);
  }
  free_ring(&ring);
}

static void all_parts_are_posted_or_none(void) {
  ff_ring ring = make_ring(4, 1);
  ff_ticket three = {.parts = 3}, five = {.parts = 5};
  uint64_t sequence = 77;
  post(&ring, 0);
  post(&ring, 1);
  CHECK_EQ(ff_ring_post(&ring, &three, FF_ANY_WORKER, &sequence), -EAGAIN);
  CHECK_EQ(ff_ring_post(&ring, &five, FF_ANY_WORKER, &sequence), -EINVAL);
  CHECK_EQ(sequence, 77);
  CHECK_EQ(ff_ring_outstanding(&ring), 2);
  make_next(&ring, 0);
  take(&ring, true);
  CHECK_EQ(post_parts(&ring, 2, 3, 3), 2); /* round the end of the ring */
  free_ring(&ring);
}

static void a_batch_is_taken_when_its_last_part_is_made(bool ordered) {
  ff_ring ring = make_ring(8, 3);
  CHECK_EQ(post_parts(&ring, 40, 3, 7), 0);
  ff_claim first = claim(&ring, 0), second = claim(&ring, 1), third = claim(&ring, 2);
  publish_as(&ring, &third, LIKE);
  publish_as(&ring, &first, LIKE);
  CHECK(nothing_to_take(&ring, ordered));
  CHECK_EQ(ff_ring_ready(&ring), 0);
  CHECK_EQ(ff_ring_outstanding(&ring), 1);
  CHECK_EQ(ff_ring_first_made_ns(&ring, 1), 1);
  publish_as(&ring, &second, LIKE);
  CHECK_EQ(ff_ring_ready(&ring), 1);
  CHECK(ff_ring_first_made_ns(&ring, UINT64_MAX) < UINT64_MAX);
  ff_batch batch = take(&ring, ordered);
  CHECK_EQ(batch.sequence, 0);
  CHECK_EQ(batch.ticket.index, 40);
  CHECK_EQ(batch.ticket.parts, 1);
  CHECK_EQ(batch.ticket.part, 0);
  CHECK_EQ(batch.ticket.first_row, 0);
  CHECK_EQ(batch.ticket.rows, 7);
  CHECK_EQ(batch.result.kind, FF_DATA);
  CHECK_EQ(batch.result.data_bytes, 60);
  CHECK_EQ(batch.result.failed, 3);
  CHECK_EQ(batch.worker, 1); /* who was last */
  CHECK(batch.work_ns >= batch.result.made_ns - batch.result.started_ns);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  CHECK(nothing_to_take(&ring, ordered));
  free_ring(&ring);
}

static void ordered_takers_wait_for_it(void) { a_batch_is_taken_when_its_last_part_is_made(true); }
static void unordered_ones_too(void) { a_batch_is_taken_when_its_last_part_is_made(false); }

static void an_unfinished_batch_is_passed_over_where_the_order_is_free(void) {
  ff_ring ring = make_ring(8, 2);
  post_parts(&ring, 0, 2, 2);
  post_parts(&ring, 1, 2, 2);
  ff_claim slow = claim(&ring, 0);
  for (int i = 0; i < 3; i++) {
    ff_claim quick = claim(&ring, 1);
    publish_as(&ring, &quick, LIKE);
  }
  CHECK(nothing_to_take(&ring, true));
  CHECK_EQ(take(&ring, false).ticket.index, 1);
  CHECK(nothing_to_take(&ring, false));
  publish_as(&ring, &slow, LIKE);
  CHECK_EQ(take(&ring, false).ticket.index, 0);
  free_ring(&ring);
}

/* One part differs in `result`: they come one after the other, and only when all are made. */
static void each_by_itself(ff_result result, uint16_t odd, enum ff_kind kind) {
  ff_ring ring = make_ring(4, 1);
  ff_batch whole;
  post_parts(&ring, 9, 3, 6);
  for (uint16_t part = 0; part < 3; part++) {
    ff_claim claimed = claim(&ring, 0);
    CHECK(nothing_to_take(&ring, true));
    publish_as(&ring, &claimed, part == odd ? result : LIKE);
  }
  for (uint16_t part = 0; part < 3; part++) {
    ff_batch piece = take(&ring, part % 2);
    CHECK_EQ(ff_ring_ready(&ring), part < 2); /* a batch as long as there is one of its parts */
    CHECK_EQ(piece.sequence, part);
    CHECK_EQ(piece.ticket.part, part);
    CHECK_EQ(piece.ticket.parts, 3);
    CHECK_EQ(piece.result.kind, part == odd ? result.kind : LIKE.kind);
    if (part)
      ff_batch_join(&whole, &piece);
    else
      whole = piece;
  }
  CHECK_EQ(whole.ticket.rows, 6);
  CHECK_EQ(whole.ticket.parts, 1);
  CHECK_EQ(whole.result.kind, kind);
  CHECK_EQ(whole.result.spilled, result.spilled);
  free_ring(&ring);
}

static void parts_that_do_not_agree_come_by_themselves(void) {
  ff_result other = LIKE, longer = LIKE, noted = LIKE, spilled = LIKE, failed = LIKE;
  other.layout++;
  longer.data_bytes++;
  noted.note_bytes++;
  spilled.spilled = 1;
  failed.kind = FF_EXCEPTION;
  for (uint16_t odd = 0; odd < 3; odd++) {
    each_by_itself(other, odd, FF_DATA);
    each_by_itself(longer, odd, FF_DATA);
    each_by_itself(noted, odd, FF_DATA);
    each_by_itself(spilled, odd, FF_DATA);
    each_by_itself(failed, odd, FF_EXCEPTION);
  }
}

static void only_the_part_of_the_dead_is_made_again(void) {
  ff_ring ring = make_ring(4, 2);
  post_parts(&ring, 3, 2, 8);
  ff_claim mine = claim(&ring, 0), lost = claim(&ring, 1);
  publish_as(&ring, &mine, LIKE);
  CHECK_EQ(ff_ring_reclaim(&ring, 1, 3), 1);
  ff_claim again = claim(&ring, 0);
  CHECK_EQ(again.ticket.first_row, lost.ticket.first_row);
  CHECK_EQ(again.ticket.rows, lost.ticket.rows);
  CHECK_EQ(again.ticket.offset, lost.ticket.offset);
  CHECK_EQ(again.attempt, 1);
  CHECK(nothing_to_claim(&ring, 1));
  publish_as(&ring, &again, LIKE);
  ff_batch batch = take(&ring, true);
  CHECK_EQ(batch.ticket.rows, 8);
  CHECK_EQ(batch.attempt, 1);
  free_ring(&ring);
}

static void a_part_that_kills_too_often_spoils_the_batch(void) {
  ff_ring ring = make_ring(4, 2);
  post_parts(&ring, 3, 2, 8);
  ff_claim mine = claim(&ring, 0);
  claim(&ring, 1);
  publish_as(&ring, &mine, LIKE);
  CHECK_EQ(ff_ring_reclaim(&ring, 1, 0), 1);
  CHECK_EQ(take(&ring, true).result.kind, FF_DATA);
  CHECK_EQ(take(&ring, true).result.kind, FF_CRASHED);
  free_ring(&ring);
}

static void cancelling_waits_for_the_part_that_was_begun(void) {
  ff_ring ring = make_ring(8, 1);
  post_parts(&ring, 0, 3, 3);
  post_parts(&ring, 1, 3, 3);
  ff_claim begun = claim(&ring, 0);
  CHECK_EQ(ff_ring_cancel(&ring), 5);
  CHECK(nothing_to_take(&ring, true));
  CHECK_EQ(take(&ring, false).result.kind, FF_CANCELLED); /* the other one's first */
  publish_as(&ring, &begun, LIKE);
  CHECK_EQ(ff_ring_outstanding(&ring), 2);
  CHECK_EQ(take(&ring, true).result.kind, FF_DATA);
  for (uint64_t i = 1; i < 6; i++)
    if (i != 3) CHECK_EQ(take(&ring, true).sequence, i);
  CHECK_EQ(ff_ring_outstanding(&ring), 0);
  free_ring(&ring);
}

int main(void) {
  watchdog_start();
  RUN(rows_are_shared_out_without_gap);
  RUN(all_parts_are_posted_or_none);
  RUN(ordered_takers_wait_for_it);
  RUN(unordered_ones_too);
  RUN(an_unfinished_batch_is_passed_over_where_the_order_is_free);
  RUN(parts_that_do_not_agree_come_by_themselves);
  RUN(only_the_part_of_the_dead_is_made_again);
  RUN(a_part_that_kills_too_often_spoils_the_batch);
  RUN(cancelling_waits_for_the_part_that_was_begun);
  return check_report("test_parts");
}
