/* Buffers on the device: who is waited for before one is written again, and what is left. Where a
 * test says that something is waited for, its twin leaves the wait out and must be reported. */
#include <pthread.h>

#include "pool_util.h"

static int64_t context_waits(void) { return sim_calls("cuCtxSynchronize"); }
static int64_t host_waits(void) {
  return context_waits() + sim_calls("cuEventSynchronize") + sim_calls("cuStreamSynchronize");
}

/* -- before it is read --------------------------------------------------------------------- */

static void read_late_bytes(bool handed) {
  open_pool(1, 1, false);
  OK(sim_stall(up, 1));
  ff_buffer *buffer = take_written(7);
  if (handed) OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error));
  read_on(0, buffer, 0);
  if (!handed) OK(cuStreamSynchronize(readers[0]));
  CHECK_EQ(host_waits(), !handed);
  OK(sim_stall(up, 0));
  OK(cuCtxSynchronize());
  CHECK((sums[0] == sum_of(7)) == handed);
  check_violations(!handed);
  ff_buffer_release(buffer);
  close_pool();
}

static void a_stream_waits_for_the_bytes(void) {
  read_late_bytes(true);
  read_late_bytes(false);
}

static void what_is_known_to_be_there_is_not_waited_for(void) {
  open_pool(2, 1, false);
  ff_buffer *buffer = take_written(3);
  while (ff_buffer_has_arrived(buffer, &error) == FF_CU_NOT_READY) sched_yield();
  OK(ff_buffer_has_arrived(buffer, &error));
  int64_t queries = sim_calls("cuEventQuery");
  OK(ff_buffer_has_arrived(buffer, &error));
  OK(ff_buffer_wait(buffer, &error));
  OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error));
  OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error));
  CHECK_EQ(sim_calls("cuEventQuery"), queries);
  CHECK_EQ(sim_calls("cuStreamWaitEvent"), 0);
  CHECK_EQ(sim_calls("cuEventSynchronize"), 0);
  ff_buffer_release(buffer);
  check_violations(false);
  close_pool();
}

static void the_host_reads_when_they_are_there(void) {
  unsigned char back[10] = {0};
  open_pool(3, 1, false);
  sim_slowness(5000);
  ff_buffer *buffer = take_written(9);
  OK(ff_buffer_read(buffer, BYTES - 10, back, 10, &error));
  for (int i = 0; i < 10; i++) CHECK_EQ(back[i], 9);
  OK(ff_buffer_read(buffer, 0, back, 0, &error));
  CHECK_EQ(ff_buffer_read(buffer, BYTES - 9, back, 10, &error), CUDA_ERROR_INVALID_VALUE);
  CHECK(!strcmp(error.call, "cuMemcpyDtoH"));
  ff_buffer_release(buffer);
  check_violations(false);
  close_pool();
}

static ff_a32 seen_by_another;

static void *wait_and_tell(void *buffer) {
  ff_cuda_error mine;
  CHECK_EQ(ff_device_enter(device, &mine), 0);
  CHECK_EQ(ff_buffer_wait(buffer, &mine), 0);
  ff_device_leave(device);
  ff_store_relaxed32(&seen_by_another, 1); /* orders nothing: that is what the buffer has to do */
  return NULL;
}

/* ThreadSanitizer sees whether the copy's reading comes before this thread's writing. */
static void what_a_copy_has_read_may_be_written_whoever_saw_it_land(void) {
  static unsigned char source[BYTES];
  open_pool(13, 1, false);
  for (int round = 0; round < 50; round++) {
    pthread_t thread;
    OK(cuMemHostRegister_v2(source, BYTES, CU_MEMHOSTREGISTER_PORTABLE));
    ff_buffer *buffer = take();
    OK(cuMemcpyHtoDAsync_v2(ff_buffer_pointer(buffer), source, BYTES, up));
    OK(ff_buffer_written_by(buffer, STREAM(up), &error));
    ff_store_relaxed32(&seen_by_another, 0);
    REQUIRE(!pthread_create(&thread, NULL, wait_and_tell, buffer));
    while (!ff_load_relaxed32(&seen_by_another)) sched_yield();
    OK(ff_buffer_has_arrived(buffer, &error));
    memset(source, round, BYTES);
    pthread_join(thread, NULL);
    ff_buffer_release(buffer);
    OK(cuMemHostUnregister(source));
  }
  check_violations(false);
  close_pool();
}

