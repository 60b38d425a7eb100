/* What goes wrong in the upload thread comes out at the consumer, with the name of the call; and
 * whatever happens, and whenever it is stopped, nothing is left and the next one can start. */
#include "park.h"
#include "upload_rig.h"

typedef struct {
  const char *function;
  int nth;
} failure;

static void set_failure(void *context) {
  const failure *f = context;
  OK(sim_fail(f->function, f->nth, CUDA_ERROR_UNKNOWN));
}

static rig_plan small(void) {
  rig_plan plan = rig_usual("failing");
  plan.batches = 12;
  return plan;
}

/* Until an error: 0, or what ff_uploader_error() says. A batch whose bytes cannot be had any more
 * is an error too. */
static int run(rig *r, ff_cuda_error *error) {
  for (uint64_t taken = 0; taken < r->plan.batches; taken++) {
    ff_arrival arrival;
    int rc = rig_take(r, &arrival);
    if (rc) {
      CHECK_EQ(rc, -EIO);
      CHECK_EQ(ff_uploader_take(r->uploader, &arrival), -EIO); /* and stays so */
      ff_uploader_error(r->uploader, error);
      return error->code;
    }
    rig_check(r, &arrival);
    if (arrival.buffer) rc = rig_read(r, arrival.batch.ticket.index, arrival.buffer, error);
    if (arrival.buffer) ff_buffer_release(arrival.buffer);
    if (!arrival.note) rig_release_slot(r, &arrival.batch);
    free(arrival.note);
    if (rc) return rc;
  }
  return 0;
}

static void the_next_one_can_start(void) {
  rig_plan plan = small();
  rig r;
  ff_cuda_error error;
  rig_open(&r, &plan, 1, NULL, NULL);
  CHECK_EQ(run(&r, &error), 0);
  rig_close(&r);
}

/* `told`: the consumer hears of it; else there is another way. */
static void check_failing(const rig_plan *plan, failure f, bool told) {
  rig r;
  ff_cuda_error error = {0};
  rig_open(&r, plan, (uint64_t)f.nth, set_failure, &f);
  if (r.uploader)
    run(&r, &error);
  else
    error = r.error;
  if (!CHECK_EQ(error.code, told ? CUDA_ERROR_UNKNOWN : 0))
    fprintf(stderr, "%s, %d. call: %s: %s\n", f.function, f.nth, error.call, error.text);
  if (told) CHECK(!strncmp(error.call, f.function, strlen(error.call)));
  if (told) CHECK(sim_calls(f.function) >= f.nth);
  OK(sim_fail(f.function, 0, 0));
  rig_close(&r);
}

static void any_call_may_fail(void) {
  rig_plan pinned = small(), pageable = small();
  pageable.pageable = true;
  check_failing(&pinned, (failure){"cuStreamCreate", 1}, true);
  check_failing(&pinned, (failure){"cuThreadExchangeStreamCaptureMode", 1}, true);
  for (int nth = 1; nth <= 2; nth++)
    check_failing(&pinned, (failure){"cuCtxPushCurrent_v2", nth}, true);
  for (int nth = 1; nth <= 3; nth++) {
    check_failing(&pinned, (failure){"cuMemAlloc_v2", nth}, true);
    check_failing(&pinned, (failure){"cuEventCreate", nth}, true);
    check_failing(&pinned, (failure){"cuEventQuery", nth}, true);
  }
  for (int nth = 1; nth <= 9; nth += 4) {
    check_failing(&pinned, (failure){"cuMemcpyHtoDAsync_v2", nth}, true);
    check_failing(&pageable, (failure){"cuMemcpyHtoDAsync_v2", nth}, true);
    check_failing(&pinned, (failure){"cuEventRecord", nth}, true);
    check_failing(&pageable, (failure){"cuEventRecord", nth}, true);
    check_failing(&pageable, (failure){"cuEventQuery", nth}, true);
    check_failing(&pageable, (failure){"cuEventSynchronize", nth}, true);
  }
  for (int nth = 1; nth <= 2; nth++)
    check_failing(&pageable, (failure){"cuMemHostAlloc", nth}, false);
  check_failing(&pinned, (failure){"cuStreamSynchronize", 1}, false); /* at the end */
  the_next_one_can_start();
}

