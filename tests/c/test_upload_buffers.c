/* The upload thread and its buffers: slots that come late or grow, and buffers that take turns. */
#include <unistd.h>

#include "arena.h"
#include "park.h"
#include "pin.h"
#include "upload_rig.h"

/* -- slots that come, grow and go while the thread sleeps ---------------------------------- */

static ff_segment *larger_segment(rig *r, uint64_t stride) {
  int fd = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("larger", stride * r->plan.n_slots, "", &fd) == 0);
  REQUIRE(ff_segment_open(fd, stride, r->plan.n_slots, true, &segment) == 0);
  close(fd);
  OK(ff_pin(r->device, segment, FF_PIN_BYTES, &r->error));
  return segment;
}

/* The thread sleeps with a buffer in hand that is too small, or, at the first, with none. */
/* The next batch, which has to lie in the newest segment. */
static int take_from(rig *r, uint32_t number, ff_arrival *arrival) {
  uint64_t sequence;
  uint32_t slot;
  int rc;
  REQUIRE(ff_slot_acquire(r->segment, &slot) == 0);
  ff_ticket ticket = {.index = r->next_index++, .segment = number,
                      .offset = slot * r->plan.stride, .capacity = r->plan.stride};
  REQUIRE(ff_ring_post(&r->ring, &ticket, FF_ANY_WORKER, &sequence) == 0);
  do
    rc = ff_uploader_take_wait(r->uploader, arrival, NULL, 0, FF_FOREVER);
  while (rc == -EAGAIN);
  return rc;
}

static void grow(rig *r, uint32_t number) {
  ff_segment *before = r->segment;
  r->plan.stride *= 2;
  r->segment = larger_segment(r, r->plan.stride);
  OK(ff_uploader_use(r->uploader, number, r->segment, true));
  ff_uploader_forget(r->uploader, number - 1);
  ff_segment_close(before);
}

/* The thread sleeps with a buffer in hand that is too small. */
static void slots_grow_while_the_thread_sleeps(void) {
  rig_plan plan = rig_usual("growing");
  rig r;
  ff_arrival arrival;
  rig_open(&r, &plan, 15, NULL, NULL);
  for (uint32_t number = 2; number < 6; number++) {
    if (number % 2) let_it_run();
    grow(&r, number);
    for (int i = 0; i < 4; i++) {
      REQUIRE(take_from(&r, number, &arrival) == 0);
      rig_finish(&r, &arrival);
    }
  }
  rig_close(&r);
}

static void fixed_buffers_cannot_grow(void) {
  rig_plan plan = rig_usual("growing, fixed");
  plan.upload = (ff_upload_plan){.waiting = 1, .buffers = 1, .fixed = true, .ordered = true};
  rig r;
  ff_arrival arrival;
  rig_open(&r, &plan, 15, NULL, NULL);
  REQUIRE(take_from(&r, 1, &arrival) == 0);
  rig_finish(&r, &arrival);
  grow(&r, 2);
  CHECK_EQ(take_from(&r, 2, &arrival), -EIO);
  ff_uploader_error(r.uploader, &r.error);
  CHECK_EQ(r.error.code, -EMSGSIZE);
  rig_close(&r);
}

/* Slots that the thread hears of when it sleeps without a buffer. */
static void it_starts_long_before_there_are_slots(void) {
  rig_plan plan = rig_usual("late slots");
  rig r;
  ff_arrival arrival;
  plan.no_slots = true;
  for (int i = 0; i < 10; i++) {
    rig_open(&r, &plan, 15, NULL, NULL);
    if (i % 2) let_it_run();
    OK(ff_uploader_use(r.uploader, 1, r.segment, true));
    REQUIRE(take_from(&r, 1, &arrival) == 0);
    rig_finish(&r, &arrival);
    rig_close(&r);
  }
}

/* -- fixed buffers --------------------------------------------------------------------------- */

static void check_turns(bool pageable, bool odd_kinds) {
  rig_plan plan = rig_usual("fixed");
  plan.pageable = pageable;
  plan.odd_kinds = odd_kinds;
  plan.upload = (ff_upload_plan){.waiting = 2, .buffers = 2, .fixed = true, .ordered = true};
  rig r;
  CUdeviceptr addresses[2];
  ff_buffer *before = NULL;
  int turn = 0;
  rig_open(&r, &plan, 16, NULL, NULL);
  for (uint64_t i = 0; i < plan.batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    rig_check(&r, &arrival);
    if (rig_is_spilled(&r, i)) arrival.buffer = rig_send(&r, &arrival.batch);
    if (!arrival.note) rig_release_slot(&r, &arrival.batch);
    free(arrival.note);
    if (rig_kind(&r, i) != FF_DATA) continue;
    REQUIRE(arrival.buffer); /* although the batch before is still in use */
    if (turn < 2) addresses[turn] = ff_buffer_pointer(arrival.buffer);
    CHECK_EQ(ff_buffer_pointer(arrival.buffer), addresses[turn++ % 2]);
    CHECK_EQ(rig_read(&r, i, arrival.buffer, &r.error), 0);
    if (before) ff_buffer_release(before);
    before = arrival.buffer;
  }
  ff_buffer_release(before);
  rig_close(&r);
}

static void fixed_buffers_take_turns(void) {
  check_turns(false, false);
  check_turns(true, false);
  check_turns(false, true);
  check_turns(true, true);
}

static void starving_is_told_to_a_sleeping_consumer(void) {
  rig_plan plan = rig_usual("starving");
  plan.upload = (ff_upload_plan){.waiting = 2, .buffers = 2, .fixed = true, .ordered = true};
  rig r;
  ff_arrival held[2], arrival;
  rig_open(&r, &plan, 17, NULL, NULL);
  for (int i = 0; i < 2; i++) REQUIRE(rig_take(&r, &held[i]) == 0);
  while (!ff_uploader_is_starved(r.uploader)) {
    rig_post(&r);
    CHECK_EQ(ff_uploader_take_wait(r.uploader, &arrival, NULL, 0, FF_FOREVER), -EAGAIN);
  }
  rig_finish(&r, &held[0]);
  REQUIRE(rig_take(&r, &arrival) == 0);
  rig_finish(&r, &held[1]);
  rig_finish(&r, &arrival);
  rig_close(&r);
}

int main(void) {
  watchdog_start();
  RUN(it_starts_long_before_there_are_slots);
  RUN(slots_grow_while_the_thread_sleeps);
  RUN(fixed_buffers_cannot_grow);
  RUN(fixed_buffers_take_turns);
  RUN(starving_is_told_to_a_sleeping_consumer);
  return check_report("test_upload_buffers");
}