/* -- before it is written again -------------------------------------------------------------- */

/* Of three stalled readers `told` are known to the buffer. */
static void write_again(int told) {
  open_pool(4, 1, false);
  ff_buffer *buffer = take_written(1);
  CUdeviceptr address = ff_buffer_pointer(buffer);
  OK(ff_buffer_wait(buffer, &error)); /* so that only the second write can be wrong */
  for (int i = 0; i < 3; i++) {
    if (i < told) OK(ff_buffer_hand_to(buffer, STREAM(readers[i]), &error));
    OK(sim_stall(readers[i], 1));
    read_on(i, buffer, 100);
  }
  ff_buffer_release(buffer);
  int64_t waits = host_waits();
  buffer = take_written(2);
  CHECK_EQ(ff_buffer_pointer(buffer), address);
  CHECK_EQ(host_waits(), waits);
  if (!told) OK(cuStreamSynchronize(up));
  for (int i = 0; i < told; i++) OK(sim_stall(readers[i], 0));
  if (told) OK(cuStreamSynchronize(up));
  for (int i = told; i < 3; i++) OK(sim_stall(readers[i], 0));
  OK(cuCtxSynchronize());
  for (int i = 0; i < 3; i++) CHECK_EQ(sums[i] == sum_of(1), i < told);
  check_violations(told < 3);
  ff_buffer_release(buffer);
  close_pool();
}

static void it_is_written_again_after_all_its_readers(void) { write_again(3); }

static void a_reader_that_was_not_told_is_reported(void) {
  write_again(2);
  write_again(0);
}

static void nobody_read_it(void) {
  open_pool(5, 1, false);
  sim_slowness(3000);
  for (int value = 0; value < 5; value++) ff_buffer_release(take_written(value));
  CHECK_EQ(host_waits(), 0);
  OK(cuCtxSynchronize());
  check_violations(false);
  close_pool();
}

/* -- used anywhere ------------------------------------------------------------------------- */

static void one_wait_for_the_device_serves_several(void) {
  ff_buffer *buffers[3];
  open_pool(6, 3, false);
  for (int i = 0; i < 3; i++) {
    buffers[i] = take_written(i);
    OK(ff_buffer_wait(buffers[i], &error));
    ff_buffer_is_used_anywhere(buffers[i]);
    read_on(i, buffers[i], 3000); /* on a stream that nobody names */
  }
  ff_buffer_release(buffers[0]);
  ff_buffer_release(buffers[1]);
  ff_buffer *again[3];
  for (int i = 0; i < 2; i++) again[i] = take_written(10 + i);
  CHECK_EQ(context_waits(), 1);
  ff_buffer_release(buffers[2]); /* only now: it needs a wait of its own */
  again[2] = take_written(12);
  CHECK_EQ(context_waits(), 2);
  for (int i = 0; i < 3; i++) ff_buffer_release(again[i]);
  ff_buffer_release(take_written(13)); /* was not used anywhere this time */
  CHECK_EQ(context_waits(), 2);
  OK(cuCtxSynchronize());
  for (int i = 0; i < 3; i++) CHECK(sums[i] == sum_of(i));
  check_violations(false);
  close_pool();
}

static void more_streams_than_it_names(void) {
  open_pool(7, 1, false);
  ff_buffer *buffer = take_written(1);
  for (int i = 0; i < MANY; i++) {
    OK(ff_buffer_hand_to(buffer, STREAM(readers[i]), &error));
    read_on(i, buffer, 2000);
  }
  ff_buffer_release(buffer);
  buffer = take_written(2);
  CHECK_EQ(context_waits(), 1);
  for (int i = 0; i < MANY - 1; i++) OK(ff_buffer_hand_to(buffer, STREAM(readers[i]), &error));
  ff_buffer_release(buffer);
  ff_buffer_release(take_written(3));
  CHECK_EQ(context_waits(), 1); /* eight it can name */
  OK(cuCtxSynchronize());
  for (int i = 0; i < MANY; i++) CHECK(sums[i] == sum_of(1));
  check_violations(false);
  close_pool();
}

static void *read_on_own_stream(void *buffer) {
  ff_cuda_error mine;
  CHECK_EQ(ff_device_enter(device, &mine), 0);
  CHECK_EQ(ff_buffer_hand_to(buffer, STREAM(CU_STREAM_PER_THREAD), &mine), 0);
  CHECK_EQ(sim_kernel_read(CU_STREAM_PER_THREAD, ff_buffer_pointer(buffer), BYTES, 5000, &sums[0]),
           0);
  ff_device_leave(device);
  return NULL;
}

