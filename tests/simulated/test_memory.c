/* Memory of the simulated driver: registered, allocated, copied. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test_util.h"

static void test_copies_land_late(void) {
  begin(4);
  OK(cuMemcpyDtoH_v2(back, device, SIZE));
  CHECK_EQ(poisoned_bytes(), SIZE); /* fresh memory */
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuEventRecord(event, stream));
  CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  host[5]++; /* the source is read when the copy executes */
  OK(sim_stall(stream, 0));
  CHECK_EQ(wrong_bytes(), 1);
  CHECK_EQ(back[5], (unsigned char)(pattern(5) + 1));
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE - 1, stream)); /* poisons at once */
  OK(sim_stall(stream, 0));
  end(0);
}

static void test_a_target_is_poisoned_when_enqueued(void) {
  begin(5);
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  CHECK_EQ(wrong_bytes(), 0);
  OK(sim_stall(stream, 1));
  OK(cuMemcpyHtoDAsync_v2(device, host, SIZE, stream));
  OK(cuMemcpyDtoH_v2(back, device, SIZE)); /* which nothing orders: a violation */
  CHECK_EQ(poisoned_bytes(), SIZE);
  OK(sim_stall(stream, 0));
  CHECK_EQ(wrong_bytes(), 0);
  end(1);
}

static void test_pageable_memory_is_read_at_once(void) {
  begin(6);
  unsigned char *pageable = malloc(SIZE);
  REQUIRE(pageable);
  memcpy(pageable, host, SIZE);
  sim_slowness(0);
  OK(sim_stall(SIM_ALL_STREAMS, 1));
  OK(cuMemcpyHtoDAsync_v2(device, pageable, SIZE, stream));
  memset(pageable, 0, SIZE);
  free(pageable);
  OK(cuEventRecord(event, stream));
  usleep(5000);
  for (int i = 0; i < 10; i++) CHECK_EQ(cuEventQuery(event), CUDA_ERROR_NOT_READY);
  OK(sim_stall(SIM_ALL_STREAMS, 0));
  CHECK_EQ(wrong_bytes(), 0);
  end(0);
}

static void test_host_registration(void) {
  void *memory;
  begin(12);
  CHECK_EQ(sim_live("registered_bytes"), SIZE);
  CHECK_EQ(cuMemHostRegister_v2(back, 0, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemHostRegister_v2(NULL, 8, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemHostRegister_v2((void *)device, 8192, 0), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemHostRegister_v2(back, 8, 99), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemHostRegister_v2(host + SIZE - 1, 1, 0), CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED);
  CHECK_EQ(cuMemHostUnregister(host + 1), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  OK(cuMemHostRegister_v2(back, SIZE / 2, 0));
  OK(cuMemHostRegister_v2(back + SIZE / 2, SIZE / 4, 0));
  CHECK(sim_is_host_registered(back, SIZE * 3 / 4));
  CHECK(!sim_is_host_registered(back, SIZE * 3 / 4 + 1));
  CHECK_EQ(cuMemcpyHtoDAsync_v2(device, back, SIZE, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(device, back, SIZE * 3 / 4, stream), CUDA_ERROR_INVALID_VALUE);
  OK(cuMemHostUnregister(back));
  OK(cuMemHostUnregister(back + SIZE / 2));
  OK(cuMemHostAlloc(&memory, 12345, CU_MEMHOSTALLOC_PORTABLE));
  CHECK(sim_is_host_registered(memory, 12345));
  CHECK_EQ(sim_live("host_allocations"), 1);
  CHECK_EQ(cuMemHostUnregister(memory), CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED);
  OK(cuMemFreeHost(memory));
  CHECK_EQ(cuMemFreeHost(memory), CUDA_ERROR_INVALID_VALUE);
  end(0);
}

static void test_device_memory(void) {
  CUdeviceptr second;
  size_t available, total;
  begin(13);
  sim_memory(SIZE + 1000);
  CHECK_EQ(cuMemAlloc_v2(&second, 1001), CUDA_ERROR_OUT_OF_MEMORY);
  OK(cuMemAlloc_v2(&second, 600));
  OK(cuMemGetInfo_v2(&available, &total));
  CHECK_EQ(available, 400);
  CHECK_EQ(total, SIZE + 1000);
  CHECK_EQ(sim_live("device_bytes"), SIZE + 600);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(second, host, 601, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemFree_v2(second + 1), CUDA_ERROR_INVALID_VALUE);
  uint64_t sum = 0;
  OK(sim_kernel_read(stream, second, 600, 20000, &sum));
  OK(cuMemFree_v2(second));
  CHECK(sum); /* it waited */
  CHECK_EQ(cuMemFree_v2(second), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemcpyHtoDAsync_v2(second, host, 1, stream), CUDA_ERROR_INVALID_VALUE);
  CHECK_EQ(cuMemAlloc_v2(&second, 0), CUDA_ERROR_INVALID_VALUE);
  end(0);
}

/* In a child, that may crash. */
static void test_device_pointers_are_no_host_pointers(void) {
  int status;
  begin(14);
  pid_t child = fork();
  if (!child) {
    signal(SIGSEGV, SIG_DFL);
    *(volatile char *)(uintptr_t)device = 1;
    _exit(0);
  }
  REQUIRE(waitpid(child, &status, 0) == child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
  end(0);
}

int main(void) {
  watchdog_start();
  RUN(test_copies_land_late);
  RUN(test_a_target_is_poisoned_when_enqueued);
  RUN(test_pageable_memory_is_read_at_once);
  RUN(test_host_registration);
  RUN(test_device_memory);
  RUN(test_device_pointers_are_no_host_pointers);
  return check_report("test_memory");
}
