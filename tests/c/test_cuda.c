/* Finding the driver and a device, and what goes wrong at it: each failure with its text, and
 * nothing left. */
#include <pthread.h>

#include "device_util.h"

static int open_at(const char *library, int ordinal, ff_cuda_error *error) {
  ff_device *device = NULL;
  int rc = ff_device_open(library, ordinal, &device, error);
  CHECK_EQ(rc, error->code);
  CHECK(!device);
  nothing_is_live();
  return rc;
}

static void no_such_library(void) {
  ff_cuda_error error = {0};
  CHECK_EQ(open_at("libnone-of-this-name.so.1", 0, &error), -ENOENT);
  CHECK(!strcmp(error.call, "dlopen"));
  CHECK(strstr(error.text, "libnone-of-this-name.so.1"));
}

static void a_library_without_the_functions(void) {
  ff_cuda_error error = {0};
  CHECK_EQ(open_at("libm.so.6", 0, &error), -ENOSYS);
  CHECK(!strcmp(error.call, "cuInit"));
  CHECK(strstr(error.text, "cuInit"));
}

static void no_device(void) {
  ff_cuda_error error = {0};
  CHECK_EQ(sim_reset(1), 0);
  sim_devices(0);
  CHECK_EQ(open_at(simulated_library(), 0, &error), CUDA_ERROR_NO_DEVICE);
  CHECK(!strcmp(error.call, "cuInit"));
  CHECK(!strcmp(error.text, "CUDA_ERROR_NO_DEVICE (100): no CUDA-capable device is detected"));
}

static void no_such_ordinal(void) {
  ff_cuda_error error = {0};
  CHECK_EQ(sim_reset(1), 0);
  CHECK_EQ(open_at(simulated_library(), 2, &error), -ENODEV);
  CHECK(!strcmp(error.text, "2 devices"));
  sim_devices(1);
  CHECK_EQ(open_at(simulated_library(), -1, &error), -ENODEV);
  CHECK(!strcmp(error.text, "1 device"));
}

static void each_call_of_opening_may_fail(void) {
  static const char *const functions[] = {
      "cuInit",          "cuDriverGetVersion",    "cuDeviceGetCount",        "cuDeviceGet",
      "cuDeviceGetName", "cuDeviceGetPCIBusId",   "cuDevicePrimaryCtxRetain",
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    ff_cuda_error error = {0};
    CHECK_EQ(sim_reset(i), 0);
    CHECK_EQ(sim_fail(functions[i], 1, CUDA_ERROR_UNKNOWN), 0);
    CHECK_EQ(open_at(simulated_library(), 0, &error), CUDA_ERROR_UNKNOWN);
    CHECK(!strcmp(error.call, functions[i]));
    CHECK(!strcmp(error.text, "CUDA_ERROR_UNKNOWN (999): unknown error"));
    CHECK_EQ(sim_calls(functions[i]), 1);
    ff_device_release(begin(i)); /* and the next time it can be opened */
    nothing_is_live();
  }
}

static void a_result_that_nobody_knows(void) {
  ff_cuda_error error = {0};
  CHECK_EQ(sim_reset(1), 0);
  CHECK_EQ(sim_fail("cuDeviceGetCount", 1, 12345), 0);
  CHECK_EQ(open_at(simulated_library(), 0, &error), 12345);
  CHECK(!strcmp(error.text, "an unknown result (12345)"));
}

static void a_device_says_what_it_is(void) {
  ff_device *device = NULL;
  ff_cuda_error error;
  CHECK_EQ(sim_reset(1), 0);
  sim_driver_version(12040);
  REQUIRE(ff_device_open(simulated_library(), 1, &device, &error) == 0);
  CHECK_EQ(ff_device_ordinal(device), 1);
  CHECK(!strcmp(ff_device_name(device), "Simulated GPU 1"));
  CHECK(!strcmp(ff_device_bus(device), "0000:01:00.0"));
  CHECK_EQ(ff_device_driver_version(device), 12040);
  CHECK(ff_device_is_ours(device));
  end(device);
}

