/* The upload thread between a real ring with workers and a consumer that never has a time-out: what
 * arrives, in which order, when slots are free, and when it waits. */
#include "monitor.h"
#include "park.h"
#include "upload_rig.h"

static void wait_for_counts(const rig *r, uint64_t uploads, uint32_t arrivals) {
  for (;;) {
    ff_upload_counts counts = ff_uploader_counts(r->uploader);
    if (counts.uploads >= uploads && counts.arrivals >= arrivals) return;
    sched_yield();
  }
}

/* -- what arrives --------------------------------------------------------------------------- */

static ff_upload_counts take_all(const rig_plan *plan, uint64_t seed) {
  rig r;
  uint64_t bytes = 0, uploads = 0;
  rig_open(&r, plan, seed, NULL, NULL);
  for (uint64_t i = 0; i < plan->batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    if (plan->upload.ordered) CHECK_EQ(arrival.batch.ticket.index, i);
    if (rig_kind(&r, arrival.batch.ticket.index) == FF_DATA) {
      bytes += rig_bytes(&r, arrival.batch.ticket.index);
      uploads++;
    }
    rig_finish(&r, &arrival);
  }
  ff_upload_counts counts = ff_uploader_counts(r.uploader);
  CHECK_EQ(counts.uploads, uploads);
  CHECK_EQ(counts.bytes, bytes);
  CHECK_EQ(counts.waiting, 0);
  CHECK_EQ(counts.arrivals, 0);
  rig_close(&r);
  return counts;
}

static void batches_arrive_in_order_and_whole(void) {
  rig_plan plan = rig_usual("in order");
  CHECK_EQ(take_all(&plan, 1).host_copies, 0);
  plan.odd_sizes = true;
  CHECK_EQ(take_all(&plan, 2).host_copies, 0);
}

static void batches_arrive_as_they_are_finished(void) {
  rig_plan plan = rig_usual("unordered");
  plan.upload.ordered = false;
  plan.odd_sizes = plan.odd_kinds = true;
  take_all(&plan, 3);
}

static void whatever_is_no_batch_passes_in_its_place(void) {
  rig_plan plan = rig_usual("odd kinds");
  plan.odd_sizes = plan.odd_kinds = true;
  uint64_t spilled = 0;
  for (uint64_t i = 0; i < plan.batches; i++) spilled += rig_is_spilled(&(rig){.plan = plan}, i);
  CHECK(spilled > 20);
  CHECK_EQ(take_all(&plan, 4).host_copies, spilled);
}

static void ordinary_memory_goes_through_the_bounce_ring(void) {
  rig_plan plan = rig_usual("pageable");
  plan.pageable = plan.odd_sizes = true;
  CHECK_EQ(take_all(&plan, 5).host_copies, plan.batches);
  CHECK(sim_calls("cuMemHostAlloc") >= 2);
}

static void refuse_the_bounce_ring(void *function) {
  OK(sim_fail(function, -1, CUDA_ERROR_OUT_OF_MEMORY));
}

static void the_bounce_ring_is_refused(void) {
  rig_plan plan = rig_usual("bounce refused");
  plan.pageable = plan.odd_sizes = true;
  rig r;
  rig_open(&r, &plan, 6, refuse_the_bounce_ring, "cuMemHostAlloc");
  for (uint64_t i = 0; i < plan.batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    rig_finish(&r, &arrival);
  }
  CHECK_EQ(sim_calls("cuMemHostAlloc"), 1); /* not asked again */
  CHECK_EQ(ff_uploader_counts(r.uploader).host_copies, plan.batches);
  rig_close(&r);
}

static void one_of_everything(void) {
  rig_plan plan = rig_usual("one slot, one entry, one buffer");
  plan.n_slots = plan.n_entries = plan.n_workers = 1;
  plan.upload.waiting = plan.upload.buffers = 1;
  take_all(&plan, 7);
  plan.pageable = true;
  take_all(&plan, 8);
}

/* A stream of the consumer's waits, the host does not, and the buffer is given back at once. */
static void kernels_read_what_has_arrived_without_a_wait_on_the_host(void) {
  enum { BATCHES = 60 };
  static uint64_t sums[BATCHES];
  static const char *const waits[] = {"cuCtxSynchronize", "cuEventSynchronize",
                                      "cuStreamSynchronize", "cuEventQuery"};
  rig_plan plan = rig_usual("kernels");
  plan.batches = BATCHES;
  rig r;
  CUstream stream;
  rig_open(&r, &plan, 9, NULL, NULL);
  sim_slowness(500);
  OK(ff_device_enter(r.device, &r.error));
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  for (int i = 0; i < BATCHES; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    OK(ff_buffer_hand_to(arrival.buffer, STREAM(stream), &r.error));
    OK(sim_kernel_read(stream, ff_buffer_pointer(arrival.buffer), rig_bytes(&r, (uint64_t)i), 300,
                       &sums[i]));
    ff_buffer_release(arrival.buffer);
    free(arrival.note);
  }
  for (int i = 0; i < 4; i++) CHECK_EQ(sim_calls_by_this_thread(waits[i]), 0);
  CHECK_EQ(sim_calls("cuCtxSynchronize"), 0);
  OK(cuStreamSynchronize(stream));
  for (int i = 0; i < BATCHES; i++) CHECK(sums[i] == rig_checksum(&r, (uint64_t)i));
  OK(cuStreamDestroy_v2(stream));
  ff_device_leave(r.device);
  rig_close(&r);
}