/* The call after a copy fails: the copy still reads its slot, which nobody may have until then. */
static void a_copy_that_nobody_follows(void) {
  for (int nth = 1; nth <= 3; nth++) {
    rig_plan plan = small();
    failure f = {"cuEventRecord", nth};
    rig r;
    ff_cuda_error error = {0};
    rig_open(&r, &plan, (uint64_t)nth, set_failure, &f);
    sim_slowness(5000);
    run(&r, &error);
    CHECK_EQ(error.code, CUDA_ERROR_UNKNOWN);
    rig_close(&r); /* unregisters at once: a violation, if the copy were on its way */
  }
}

/* The consumer reads all on a stream of his own, whose events the next uploads wait for, or, with
 * `anywhere`, the thread waits for the device. */
static void check_waiting_fails(const char *function, bool anywhere) {
  rig_plan plan = small();
  rig r;
  CUstream stream;
  ff_cuda_error error;
  ff_arrival arrival;
  rig_open(&r, &plan, 5, NULL, NULL);
  OK(ff_device_enter(r.device, &error));
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  int rc = 0;
  for (uint64_t i = 0; i < plan.batches && !(rc = rig_take(&r, &arrival)); i++) {
    ff_buffer_hand_to(arrival.buffer, STREAM(stream), &error);
    if (anywhere) ff_buffer_is_used_anywhere(arrival.buffer);
    OK(sim_fail(function, -1, CUDA_ERROR_UNKNOWN));
    ff_buffer_release(arrival.buffer);
    free(arrival.note);
  }
  CHECK_EQ(rc, -EIO);
  ff_uploader_error(r.uploader, &error);
  CHECK(!strcmp(error.call, function));
  OK(sim_fail(function, 0, 0));
  OK(cuStreamDestroy_v2(stream));
  ff_device_leave(r.device);
  rig_close(&r);
}

static void a_wait_for_an_earlier_use_fails(void) {
  check_waiting_fails("cuStreamWaitEvent", false);
  check_waiting_fails("cuCtxSynchronize", true);
}

static void *fail_late(void *argument) {
  usleep(3000);
  OK(sim_fail("cuMemcpyHtoDAsync_v2", 1, CUDA_ERROR_UNKNOWN));
  rig_make(argument);
  return NULL;
}

static void a_failure_wakes_the_consumer(void) {
  for (uint64_t i = 0; i < 5; i++) {
    rig_plan plan = small();
    rig r;
    pthread_t thread;
    ff_arrival arrival;
    plan.no_workers = true;
    rig_open(&r, &plan, i, NULL, NULL);
    rig_post(&r);
    REQUIRE(!pthread_create(&thread, NULL, fail_late, &r));
    CHECK_EQ(rig_take(&r, &arrival), -EIO);
    pthread_join(thread, NULL);
    rig_close(&r);
  }
}

/* -- copies that fail while they execute ------------------------------------------------------- */

typedef struct {
  int nth, releases_report;
} bad_copy;

static void set_bad_copy(void *context) {
  const bad_copy *bad = context;
  sim_fail_copies(bad->nth, CUDA_ERROR_ILLEGAL_ADDRESS, bad->releases_report);
}

static void a_copy_fails_on_its_way(void) {
  for (int nth = 1; nth <= 9; nth++) {
    rig_plan plan = small();
    bad_copy bad = {nth, nth % 2};
    rig r;
    ff_cuda_error error = {0};
    plan.pageable = nth % 3 == 0;
    rig_open(&r, &plan, (uint64_t)nth, set_bad_copy, &bad);
    CHECK_EQ(run(&r, &error), CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(!strncmp(error.call, "cu", 2));
    CHECK(strstr(error.text, "CUDA_ERROR_ILLEGAL_ADDRESS (700)"));
    rig_close(&r);
  }
  the_next_one_can_start();
}

static void a_send_fails(void) {
  static const char *const functions[] = {"cuCtxPushCurrent_v2", "cuMemAlloc_v2", "cuEventCreate",
                                          "cuMemcpyHtoDAsync_v2", "cuEventRecord",
                                          "cuEventSynchronize"};
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    rig_plan plan = small();
    rig r;
    ff_arrival arrival;
    plan.odd_kinds = plan.no_slots = true; /* 0 and 1 are spilled */
    rig_open(&r, &plan, i, NULL, NULL);
    REQUIRE(rig_take(&r, &arrival) == 0 && arrival.batch.result.spilled);
    OK(sim_fail(functions[i], 1, CUDA_ERROR_UNKNOWN));
    CHECK(!rig_send(&r, &arrival.batch));
    CHECK_EQ(r.error.code, CUDA_ERROR_UNKNOWN);
    CHECK(!strncmp(r.error.call, functions[i], strlen(r.error.call)));
    rig_finish(&r, &arrival); /* the second time it works */
    rig_close(&r);
  }
}