static void the_context_goes_with_the_last_holder(void) {
  ff_device *device = begin(1), *again = NULL;
  ff_cuda_error error;
  REQUIRE(ff_device_open(simulated_library(), 0, &again, &error) == 0);
  CHECK_EQ(sim_live("contexts"), 2); /* the primary one, retained twice */
  ff_device_release(again);
  CHECK_EQ(sim_live("contexts"), 1);
  ff_device_retain(device);
  ff_device_release(device);
  CHECK_EQ(sim_live("contexts"), 1);
  CHECK_EQ(ff_devices_alive(), 1);
  end(device);
}

static void entering_puts_the_thread_back_as_it_was(void) {
  ff_device *device = begin(1);
  ff_cuda_error error;
  CUdeviceptr address;
  CHECK_EQ(cuMemAlloc_v2(&address, 8), CUDA_ERROR_INVALID_CONTEXT);
  OK(ff_device_enter(device, &error));
  OK(ff_device_enter(device, &error));
  ff_device_leave(device);
  OK(cuMemAlloc_v2(&address, 8));
  OK(cuMemFree_v2(address));
  ff_device_leave(device);
  CHECK_EQ(cuMemAlloc_v2(&address, 8), CUDA_ERROR_INVALID_CONTEXT);
  OK(sim_fail("cuCtxPushCurrent_v2", 1, CUDA_ERROR_UNKNOWN));
  CHECK_EQ(ff_device_enter(device, &error), CUDA_ERROR_UNKNOWN);
  CHECK(!strcmp(error.call, "cuCtxPushCurrent"));
  end(device);
}

static void free_bytes_are_the_driver_s(void) {
  ff_device *device = begin(1);
  ff_cuda_error error;
  CUdeviceptr address;
  sim_memory(1 << 20);
  OK(ff_device_enter(device, &error));
  CHECK_EQ(ff_device_free_bytes(device), 1 << 20);
  OK(cuMemAlloc_v2(&address, 1 << 18));
  CHECK_EQ(ff_device_free_bytes(device), (1 << 20) - (1 << 18));
  OK(sim_fail("cuMemGetInfo_v2", 1, CUDA_ERROR_UNKNOWN));
  CHECK_EQ(ff_device_free_bytes(device), 0);
  OK(cuMemFree_v2(address));
  ff_device_leave(device);
  end(device);
}

static void use_in_a_fork(void *device) {
  ff_cuda_error error = {0};
  CHECK(!ff_device_is_ours(device));
  CHECK_EQ(ff_device_enter(device, &error), -EPERM);
  CHECK_EQ(error.code, -EPERM);
  ff_device_release(device);
  CHECK_EQ(ff_devices_alive(), 0);
}

static void a_fork_does_not_call_the_driver(void) {
  ff_device *device = begin(1);
  in_a_fork(use_in_a_fork, device);
  CHECK_EQ(sim_live("contexts"), 1);
  end(device);
}

static void *use_and_release(void *device) {
  ff_cuda_error error;
  CHECK_EQ(ff_device_enter(device, &error), 0);
  ff_device_leave(device);
  CHECK_EQ(ff_device_ordinal(device), 0);
  ff_device_release(device);
  return NULL;
}

static void the_last_thread_releases_the_context(void) {
  enum { THREADS = 3 };
  for (uint64_t round = 0; round < 200; round++) {
    pthread_t threads[THREADS];
    ff_device *device = begin(round);
    for (int i = 0; i < THREADS; i++) {
      ff_device_retain(device);
      REQUIRE(!pthread_create(&threads[i], NULL, use_and_release, device));
    }
    ff_device_release(device);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    nothing_is_live();
  }
  check_violations(false);
}

int main(void) {
  watchdog_start();
  RUN(no_such_library);
  RUN(a_library_without_the_functions);
  RUN(no_device);
  RUN(no_such_ordinal);
  RUN(each_call_of_opening_may_fail);
  RUN(a_result_that_nobody_knows);
  RUN(a_device_says_what_it_is);
  RUN(the_context_goes_with_the_last_holder);
  RUN(entering_puts_the_thread_back_as_it_was);
  RUN(free_bytes_are_the_driver_s);
  RUN(a_fork_does_not_call_the_driver);
  RUN(the_last_thread_releases_the_context);
  return check_report("test_cuda");
}
