/* Page-locking a segment: where it is cut, what a refusal leaves, and when it ends. */
#include "arena.h"
#include "device_util.h"
#include "pin.h"

#define PAGE 4096u

static ff_segment *open_segment(uint64_t stride, uint32_t count) {
  int fd = -1;
  ff_segment *segment = NULL;
  REQUIRE(ff_memory_create("test", stride * count, "", &fd) == 0);
  REQUIRE(ff_segment_open(fd, stride, count, false, &segment) == 0);
  close(fd);
  return segment;
}

/* The driver refuses a source that reaches over the edge of a registration. */
static void check_each_slot_is_one_source(ff_segment *segment) {
  CUdeviceptr address;
  uint64_t stride = ff_segment_stride(segment);
  OK(cuMemAlloc_v2(&address, stride));
  for (uint32_t slot = 0; slot < ff_segment_count(segment); slot++) {
    const void *data = ff_slot_data(segment, slot);
    CHECK(sim_is_host_registered(data, stride));
    OK(cuMemcpyHtoDAsync_v2(address, data, stride, NULL));
  }
  OK(cuStreamSynchronize(NULL));
  OK(cuMemFree_v2(address));
}

static void check_cut(uint32_t slots, uint64_t stride, uint64_t most_bytes, int64_t calls) {
  ff_device *device = begin(slots);
  ff_segment *segment = open_segment(stride, slots);
  ff_cuda_error error;
  OK(ff_pin(device, segment, most_bytes, &error));
  CHECK_EQ(sim_calls("cuMemHostRegister_v2"), calls);
  CHECK_EQ(sim_live("registrations"), calls);
  CHECK_EQ(sim_live("registered_bytes"), slots * stride);
  OK(ff_device_enter(device, &error));
  check_each_slot_is_one_source(segment);
  ff_device_leave(device);
  ff_segment_close(segment);
  CHECK_EQ(sim_live("registrations"), 0);
  end(device);
}

static void calls_are_cut_between_slots(void) {
  check_cut(10, 2 * PAGE, 5 * PAGE, 5);
  check_cut(10, 2 * PAGE, 7 * PAGE, 4); /* 3, 3, 3, 1 */
  check_cut(10, 2 * PAGE, 20 * PAGE, 1);
  check_cut(10, 2 * PAGE, FF_PIN_BYTES, 1);
  check_cut(3, 2 * PAGE, PAGE, 3); /* a slot is larger than that */
  check_cut(1, PAGE, PAGE, 1);
}

static void a_refusal_leaves_nothing(void) {
  for (int nth = 1; nth <= 5; nth++) {
    ff_device *device = begin((uint64_t)nth);
    ff_segment *segment = open_segment(PAGE, 5);
    ff_cuda_error error = {0};
    OK(sim_fail("cuMemHostRegister_v2", nth, CUDA_ERROR_OUT_OF_MEMORY));
    CHECK_EQ(ff_pin(device, segment, PAGE, &error), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(!strcmp(error.call, "cuMemHostRegister"));
    CHECK_EQ(sim_calls("cuMemHostUnregister"), nth - 1);
    CHECK_EQ(sim_live("registrations"), 0);
    OK(ff_pin(device, segment, PAGE, &error)); /* and it can be tried again */
    ff_segment_close(segment);
    end(device);
  }
}

static void no_context_no_pinning(void) {
  ff_device *device = begin(1);
  ff_segment *segment = open_segment(PAGE, 1);
  ff_cuda_error error = {0};
  OK(sim_fail("cuCtxPushCurrent_v2", 1, CUDA_ERROR_UNKNOWN));
  CHECK_EQ(ff_pin(device, segment, PAGE, &error), CUDA_ERROR_UNKNOWN);
  CHECK(!strcmp(error.call, "cuCtxPushCurrent"));
  CHECK_EQ(sim_calls("cuMemHostRegister_v2"), 0);
  ff_segment_close(segment);
  end(device);
}

/* The device, too, lives as long as something is page-locked for it. */
static void it_ends_with_the_last_view(void) {
  ff_device *device = begin(1);
  ff_segment *segment = open_segment(PAGE, 2);
  ff_cuda_error error;
  uint32_t slot;
  int64_t shape[1] = {16};
  OK(ff_pin(device, segment, FF_PIN_BYTES, &error));
  ff_device_release(device);
  REQUIRE(ff_slot_acquire(segment, &slot) == 0);
  DLManagedTensor *view =
      ff_slot_dlpack(segment, slot, 0, (DLDataType){DLPACK_FLOAT, 32, 1}, 1, shape);
  REQUIRE(view);
  ff_slot_release(segment, slot);
  ff_segment_close(segment);
  CHECK_EQ(sim_live("registrations"), 1);
  CHECK_EQ(ff_devices_alive(), 1);
  view->deleter(view);
  nothing_is_live();
  check_violations(false);
}

static void see_the_bytes(void *seen, void *base) { memcpy(seen, base, 1); }

static void the_end_comes_before_the_memory_goes(void) {
  ff_segment *segment = open_segment(PAGE, 1);
  uint8_t seen = 0;
  memset(ff_slot_data(segment, 0), 0x5a, PAGE);
  ff_segment_at_end(segment, see_the_bytes, &seen);
  CHECK_EQ(seen, 0);
  ff_segment_close(segment);
  CHECK_EQ(seen, 0x5a);
  nothing_is_live();
}

static void close_in_a_fork(void *segment) {
  ff_segment_close(segment);
  CHECK_EQ(ff_segments_alive(), 0);
}

static void a_fork_leaves_it_page_locked(void) {
  ff_device *device = begin(1);
  ff_segment *segment = open_segment(PAGE, 1);
  ff_cuda_error error;
  OK(ff_pin(device, segment, FF_PIN_BYTES, &error));
  in_a_fork(close_in_a_fork, segment);
  CHECK_EQ(sim_live("registrations"), 1);
  ff_segment_close(segment);
  end(device);
}

int main(void) {
  watchdog_start();
  RUN(calls_are_cut_between_slots);
  RUN(a_refusal_leaves_nothing);
  RUN(no_context_no_pinning);
  RUN(it_ends_with_the_last_view);
  RUN(the_end_comes_before_the_memory_goes);
  RUN(a_fork_leaves_it_page_locked);
  return check_report("test_pin");
}
