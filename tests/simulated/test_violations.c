/* That each mistake is seen when it is made, and that its correct twin is not. */
#include <string.h>
#include <unistd.h>

#include "test_util.h"

static bool said(const char *words) {
  const char *text = sim_violation_text(0);
  return text && strstr(text, words);
}

/* A kernel reads what a copy writes; `wait` orders the two. */
static void read_after_copy(bool wait) {
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuEventRecord(event, stream));
  if (wait) OK(cuStreamWaitEvent(other, event, 0));
  OK(sim_kernel_read(other, device + 100, 50, 0, NULL));
  if (!wait) OK(cuStreamSynchronize(other));
  OK(sim_stall(stream, 0));
}

static void test_read_before_the_copy_has_landed(void) {
  begin(1);
  read_after_copy(true);
  end(0);
  begin(1);
  read_after_copy(false);
  CHECK(said("reading kernel of 50 bytes"));
  end(1);
}

/* A copy over what a kernel of another stream has not read yet. */
static uint64_t copy_after_read(bool wait) {
  uint64_t sum = 0;
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuStreamSynchronize(stream));
  OK(sim_stall(other, 1));
  OK(sim_kernel_read(other, device, SIZE, 20, &sum));
  OK(cuEventRecord(event, other));
  if (wait) OK(cuStreamWaitEvent(stream, event, 0));
  memset(back, 1, SIZE);
  OK(cuMemcpyHtoDAsync_v2(device, back, SIZE, stream));
  if (!wait) OK(cuStreamSynchronize(stream));
  OK(sim_stall(other, 0));
  OK(cuCtxSynchronize());
  return sum;
}

static void test_copy_over_what_is_being_read(void) {
  begin(2);
  uint64_t expected = sim_checksum(host, SIZE);
  CHECK(copy_after_read(true) == expected);
  end(0);
  begin(2);
  CHECK(copy_after_read(false) != expected);
  CHECK(said("copy of 300000 bytes"));
  end(1);
}

/* It is over by then, but only by luck. */
static void test_luck_is_no_order(void) {
  begin(13);
  sim_slowness(0);
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE / 2, stream));
  OK(sim_kernel_read(stream, device, SIZE / 2, 0, NULL));
  usleep(20000);
  OK(sim_kernel_read(other, device + SIZE / 2, SIZE / 2, 0, NULL));
  CHECK_EQ(sim_violations(), 0);
  OK(sim_kernel_read(other, device, SIZE / 2, 0, NULL));
  CHECK(said("no event orders them"));
  OK(cuCtxSynchronize());
  OK(sim_kernel_add(stream, device, SIZE, 1, 0)); /* the program has waited */
  end(1);
}

/* Through a third stream, and through what the program learned about an event. */
static void test_order_is_transitive(void) {
  CUevent next;
  begin(14);
  OK(cuEventCreate(&next, 0));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuEventRecord(event, stream));
  OK(cuStreamWaitEvent(other, event, 0));
  OK(cuEventRecord(next, other));
  OK(cuStreamWaitEvent(CU_STREAM_PER_THREAD, next, 0));
  OK(sim_kernel_add(CU_STREAM_PER_THREAD, device, SIZE, 1, 0));
  OK(cuEventRecord(next, CU_STREAM_PER_THREAD));
  while (cuEventQuery(next)) usleep(10);
  OK(sim_kernel_add(stream, device, SIZE, 0, 0));
  OK(cuEventRecord(event, stream));
  OK(cuEventSynchronize(event));
  OK(sim_kernel_read(other, device, SIZE, 0, NULL));
  OK(cuEventDestroy_v2(next));
  end(0);
}

static void test_two_readers(void) {
  begin(11);
  OK(sim_stall(stream, 1));
  OK(sim_kernel_read(stream, device, SIZE, 0, NULL));
  OK(sim_kernel_read(other, device, SIZE, 0, NULL));
  OK(cuStreamSynchronize(other));
  OK(sim_stall(stream, 0));
  end(0);
}

static void test_bytes_change_under_a_kernel(void) {
  begin(3);
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuStreamSynchronize(stream));
  OK(sim_kernel_read(other, device, SIZE, 50000, NULL));
  usleep(20000); /* it has begun by now; if it has not, only the first violation is seen */
  OK(sim_kernel_add(stream, device, SIZE, 1, 0));
  OK(cuCtxSynchronize());
  CHECK(said("no event orders them"));
  const char *second = sim_violation_text(1);
  CHECK(second && strstr(second, "changed under the kernel"));
  end(2);
}

static void test_two_writers(void) {
  begin(4);
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, 1000, stream));
  OK(sim_kernel_add(other, device + 1000, 1000, 1, 0)); /* next to it */
  CHECK_EQ(sim_violations(), 0);
  OK(sim_kernel_add(other, device + 999, 1000, 1, 0)); /* one byte over */
  OK(cuStreamSynchronize(other));
  CHECK_EQ(sim_violations(), 1);
  OK(sim_stall(stream, 0));
  end(1);
}

static void test_unregister_under_a_copy(void) {
  begin(5);
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuMemHostUnregister(host));
  CHECK(said("cuMemHostUnregister"));
  memset(host, 0, SIZE); /* never read: the target stays poisoned */
  OK(sim_stall(stream, 0));
  CHECK(wrong_bytes() > 0);
  CHECK_EQ(poisoned_bytes(), SIZE);
  OK(cuMemHostRegister_v2(host, SIZE, 0));
  end(1);
}