/* -- stopping ------------------------------------------------------------------------------- */

static void stop_at_any_moment(void) {
  for (uint64_t i = 0; i < 60; i++) {
    rig_plan plan = rig_usual("stopping");
    rig r;
    plan.pageable = i % 3 == 0;
    plan.odd_kinds = plan.odd_sizes = i % 2;
    rig_open(&r, &plan, i, NULL, NULL);
    if (i % 5) rig_post(&r);
    for (uint64_t taken = 0; taken < i % 7; taken++) {
      ff_arrival arrival;
      REQUIRE(rig_take(&r, &arrival) == 0);
      rig_finish(&r, &arrival);
    }
    usleep((useconds_t)(i % 4 * 300));
    rig_close(&r);
  }
}

static void stop_a_sleeper(void) {
  for (uint64_t i = 0; i < 20; i++) {
    rig_plan plan = small();
    rig r;
    plan.no_slots = i % 2; /* asleep with or without a buffer in hand */
    rig_open(&r, &plan, i, NULL, NULL);
    usleep(3000);
    rig_close(&r);
  }
}

static void stop_when_the_arrivals_are_full(void) {
  rig_plan plan = small();
  rig r;
  plan.n_entries = 2;
  plan.upload.waiting = plan.upload.buffers = 8;
  rig_open(&r, &plan, 1, NULL, NULL);
  while (ff_uploader_counts(r.uploader).arrivals < 2) {
    rig_post(&r);
    sched_yield();
  }
  rig_post(&r);
  let_it_run();
  CHECK_EQ(ff_uploader_counts(r.uploader).arrivals, 2);
  rig_close(&r);
}

static void *let_go(void *unused) {
  let_it_run(); /* the stop waits for the copies by then, most often */
  OK(sim_stall(SIM_ALL_STREAMS, 0));
  return unused;
}

static void stop_waits_for_copies_on_their_way(void) {
  for (int pageable = 0; pageable < 2; pageable++) {
    rig_plan plan = small();
    rig r;
    pthread_t thread;
    plan.pageable = pageable;
    rig_open(&r, &plan, 1, NULL, NULL);
    OK(sim_stall(SIM_ALL_STREAMS, 1));
    rig_post(&r);
    while (!ff_uploader_counts(r.uploader).uploads) sched_yield();
    REQUIRE(!pthread_create(&thread, NULL, let_go, NULL));
    rig_close(&r);
    pthread_join(thread, NULL);
  }
}

static void batches_outlive_the_uploader(void) {
  rig_plan plan = small();
  rig r;
  ff_arrival kept;
  rig_open(&r, &plan, 1, NULL, NULL);
  REQUIRE(rig_take(&r, &kept) == 0);
  rig_stop(&r);
  rig_finish(&r, &kept);
  CHECK_EQ(ff_pools_alive(), 0);
  rig_close(&r);
}

static void stop_in_a_fork(void *uploader) { ff_uploader_stop(uploader); }

static void a_fork_stops_nothing(void) {
  rig_plan plan = small();
  rig r;
  ff_cuda_error error;
  rig_open(&r, &plan, 1, NULL, NULL);
  in_a_fork(stop_in_a_fork, r.uploader);
  CHECK_EQ(run(&r, &error), 0);
  rig_close(&r);
}

int main(void) {
  watchdog_start();
  RUN(any_call_may_fail);
  RUN(a_failure_wakes_the_consumer);
  RUN(a_copy_that_nobody_follows);
  RUN(a_wait_for_an_earlier_use_fails);
  RUN(a_copy_fails_on_its_way);
  RUN(a_send_fails);
  RUN(stop_at_any_moment);
  RUN(stop_a_sleeper);
  RUN(stop_when_the_arrivals_are_full);
  RUN(stop_waits_for_copies_on_their_way);
  RUN(batches_outlive_the_uploader);
  RUN(a_fork_stops_nothing);
  return check_report("test_upload_failures");
}