/* -- when ------------------------------------------------------------------------------------ */

static void a_slot_is_free_when_its_copy_is_done_and_not_before(void) {
  rig_plan plan = rig_usual("stalled");
  plan.upload.waiting = plan.upload.buffers = 8;
  rig r;
  rig_open(&r, &plan, 10, NULL, NULL);
  OK(sim_stall(SIM_ALL_STREAMS, 1));
  rig_post(&r);
  wait_for_counts(&r, 1, 1);
  let_it_run();
  CHECK_EQ(ff_segment_in_use(r.segment), plan.n_slots);
  OK(sim_stall(SIM_ALL_STREAMS, 0));
  for (uint64_t i = 0; i < plan.batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    rig_finish(&r, &arrival);
  }
  rig_close(&r);
}

/* The consumer looks for a free slot before it sleeps; then it sleeps until something arrives. */
static void a_slot_that_is_freed_just_before_a_sleep_ends_it(void) {
  rig_plan plan = rig_usual("freed");
  plan.n_slots = plan.n_entries = plan.n_workers = 1;
  plan.no_workers = true;
  rig r;
  ff_arrival arrival;
  rig_open(&r, &plan, 21, NULL, NULL);
  OK(sim_stall(SIM_ALL_STREAMS, 1));
  rig_post(&r);
  rig_make(&r);
  wait_for_counts(&r, 1, 1);
  REQUIRE(ff_uploader_take(r.uploader, &arrival) == 0);
  rig_post(&r);
  CHECK_EQ(r.next_index, 1); /* the copy has the slot */
  OK(sim_stall(SIM_ALL_STREAMS, 0));
  rig_finish(&r, &arrival);
  while (ff_segment_in_use(r.segment)) sched_yield();
  let_it_run(); /* the thread has told, and sleeps */
  CHECK_EQ(ff_uploader_take_wait(r.uploader, &arrival, NULL, 0, FF_FOREVER), -EAGAIN);
  rig_post(&r);
  CHECK_EQ(r.next_index, 2);
  rig_make(&r);
  REQUIRE(rig_take(&r, &arrival) == 0);
  rig_finish(&r, &arrival);
  rig_close(&r);
}

/* A worker that publishes when the consumer sleeps, most often, and copies do not move. */
static void *make_late(void *argument) {
  usleep(3000);
  rig_make(argument);
  return NULL;
}

static void a_batch_arrives_before_its_copy_is_done(void) {
  rig_plan plan = rig_usual("arriving early");
  plan.no_workers = true;
  rig r;
  rig_open(&r, &plan, 19, NULL, NULL);
  for (int i = 0; i < 5; i++) {
    ff_arrival arrival;
    pthread_t thread;
    OK(sim_stall(SIM_ALL_STREAMS, 1));
    rig_post(&r);
    REQUIRE(!pthread_create(&thread, NULL, make_late, &r));
    REQUIRE(rig_take(&r, &arrival) == 0);
    pthread_join(thread, NULL);
    OK(sim_stall(SIM_ALL_STREAMS, 0));
    rig_finish(&r, &arrival);
  }
  rig_close(&r);
}

static void no_more_than_asked_for_wait_on_the_device(void) {
  rig_plan plan = rig_usual("waiting");
  rig r;
  plan.upload.waiting = 3;
  rig_open(&r, &plan, 11, NULL, NULL);
  for (uint32_t taken = 0; taken < 10; taken++) {
    ff_arrival arrival;
    rig_post(&r);
    wait_for_counts(&r, taken + 3, 3);
    let_it_run();
    CHECK_EQ(ff_uploader_counts(r.uploader).waiting, 3);
    CHECK_EQ(ff_uploader_counts(r.uploader).uploads, taken + 3);
    REQUIRE(rig_take(&r, &arrival) == 0);
    rig_finish(&r, &arrival);
  }
  rig_close(&r);
}

static void nothing_overtakes_a_spilled_batch(void) {
  rig_plan plan = rig_usual("spilled");
  plan.odd_kinds = true; /* 0 and 1 are spilled */
  rig r;
  ff_arrival arrival;
  rig_open(&r, &plan, 12, NULL, NULL);
  for (int i = 0; i < 2; i++) {
    REQUIRE(rig_take(&r, &arrival) == 0);
    CHECK(arrival.batch.result.spilled);
    let_it_run();
    CHECK_EQ(ff_uploader_counts(r.uploader).arrivals, 0);
    CHECK(ff_ring_ready(&r.ring) > 0);
    rig_finish(&r, &arrival);
  }
  rig_close(&r);
}