static void test_free_host_under_a_copy(void) {
  void *memory;
  begin(6);
  OK(cuMemHostAlloc(&memory, SIZE, 0));
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, memory, SIZE, stream));
  OK(cuMemFreeHost(memory));
  CHECK(said("cuMemFreeHost"));
  OK(sim_stall(stream, 0));
  end(1);
}

/* When the call is back nobody reads any more: ThreadSanitizer would see it. */
static void test_unregister_while_it_is_read(void) {
  enum { LARGE = 8 << 20 };
  CUdeviceptr large;
  unsigned char *memory = calloc(1, LARGE);
  REQUIRE(memory);
  begin(12);
  sim_slowness(0);
  OK(cuMemAlloc_v2(&large, LARGE));
  for (int i = 0; i < 20; i++) {
    OK(cuMemHostRegister_v2(memory, LARGE, 0));
    OK(sim_stall(stream, i == 0)); /* once before it is read, then at one moment or another */
    OK(cuMemcpyHtoDAsync_v2(large, memory, LARGE, stream));
    usleep((unsigned)i * 20);
    OK(cuMemHostUnregister(memory));
    memset(memory, i, LARGE);
  }
  CHECK(said("cuMemHostUnregister"));
  OK(cuMemFree_v2(large));
  free(memory);
  end(sim_violations());
}

static void test_call_during_a_capture(void) {
  begin(7);
  OK(sim_capture(other, 1));
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  CHECK(said("cuEventQuery during a stream capture"));
  OK(sim_capture(other, 0));
  OK(cuEventQuery(event));
  end(1);
}

static void test_context_released_with_a_stream(void) {
  begin(8);
  OK(cuDevicePrimaryCtxRelease_v2(0));
  CHECK(said("primary context of device 0"));
  CHECK_EQ(cuEventDestroy_v2(event), CUDA_ERROR_CONTEXT_IS_DESTROYED);
  CHECK_EQ(sim_live("contexts"), 0);
  CHECK_EQ(sim_reset(9), 5);
  CHECK_EQ(sim_violations(), 0);
  CHECK(!sim_violation_text(0));
  free(host);
}

/* Batches through three buffers in turn, each read and then changed by a kernel of another stream.
 * With `wait` the copy over a buffer waits for the kernels that used it last. */
static void run_pipeline(uint64_t seed, bool wait) {
  enum { BATCHES = 30, BYTES = SIZE / 3 };
  CUevent copied, used[3];
  uint64_t sums[BATCHES] = {0};
  begin(seed);
  OK(cuEventCreate(&copied, 0));
  for (int i = 0; i < 3; i++) OK(cuEventCreate(&used[i], 0));
  for (int i = 0; i < BATCHES; i++) {
    CUdeviceptr buffer = device + (CUdeviceptr)(i % 3) * BYTES;
    if (wait) OK(cuStreamWaitEvent(stream, used[i % 3], 0));
    OK(cuMemcpyHtoDAsync_v2(buffer, host + i, BYTES, stream));
    OK(cuEventRecord(copied, stream));
    OK(cuStreamWaitEvent(other, copied, 0));
    OK(sim_kernel_read(other, buffer, BYTES, 200, &sums[i]));
    OK(sim_kernel_add(other, buffer, BYTES, 1, 200));
    OK(cuEventRecord(used[i % 3], other));
  }
  OK(cuCtxSynchronize());
  if (wait)
    for (int i = 0; i < BATCHES; i++) CHECK(sums[i] == sim_checksum(host + i, BYTES));
  else
    CHECK(sim_violations() >= BATCHES - 3); /* each copy over what kernels use, seen or not */
  OK(cuEventDestroy_v2(copied));
  for (int i = 0; i < 3; i++) OK(cuEventDestroy_v2(used[i]));
  end(wait ? 0 : sim_violations());
}

static void test_pipelines(void) {
  for (uint64_t seed = 100; seed < 110; seed++) {
    run_pipeline(seed, true);
    run_pipeline(seed, false);
  }
}

/* Under ThreadSanitizer only: this thread writes to the source while a stream's reads it. */
static void race(void) {
  begin(10);
  sim_slowness(5000);
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  for (int i = 0; i < 100; i++) {
    memset(host, i, SIZE);
    usleep(100);
  }
  end(0);
}

int main(int argc, char **argv) {
  watchdog_start();
  if (argc > 1 && !strcmp(argv[1], "race")) {
    RUN(race);
    return check_report("race");
  }
  RUN(test_read_before_the_copy_has_landed);
  RUN(test_copy_over_what_is_being_read);
  RUN(test_luck_is_no_order);
  RUN(test_order_is_transitive);
  RUN(test_two_readers);
  RUN(test_bytes_change_under_a_kernel);
  RUN(test_two_writers);
  RUN(test_unregister_under_a_copy);
  RUN(test_free_host_under_a_copy);
  RUN(test_unregister_while_it_is_read);
  RUN(test_call_during_a_capture);
  RUN(test_pipelines);
  RUN(test_context_released_with_a_stream);
  return check_report("test_violations");
}
