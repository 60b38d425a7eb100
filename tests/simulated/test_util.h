/* What the self-tests of the simulated driver share. All of it is in this header, as check.h counts
 * the failures of each source file apart. */
#ifndef FASTFEED_TEST_UTIL_H
#define FASTFEED_TEST_UTIL_H

#include "check.h"
#include "simulated.h"

#define OK(call) CHECK_EQ((call), CUDA_SUCCESS)
#define SIZE ((size_t)300000)

/* What begin() makes, with device 0's context current: streams that do not block, SIZE bytes of
 * device memory, SIZE registered bytes with pattern(i) in them; and memory to read back to. */
static CUcontext context;
static CUstream stream, other;
static CUevent event;
static CUdeviceptr device;
static unsigned char *host;
static unsigned char back[SIZE];

static inline unsigned char pattern(size_t i) { return (unsigned char)(i * 7 + i / 251); }

/* A fresh driver. */
static inline void begin(uint64_t seed) {
  CHECK_EQ(sim_reset(seed), 0);
  OK(cuInit(0));
  OK(cuDevicePrimaryCtxRetain(&context, 0));
  OK(cuCtxPushCurrent_v2(context));
  OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  OK(cuStreamCreate(&other, CU_STREAM_NON_BLOCKING));
  OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
  OK(cuMemAlloc_v2(&device, SIZE));
  REQUIRE(host = malloc(SIZE));
  for (size_t i = 0; i < SIZE; i++) host[i] = pattern(i);
  OK(cuMemHostRegister_v2(host, SIZE, CU_MEMHOSTREGISTER_PORTABLE));
}

/* Releases all that, and checks that nothing is live and how many violations there were. */
static inline void end(int violations) {
  OK(cuCtxSynchronize());
  if (!CHECK_EQ(sim_violations(), violations))
    for (int i = 0; sim_violation_text(i); i++) fprintf(stderr, "%s\n", sim_violation_text(i));
  OK(cuMemHostUnregister(host));
  free(host);
  OK(cuMemFree_v2(device));
  OK(cuEventDestroy_v2(event));
  OK(cuStreamDestroy_v2(other));
  OK(cuStreamDestroy_v2(stream));
  OK(cuCtxPopCurrent_v2(NULL));
  OK(cuDevicePrimaryCtxRelease_v2(0));
  CHECK_EQ(sim_live("all"), 0);
  CHECK_EQ(sim_violations(), violations);
}

/* Waits for all work and reads `device` into `back`: how many bytes are not pattern(i)? */
static inline size_t wrong_bytes(void) {
  size_t wrong = 0;
  OK(cuCtxSynchronize());
  OK(cuMemcpyDtoH_v2(back, device, SIZE));
  for (size_t i = 0; i < SIZE; i++) wrong += back[i] != pattern(i);
  return wrong;
}

/* In `back`. */
static inline size_t poisoned_bytes(void) {
  size_t poisoned = 0;
  for (size_t i = 0; i < SIZE; i++) poisoned += back[i] == SIM_POISON;
  return poisoned;
}

#endif