static void stale_batches_are_not_uploaded(void) {
  enum { STALE = 5 };
  rig_plan plan = rig_usual("stale");
  plan.batches = 12;
  rig r;
  rig_open(&r, &plan, 13, NULL, NULL);
  ff_uploader_skip_below(r.uploader, STALE);
  for (uint64_t i = 0; i < plan.batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    CHECK_EQ(arrival.buffer != NULL, i >= STALE);
    if (arrival.buffer)
      rig_finish(&r, &arrival);
    else
      rig_release_slot(&r, &arrival.batch);
  }
  CHECK_EQ(ff_uploader_counts(r.uploader).uploads, plan.batches - STALE);
  rig_close(&r);
}

static void cancelled_tickets_pass(void) {
  rig_plan plan = rig_usual("cancelled");
  plan.no_workers = true;
  plan.batches = plan.n_slots;
  rig r;
  rig_open(&r, &plan, 14, NULL, NULL);
  rig_post(&r);
  rig_make(&r);
  wait_for_counts(&r, 1, 1);
  let_it_run(); /* the thread sleeps on the ring: nobody else will publish */
  CHECK_EQ(ff_ring_cancel(&r.ring), plan.n_slots - 1);
  for (uint64_t i = 0; i < plan.batches; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    CHECK_EQ(arrival.batch.result.kind, i ? FF_CANCELLED : FF_DATA);
    if (i)
      rig_release_slot(&r, &arrival.batch);
    else
      rig_finish(&r, &arrival);
  }
  rig_close(&r);
}

/* -- somebody captures a graph ---------------------------------------------------------------- */

static void uploads_go_on_during_a_capture(void) {
  rig_plan plan = rig_usual("capture");
  plan.pageable = true; /* with allocations, queries and waits of all kinds */
  rig r;
  CUstream stream;
  rig_open(&r, &plan, 20, NULL, NULL);
  OK(ff_device_enter(r.device, &r.error));
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(sim_capture(stream, 1));
  for (uint32_t i = 0; i < 30; i++) {
    ff_arrival arrival;
    REQUIRE(rig_take(&r, &arrival) == 0);
    ff_buffer_release(arrival.buffer);
    free(arrival.note);
  }
  OK(sim_capture(stream, 0));
  check_violations(false);
  OK(cuStreamDestroy_v2(stream));
  ff_device_leave(r.device);
  rig_close(&r);
}

/* -- a worker dies -------------------------------------------------------------------------- */

static void *close_it(void *end) {
  usleep(2000); /* most often the consumer sleeps by then */
  close(*(int *)end);
  return NULL;
}

static void a_death_wakes_the_consumer(void) {
  rig_plan plan = rig_usual("death");
  plan.no_workers = true;
  rig r;
  ff_arrival arrival;
  ff_monitor *monitor = NULL;
  rig_open(&r, &plan, 18, NULL, NULL);
  REQUIRE(ff_monitor_start(&r.ring, 1, &monitor) == 0);
  for (uint32_t round = 0; round < 20; round++) {
    int ends[2];
    pthread_t thread;
    REQUIRE(!pipe(ends));
    REQUIRE(ff_monitor_watch(monitor, 0, ends[0]) == 0);
    REQUIRE(!pthread_create(&thread, NULL, close_it, &ends[1]));
    while (ff_load_acquire32(ff_monitor_deaths(monitor)) == round)
      CHECK_EQ(ff_uploader_take_wait(r.uploader, &arrival, ff_monitor_deaths(monitor), round,
                                     FF_FOREVER),
               -EAGAIN);
    pthread_join(thread, NULL);
    CHECK_EQ(ff_monitor_next_death(monitor), 0);
    watchdog_pat();
  }
  ff_monitor_stop(monitor);
  rig_close(&r);
}

int main(void) {
  watchdog_start();
  RUN(batches_arrive_in_order_and_whole);
  RUN(batches_arrive_as_they_are_finished);
  RUN(whatever_is_no_batch_passes_in_its_place);
  RUN(ordinary_memory_goes_through_the_bounce_ring);
  RUN(the_bounce_ring_is_refused);
  RUN(one_of_everything);
  RUN(kernels_read_what_has_arrived_without_a_wait_on_the_host);
  RUN(a_slot_is_free_when_its_copy_is_done_and_not_before);
  RUN(a_slot_that_is_freed_just_before_a_sleep_ends_it);
  RUN(a_batch_arrives_before_its_copy_is_done);
  RUN(no_more_than_asked_for_wait_on_the_device);
  RUN(nothing_overtakes_a_spilled_batch);
  RUN(stale_batches_are_not_uploaded);
  RUN(cancelled_tickets_pass);
  RUN(uploads_go_on_during_a_capture);
  RUN(a_death_wakes_the_consumer);
  return check_report("test_upload");
}