static void the_default_stream_of_a_thread(void) {
  pthread_t thread;
  open_pool(8, 1, false);
  ff_buffer *buffer = take_written(1);
  REQUIRE(!pthread_create(&thread, NULL, read_on_own_stream, buffer));
  pthread_join(thread, NULL);
  ff_buffer_release(buffer); /* by this thread, whose own stream is another one */
  buffer = take_written(2);
  CHECK_EQ(context_waits(), 1);
  ff_buffer_release(buffer);
  OK(cuCtxSynchronize());
  CHECK(sums[0] == sum_of(1));
  check_violations(false);
  close_pool();
}

/* -- captures ------------------------------------------------------------------------------ */

static void a_stream_that_is_captured_when_it_is_released(void) {
  open_pool(9, 1, false);
  ff_buffer *buffer = take_written(1);
  OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error));
  read_on(0, buffer, 3000);
  OK(sim_capture(readers[0], 1));
  ff_buffer_release(buffer);
  OK(sim_capture(readers[0], 0));
  buffer = take_written(2);
  CHECK_EQ(context_waits(), 1);
  ff_buffer_release(buffer);
  OK(cuCtxSynchronize());
  CHECK(sums[0] == sum_of(1));
  check_violations(false);
  close_pool();
}

static void for_a_captured_stream_the_host_waits(void) {
  open_pool(10, 1, false);
  sim_slowness(3000);
  ff_buffer *buffer = take_written(1);
  OK(sim_capture(readers[0], 1));
  OK(ff_buffer_hand_to(buffer, STREAM(readers[0]), &error));
  CHECK_EQ(sim_calls("cuStreamWaitEvent"), 0);
  OK(sim_capture(readers[0], 0));
  read_on(0, buffer, 0);
  ff_buffer_release(buffer);
  OK(cuCtxSynchronize());
  CHECK(sums[0] == sum_of(1));
  check_violations(false);
  close_pool();
}

static void a_device_that_cannot_be_waited_for_now(void) {
  for (int fixed = 0; fixed < 2; fixed++) {
    open_pool(11, 2, fixed);
    ff_buffer *buffer = take_written(1), *other = take_written(1), *none = NULL;
    CUdeviceptr first = ff_buffer_pointer(buffer);
    ff_buffer_is_used_anywhere(buffer);
    ff_buffer_release(buffer);
    OK(sim_fail("cuCtxSynchronize", 1, CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED));
    CHECK_EQ(ff_pool_take(pool, BYTES, STREAM(up), &none, &error), -EAGAIN);
    CHECK(!none);
    buffer = take_written(2); /* the same, and its uses are still waited for */
    CHECK_EQ(ff_buffer_pointer(buffer), first);
    CHECK_EQ(context_waits(), 2);
    ff_buffer_release(buffer);
    ff_buffer_release(other);
    check_violations(false);
    close_pool();
  }
}

static void the_end_does_not_spoil_a_capture(void) {
  open_pool(12, 2, false);
  ff_buffer *kept = take_written(1);
  ff_buffer_release(take_written(2));
  OK(sim_capture(readers[0], 1));
  ff_pool_close(pool);
  ff_buffer_release(kept);
  OK(sim_capture(readers[0], 0));
  CHECK_EQ(ff_pools_alive(), 0);
  CHECK_EQ(sim_live("device_allocations"), 0);
  destroy_streams();
  ff_device_leave(device);
  end(device);
}

int main(void) {
  watchdog_start();
  RUN(a_stream_waits_for_the_bytes);
  RUN(what_is_known_to_be_there_is_not_waited_for);
  RUN(the_host_reads_when_they_are_there);
  RUN(what_a_copy_has_read_may_be_written_whoever_saw_it_land);
  RUN(it_is_written_again_after_all_its_readers);
  RUN(a_reader_that_was_not_told_is_reported);
  RUN(nobody_read_it);
  RUN(one_wait_for_the_device_serves_several);
  RUN(more_streams_than_it_names);
  RUN(the_default_stream_of_a_thread);
  RUN(a_stream_that_is_captured_when_it_is_released);
  RUN(for_a_captured_stream_the_host_waits);
  RUN(a_device_that_cannot_be_waited_for_now);
  RUN(the_end_does_not_spoil_a_capture);
  return check_report("test_buffer");
}
